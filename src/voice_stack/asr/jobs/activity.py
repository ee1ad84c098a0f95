"""What the server is transcribing for requests that wait for the answer: to be seen, and to be cancelled."""

import time
from dataclasses import dataclass, field

from voice_stack.asr.jobs.record import new_job_id
from voice_stack.asr.transcriber import Transcription
from voice_stack.core.errors import ConflictError


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for, as far as it is shown: the fields are those of its job object."""

    task: str
    model: str
    response_format: str
    filename: str | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request somebody waits for; `created_at` in seconds since 1970."""

    asked: Asked
    transcription: Transcription
    id: str = field(default_factory=new_job_id)
    created_at: float = field(default_factory=time.time)

    def cancel(self) -> None:
        """Stop the work; whoever waits gets a 409."""
        handle = self.transcription.handle
        handle.cancel()
        handle.fail(ConflictError("This request was cancelled with DELETE /jobs/{id}.", code="job_cancelled"))


class Activity:
    """The open requests of one server, in the order in which they came."""

    def __init__(self) -> None:
        self._requests: dict[str, OpenRequest] = {}

    def add(self, asked: Asked, transcription: Transcription) -> None:
        """Note a request; it is forgotten when its work is over."""
        request = OpenRequest(asked, transcription)
        self._requests = {known.id: known for known in self.requests()} | {request.id: request}

    def requests(self) -> list[OpenRequest]:
        """Those whose work is not over."""
        return [request for request in self._requests.values() if not request.transcription.handle.is_over]

    def find(self, job_id: str) -> OpenRequest | None:
        """The open request with an id, None if there is none."""
        return next((request for request in self.requests() if request.id == job_id), None)
