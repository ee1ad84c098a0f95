"""Jobs as clients see them: `transcription.job` objects, with progress and what is left."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from voice_stack.asr.jobs.activity import OpenRequest
from voice_stack.asr.jobs.record import JobRecord, Webhook
from voice_stack.asr.transcriber import Transcription

_ALMOST = 99.9
"""Most that is shown of a job that is not over: a file may be longer than it says."""


@dataclass(frozen=True, slots=True)
class Progress:
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


def measure(done_s: float, total_s: float, run_s: float) -> Progress:
    """Progress of running work.

    Args:
        done_s: Seconds of audio done.
        total_s: Seconds of audio in all; 0 while not known.
        run_s: Seconds the engine has worked on it.
    """
    if total_s <= 0:
        return Progress(round(done_s, 2))
    share = min(done_s / total_s, _ALMOST / 100)
    eta_s = round(run_s * (1 - share) / share, 1) if share > 0 else None
    return Progress(round(done_s, 2), round(total_s, 2), round(100 * share, 1), eta_s)


def progress_of(transcription: Transcription | None) -> Progress:
    """Progress of work that may not have begun."""
    if transcription is None:
        return Progress()
    return measure(transcription.heard_s, transcription.total_s, transcription.handle.run_s)


def _progress_of_record(record: JobRecord, transcription: Transcription | None) -> Progress:
    if record.status == "completed" and record.audio_s is not None:
        return Progress(record.audio_s, record.audio_s, 100.0, 0.0)
    return progress_of(transcription)


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
        **asdict(_progress_of_record(record, transcription)),
        "queue_place": place,
        "result_url": f"{prefix}/jobs/{record.id}/result" if record.status == "completed" else None,
        "error": asdict(record.error) if record.error else None,
        "webhook": _webhook_fields(record.webhook),
    }


def request_object(request: OpenRequest, place: int | None) -> dict[str, object]:
    """The object of a request somebody waits for: the fields that it has."""
    asked, handle = request.asked, request.transcription.handle
    return {
        "id": request.id,
        "object": "transcription.job",
        "background": False,
        "status": "running" if handle.started_at else "queued",
        "created_at": int(request.created_at),
        "task": asked.task,
        "model": asked.model,
        "response_format": asked.response_format,
        "filename": asked.filename,
        "bytes": asked.size_bytes,
        **asdict(progress_of(request.transcription)),
        "queue_place": place,
    }


def _whole(time_s: float | None) -> int | None:
    return None if time_s is None else int(time_s)


def _webhook_fields(webhook: Webhook | None) -> Mapping[str, object] | None:
    return asdict(webhook) if webhook else None
