"""Every error of all servers: one tree, each class with the HTTP answer it becomes.

VoiceStackError                    500 server_error
├── ConfigurationError             never HTTP: one line on the terminal, exit code 1
├── InvalidRequestError            400 invalid_request_error
│   ├── UnsupportedValueError      400 code unsupported_value
│   ├── InvalidAudioError          400 param file
│   │   └── AudioTooShortError     400 code audio_too_short
│   └── PayloadTooLargeError       413
├── AuthenticationError            401 code invalid_api_key
├── PermissionDeniedError          403 the key, or the web page, may not do this
│   └── LicenceNotAcceptedError    403 code licence_not_accepted
├── ConflictError                  409 the job is not in a state for this
├── NotFoundError                  404
│   └── ModelNotFoundError         404 code model_not_found
├── RequestTimeoutError            408 the request did not arrive in time
├── TargetTooLongError             414
├── HeadTooLargeError              431
├── UpgradeRequiredError           426 the URL is a WebSocket's
├── TooManyRequestsError           429 code rate_limit_exceeded
│   └── QueueFullError             429 code queue_full
├── EngineError                    500 the model failed on this work
│   ├── EngineCrashedError         500 the engine process died under this work, twice
│   └── ModelLoadError             500 not worth a retry
├── ModelBusyError                 409 code model_busy
├── OverloadedError                503 code overloaded
├── ShuttingDownError              503
├── EngineUnavailableError         503 code engine_unavailable, with Retry-After
├── KeysUnreadableError            503 code keys_unreadable
├── InsufficientMemoryError        503 code insufficient_memory, not worth a retry
├── UpstreamError                  502 code upstream_failed: another server that this one asks
│   ├── KeyRefusedError            502 code upstream_failed, not worth a retry
│   └── ProviderError              502 code provider_failed: a provider fails, cannot be reached, or lies
│       ├── ProviderAuthError      502 code provider_auth: it refuses our key, or its account has no credit
│       ├── ProviderBusyError      503 code provider_busy, with Retry-After
│       └── ProviderTimeoutError   504 code provider_timeout
├── NoLanguageModelError           503 code no_language_model, not worth a retry
└── StorageFullError               507

The same objects cross the border between engine process and API process: they pickle with all their fields. Where one
says `may_work_elsewhere`, the fall-back model of the settings is tried before a client is told.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic_core import ErrorDetails

_places: dict[str, str] = {}


class VoiceStackError(Exception):
    """Base of the tree.

    Args:
        message: For the user: names the bad value and the good ones.
        param: Name of the request field at fault, if one is.
        code: OpenAI's machine-readable code; the class has a default.
        retry_after_s: When a retry may succeed; the class may have a default.
    """

    status: ClassVar[int] = 500
    own_type: ClassVar[str | None] = None
    """OpenAI's type, where it does not follow from the status."""
    default_code: ClassVar[str | None] = None
    default_param: ClassVar[str | None] = None
    retryable: ClassVar[bool | None] = None
    """True or False is said to clients as `x-should-retry`; None leaves it to the status."""
    may_work_elsewhere: ClassVar[bool] = False
    """Whether another engine may do the work that failed so: it is not the request that is at fault."""
    retry_after_s: float | None = None
    """Said to clients as `Retry-After`; None: nobody knows."""

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param if param is not None else self.default_param
        self.code = code if code is not None else self.default_code
        self.retry_after_s = retry_after_s if retry_after_s is not None else self.retry_after_s

    def body(self) -> dict[str, dict[str, str | None]]:
        """The JSON body OpenAI's clients expect."""
        return {"error": {"message": self.told, "type": self.type, "param": self.param, "code": self.code}}

    @property
    def type(self) -> str:
        """OpenAI's type."""
        return self.own_type or type_of(self.status)

    @property
    def told(self) -> str:
        """The message as clients get it: without the folders of this machine."""
        told = self.message
        for path, name in _places.items():
            told = told.replace(path, name)
        return told

    def headers(self) -> dict[str, str]:
        """Response headers that go with the body."""
        advice = {} if self.retryable is None else {"x-should-retry": str(self.retryable).lower()}
        return advice if self.retry_after_s is None else advice | tell_retry_after(self.retry_after_s)


