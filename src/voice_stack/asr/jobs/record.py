"""Jobs as they are kept, and what the server works on as clients see it: `transcription.job` objects."""

import time
from dataclasses import asdict, dataclass, field
from typing import Literal

from voice_stack.asr.transcriber import Diarization, Transcription
from voice_stack.core.errors import ConflictError

Status = Literal["queued", "running", "completed", "failed", "cancelled"]
WebhookStatus = Literal["pending", "delivered", "failed"]

LIVE = "live"
"""The task of a live session."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where the end of a job is told, and how that went; `error` is what the last attempt met."""

    url: str
    status: WebhookStatus = "pending"
    attempts: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One background job, or what is kept of a live session; all times in seconds since 1970.

    Attributes:
        id: `job_...`, and of a session `sess_...`.
        created_at: When its upload was complete.
        task: `transcribe`, `translate` or `align`; `live` for a session, which counts as completed from its first turn.
        fields: The form as it was sent, so that a restarted server reads it the way the first one did.
        filename: The upload's name as the client sent it; `content_type` and `size_bytes` are the upload's, too.
        recordings: How many recordings of known speakers came with the upload; they count in its size.
        request_id: The HTTP request it came with, for the logs.
        owner: The key or the address it came from; see `name_caller`.
        starts: How often the engine was given this job; more than once after the server was stopped meanwhile.
        audio_s: Length of the audio, known when completed; `language` is its language.
        error: Why it failed, in the fields of OpenAI's errors.
        result_bytes: Size of the result as it is kept.
        lost_turns: How many turns of a session have no text, or none that could be kept.
        has_source: What was said is kept as well, of a job that translates it; also where that fails.
        warnings: What of the file is not heard or not translated, known when completed.
        second_best: What was done in the second-best way, as `Transcription.second_best` tells it, known then as well.
    """

    id: str
    created_at: float
    task: str
    fields: dict[str, list[str]]
    filename: str
    content_type: str
    size_bytes: int
    recordings: int = 0
    request_id: str = ""
    owner: str = ""
    status: Status = "queued"
    starts: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    audio_s: float | None = None
    language: str | None = None
    error: dict[str, str | None] | None = None
    webhook: Webhook | None = None
    result_bytes: int = 0
    lost_turns: int = 0
    has_source: bool = False
    warnings: tuple[str, ...] = ()
    second_best: dict[str, str] = field(default_factory=dict)

    @property
    def kept_bytes(self) -> int:
        """What is kept of it: the upload, then the result."""
        return self.result_bytes if self.is_over else self.size_bytes

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.finished_at is not None


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request somebody waits for: its work, and what of it is shown; `created_at` in seconds since 1970."""

    task: str
    model: str
    response_format: str
    filename: str | None
    size_bytes: int
    transcription: Transcription | Diarization
    id: str
    created_at: float = field(default_factory=time.time)

    def cancel(self) -> None:
        """Stop the work; whoever waits gets a 409."""
        self.transcription.stop(
            ConflictError("This request was cancelled with DELETE /jobs/{id}.", code="job_cancelled")
        )


class Activity:
    """The open requests of one server, in the order in which they came."""

    def __init__(self) -> None:
        self._requests: dict[str, OpenRequest] = {}

    def add(self, request: OpenRequest) -> None:
        """Note a request; it is forgotten when its work is over."""
        self._requests = {known.id: known for known in self.requests()} | {request.id: request}

    def requests(self) -> list[OpenRequest]:
        """Those whose work is not over."""
        return [request for request in self._requests.values() if not request.transcription.is_over]

    def find(self, job_id: str) -> OpenRequest | None:
        """The open request with an id, None if there is none."""
        return next((request for request in self.requests() if request.id == job_id), None)


_ALMOST = 99.9
"""Most that is shown of a job that is not over: a file may be longer than it says."""


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a transcription is.

    Attributes:
        done_s: Seconds of audio that are text by now.
        total_s: Seconds of audio in all; None while not known.
        percent: 0 to 100; None while not known.
        eta_s: Seconds until it is done if it goes on at the mean speed so far; None while not known.
    """

    done_s: float = 0.0
    total_s: float | None = None
    percent: float | None = None
    eta_s: float | None = None


def progress_of(transcription: Transcription | Diarization | None) -> JobProgress:
    """Progress of work that may not have begun."""
    if transcription is None:
        return JobProgress()
    heard_s, total_s, run_s = transcription.progress()
    if total_s <= 0:
        return JobProgress(round(heard_s, 2))
    share = min(heard_s / total_s, _ALMOST / 100)
    eta_s = round(run_s * (1 - share) / share, 1) if share > 0 else None
    return JobProgress(round(heard_s, 2), round(total_s, 2), round(100 * share, 1), eta_s)


def job_object(
    record: JobRecord, *, transcription: Transcription | None, place: int | None, keep_s: float, prefix: str
) -> dict[str, object]:
    """The object of a background job.

    Args:
        record: What is kept of it.
        transcription: Its work in the engine, while there is some.
        place: Its place in the queue, 1 is next; None when it does not wait.
        keep_s: Seconds for which a finished job is kept.
        prefix: Path before `/jobs`.
    """
    progress, own_path = progress_of(transcription), f"{prefix}/jobs/{record.id}"
    if record.status == "completed" and (audio_s := record.audio_s) is not None:
        progress = JobProgress(audio_s, audio_s, 100.0, 0.0)
    return {
        "id": record.id,
        "object": "transcription.job",
        "background": True,
        "status": record.status,
        "created_at": int(record.created_at),
        "started_at": _whole(record.started_at),
        "finished_at": _whole(record.finished_at),
        "expires_at": _whole(record.finished_at + keep_s if record.finished_at else None),
        "task": record.task,
        "model": record.fields.get("model", [""])[-1],
        "response_format": record.fields.get("response_format", ["json"])[-1],
        "filename": record.filename,
        "bytes": record.size_bytes,
        "language": record.language,
        "target_language": record.fields.get("target_language", [""])[-1] or None,
        **asdict(progress),
        "queue_place": place,
        "result_url": f"{own_path}/result" if record.status == "completed" else None,
        "source_url": f"{own_path}/result?translated=false" if record.has_source and record.is_over else None,
        "error": record.error,
        "warnings": list(record.warnings),
        "fallback": record.second_best.get("fallback"),
        "fallback_model": record.second_best.get("fallback_model"),
        "webhook": asdict(record.webhook) if record.webhook else None,
    }


def request_object(request: OpenRequest, place: int | None) -> dict[str, object]:
    """The object of a request somebody waits for: the fields that it has."""
    return {
        "id": request.id,
        "object": "transcription.job",
        "background": False,
        "status": "running" if request.transcription.handle.started_at else "queued",
        "created_at": int(request.created_at),
        "task": request.task,
        "model": request.model,
        "response_format": request.response_format,
        "filename": request.filename,
        "bytes": request.size_bytes,
        **asdict(progress_of(request.transcription)),
        "queue_place": place,
    }


def _whole(time_s: float | None) -> int | None:
    return None if time_s is None else int(time_s)
