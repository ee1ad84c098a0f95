"""What is kept of a background job, on disk and in memory."""

import re
import secrets
from dataclasses import dataclass, field
from typing import Literal

from voice_stack.core.errors import NotFoundError, VoiceStackError

Status = Literal["queued", "running", "completed", "failed", "cancelled"]
WebhookStatus = Literal["pending", "delivered", "failed"]

_ID = re.compile(r"job_[0-9a-f]{32}")


def new_job_id() -> str:
    """An id that nobody can guess: 128 random bits."""
    return f"job_{secrets.token_hex(16)}"


def is_job_id(text: str) -> bool:
    """Whether a text has the form of our ids; nothing else may become part of a path."""
    return _ID.fullmatch(text) is not None


def unknown_job(job_id: str) -> NotFoundError:
    """The error for an id that no job has."""
    return NotFoundError(
        f"There is no job {job_id[:60]!r}: it never was, was removed, or its time is over.", code="job_not_found"
    )


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed, in the fields of OpenAI's errors."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None

    @classmethod
    def of(cls, error: VoiceStackError) -> "JobError":
        """The fields of an exception."""
        return cls(error.told, error.type, error.param, error.code)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where the end of a job is told, and how that went; `error` is what the last attempt met."""

    url: str
    status: WebhookStatus = "pending"
    attempts: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One background job; all times in seconds since 1970.

    Attributes:
        id: As `new_job_id` makes them.
        created_at: When its upload was complete.
        task: `transcribe` or `translate`.
        fields: The form as it was sent, so that a restarted server reads it the way the first one did.
        filename: The upload's name as the client sent it; `content_type` and `size_bytes` are the upload's, too.
        request_id: The HTTP request it came with, for the logs.
        owner: The key or the address it came from; see `name_caller`.
        starts: How often the engine was given this job; more than once after the server was stopped meanwhile.
        audio_s: Length of the audio, known when completed; `language` is its language.
    """

    id: str
    created_at: float
    task: str
    fields: dict[str, list[str]]
    filename: str
    content_type: str
    size_bytes: int
    request_id: str = ""
    owner: str = ""
    status: Status = "queued"
    starts: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    audio_s: float | None = None
    language: str | None = None
    error: JobError | None = None
    webhook: Webhook | None = field(default=None)

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.finished_at is not None