def type_of(status: int) -> str:
    """OpenAI's type of an error with that status."""
    return "server_error" if status >= 500 else "invalid_request_error"


def name_places(places: Mapping[str, Path]) -> None:
    """Have names stand for folders of this machine in what clients are told; logs and terminals go on telling them.

    Args:
        places: Name -> folder or file.
    """
    paths = {str(path.expanduser().absolute()): name for name, path in places.items()}
    _places.update(sorted((paths | _places).items(), key=lambda place: -len(place[0])))


def tell_retry_after(wait_s: float) -> dict[str, str]:
    """Response headers that ask a client to wait: whole seconds for everybody, milliseconds for OpenAI's clients."""
    return {"retry-after": str(max(1, math.ceil(wait_s))), "retry-after-ms": str(max(1, math.ceil(1000 * wait_s)))}


class ConfigurationError(VoiceStackError):
    """A setting, a missing extra, a busy port: the server cannot start."""


class InvalidRequestError(VoiceStackError):
    """The request cannot be served as it is."""

    status = 400


class UnsupportedValueError(InvalidRequestError):
    """A field has a value that this server, model or engine does not have."""

    default_code = "unsupported_value"


class InvalidAudioError(InvalidRequestError):
    """The uploaded file holds no audio that can be decoded."""

    default_param = "file"


class AudioTooShortError(InvalidAudioError):
    """The uploaded audio is below OpenAI's minimum of 0.1 seconds."""

    default_code = "audio_too_short"


class PayloadTooLargeError(InvalidRequestError):
    """The request body is larger than the server takes."""

    status = 413


class AuthenticationError(VoiceStackError):
    """No API key, or one that this server does not know."""

    status = 401
    default_code = "invalid_api_key"

    def headers(self) -> dict[str, str]:
        """Says, as HTTP asks for, how to come in (RFC 9110, 11.6.1)."""
        return {"www-authenticate": "Bearer", **super().headers()}


class PermissionDeniedError(VoiceStackError):
    """Who asks is known, or is a web page of somebody else, and may not do this."""

    status = 403
    retryable = False


class LicenceNotAcceptedError(PermissionDeniedError):
    """The model's licence has to be accepted by the operator before it is used."""

    default_code = "licence_not_accepted"
    default_param = "model"


class NotFoundError(VoiceStackError):
    """Nothing has that name."""

    status = 404


class ConflictError(VoiceStackError):
    """What the request is about is not in a state for it: a result that is not there yet, a job that was cancelled."""

    status = 409
    retryable = False


class ModelNotFoundError(NotFoundError):
    """No model has that name here."""

    may_work_elsewhere = True
    default_code = "model_not_found"
    default_param = "model"


class ModelBusyError(VoiceStackError):
    """The model works for somebody and cannot be unloaded now; clients may try again."""

    status = 409
    default_code = "model_busy"
    default_param = "model"


class EngineError(VoiceStackError):
    """The engine failed on this work."""

    may_work_elsewhere = True


class EngineCrashedError(EngineError):
    """The engine process died while it worked on this, and died again at the second try."""

    default_code = "engine_crashed"
    retryable = False


class ModelLoadError(EngineError):
    """The model is there, but does not load."""

    default_code = "model_load_failed"
    retryable = False


class ShuttingDownError(VoiceStackError):
    """The server is stopping and takes no new work."""

    status = 503
    default_code = "shutting_down"
    retry_after_s = 5.0  # a server that is restarted listens again after about as long


class EngineUnavailableError(VoiceStackError):
    """The engine's processes died again and again: it is left alone for a while."""

    status = 503
    may_work_elsewhere = True
    default_code = "engine_unavailable"
    default_param = "model"


