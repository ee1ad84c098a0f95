"""Background jobs: what the server says of one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx2

from voice_stack.client.connection import is_retryable
from voice_stack.client.errors import ApiError, VoiceStackClientError
from voice_stack.client.results import (
    number_of,
    object_of,
    optional_number_of,
    optional_text_of,
    read_items,
    read_object,
    text_of,
)

FIRST_POLL_S = 0.2
MAX_POLL_S = 2.0
POLL_GROWTH = 1.5
MAX_OUTAGE_S = 120.0
"""A server that is started anew, its machine with it, is back by then; its jobs go on."""
_AWAY_STATUSES = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Job:
    """A transcription on the server; times are seconds since 1970, or seconds of audio.

    Attributes:
        id: For all further calls.
        status: queued, running, completed, failed or cancelled.
        percent: 0 to 100; None while not known, as `eta_s` is, the seconds that are left.
        queue_place: 1 is next; None for a job that does not wait.
        is_background: False for a request that somebody waits for on an open connection.
        language: Code of the spoken language, once completed.
        error: Why it failed.
        warnings: What of the file was not heard, or not translated, once completed.
        error_type: OpenAI's type of that; `invalid_request_error` where the file or the request was at fault.
        task: transcribe, translate or align.
        target_language: What its text is put into, as it was asked for.
        fallback: What was done in the second-best way, once completed, and `fallback_model` the model that did it in
            place of the one asked for.
    """

    id: str
    status: str
    created_at: float
    percent: float | None = None
    eta_s: float | None = None
    done_s: float = 0.0
    total_s: float | None = None
    queue_place: int | None = None
    filename: str | None = None
    is_background: bool = True
    language: str | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    fallback: str | None = None
    fallback_model: str | None = None
    error_type: str | None = None
    task: str | None = None
    target_language: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status in {"completed", "failed", "cancelled"}


class JobFailedError(VoiceStackClientError):
    """A job that was waited for failed or was cancelled; `job` is its last state."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"{job.id} {job.status}: {job.error or 'somebody cancelled it'}")
        self.job = job


OnProgress = Callable[[Job], None]


def is_away(error: VoiceStackClientError) -> bool:
    """Whether a server that answers so may only be starting anew, or busy."""
    return error.status in _AWAY_STATUSES if isinstance(error, ApiError) else is_retryable(error)


def _job(data: Mapping[str, object]) -> Job:
    place = optional_number_of(data, "queue_place")
    error, warnings = data.get("error"), data.get("warnings")
    return Job(
        id=text_of(data, "id"),
        status=text_of(data, "status"),
        created_at=number_of(data, "created_at"),
        percent=optional_number_of(data, "percent"),
        eta_s=optional_number_of(data, "eta_s"),
        done_s=optional_number_of(data, "done_s") or 0.0,
        total_s=optional_number_of(data, "total_s"),
        queue_place=None if place is None else int(place),
        filename=optional_text_of(data, "filename"),
        is_background=data.get("background") is not False,
        language=optional_text_of(data, "language"),
        error=None if error is None else text_of(object_of(error), "message"),
        warnings=tuple(map(str, warnings)) if isinstance(warnings, list) else (),
        fallback=optional_text_of(data, "fallback"),
        fallback_model=optional_text_of(data, "fallback_model"),
        error_type=None if error is None else optional_text_of(object_of(error), "type"),
        task=optional_text_of(data, "task"),
        target_language=optional_text_of(data, "target_language"),
    )


def parse_job(response: httpx2.Response) -> Job:
    """Read a job object."""
    return read_object(response, _job)


parse_jobs = read_items("data", _job)