class KeysUnreadableError(VoiceStackError):
    """The file of keys is damaged and no other key is known: nobody can be let in."""

    status = 503
    default_code = "keys_unreadable"


class InsufficientMemoryError(VoiceStackError):
    """The model needs more memory than the server may use for models."""

    status = 503
    may_work_elsewhere = True
    default_code = "insufficient_memory"
    default_param = "model"
    retryable = False


class StorageFullError(VoiceStackError):
    """The disk, or this user's share of it, has no room for the upload, or cannot be written."""

    status = 507
    default_code = "storage_full"


class RequestTimeoutError(VoiceStackError):
    """The request came too slowly, or stopped in the middle."""

    status = 408
    default_code = "request_timeout"


class RangeError(VoiceStackError):
    """A part of an answer is asked for that begins behind its end.

    Args:
        message: What is wrong.
        size: Of the answer, in bytes.
    """

    status = 416

    def __init__(self, message: str, *, size: int = 0) -> None:
        super().__init__(message)
        self.size = size

    def headers(self) -> dict[str, str]:
        """Tells the size (RFC 9110, 15.5.17)."""
        return {"content-range": f"bytes */{self.size}", **super().headers()}


class TargetTooLongError(VoiceStackError):
    """The URL in the first line of the request is too long."""

    status = 414


class HeadTooLargeError(VoiceStackError):
    """The head of the request, or what follows a chunked body, has too many header fields or too large ones."""

    status = 431


class UpgradeRequiredError(VoiceStackError):
    """The URL is a WebSocket's, and the request does not open one."""

    status = 426

    def headers(self) -> dict[str, str]:
        """Says what to upgrade to (RFC 9110, 15.5.22; RFC 6455, 4.4)."""
        return {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13", **super().headers()}


class TooManyRequestsError(VoiceStackError):
    """This key or this client asks too often, or too much at once."""

    status = 429
    own_type = "requests"
    default_code = "rate_limit_exceeded"


class QueueFullError(TooManyRequestsError):
    """What is waiting already would hold this request up for longer than the operator allows."""

    own_type = "rate_limit_error"
    default_code = "queue_full"


class OverloadedError(VoiceStackError):
    """More clients are connected than the server can serve."""

    status = 503
    default_code = "overloaded"
    retry_after_s = 1.0


class UpstreamError(VoiceStackError):
    """Another server, which this one asks, cannot be reached or has failed; the message names it and what it said."""

    status = 502
    may_work_elsewhere = True
    default_code = "upstream_failed"


class KeyRefusedError(UpstreamError):
    """Another server refuses the key that the operator has set for it."""

    retryable = False


class ProviderError(UpstreamError):
    """A provider, who does the work of a model, cannot be reached, has failed, or has answered what cannot be.

    Args:
        message: Names the provider and what it said, never the key.
        code: As for every error.
        retry_after_s: As for every error.
        again_s: Seconds after which the same question may be answered; None: it will not.
    """

    default_code = "provider_failed"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retry_after_s: float | None = None,
        again_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, retry_after_s=retry_after_s)
        self.again_s = again_s


class ProviderAuthError(ProviderError):
    """A provider refuses the operator's key, or its account has no credit left; the client's own key was right."""

    default_code = "provider_auth"
    retryable = False


class ProviderBusyError(ProviderError):
    """A provider wants fewer questions, and was asked three times."""

    status = 503
    default_code = "provider_busy"
    retry_after_s = 10.0


class ProviderTimeoutError(ProviderError):
    """A provider did not answer in time, or stopped in the middle."""

    status = 504
    default_code = "provider_timeout"


class NoLanguageModelError(VoiceStackError):
    """There is no language model to talk with: the operator has named none."""

    status = 503
    default_code = "no_language_model"
    retryable = False


def tell_problem(problem: ErrorDetails) -> str:
    """What pydantic says of a value, without the words that it puts before the messages of our own checks."""
    return problem["msg"].removeprefix("Value error, ")
