"""What a loaded model cannot do is refused, in words that name an engine which can; never left out in silence."""

from collections.abc import Callable
from dataclasses import dataclass

from voice_stack.asr.engine.base import EngineCapabilities
from voice_stack.asr.request import TranscriptionRequest
from voice_stack.core.errors import UnsupportedValueError


@dataclass(frozen=True, slots=True)
class _Limit:
    """One thing that models differ in.

    Attributes:
        is_asked: Whether a request needs it.
        is_able: Whether a model has it.
        lack: What is said of a model that has it not.
        remedy: Who has it.
        param: The request's field.
    """

    is_asked: Callable[[TranscriptionRequest], bool]
    is_able: Callable[[EngineCapabilities, TranscriptionRequest], bool]
    lack: Callable[[EngineCapabilities, TranscriptionRequest], str]
    remedy: str
    param: str


_WHISPER = "engines faster-whisper and whisper"

_LIMITS: tuple[_Limit, ...] = (
    _Limit(
        lambda request: request.language is not None,
        lambda can, request: request.language in can.languages,
        lambda can, request: (
            f"does not understand language {request.language!r}; it understands {', '.join(can.languages)}"
        ),
        f"a multilingual Whisper model such as base, in {_WHISPER}, understands 99 languages",
        "language",
    ),
    _Limit(
        lambda request: bool(request.candidate_languages),
        lambda can, request: set(request.candidate_languages) <= set(can.languages),
        lambda can, request: (
            f"does not understand all of the languages {', '.join(request.candidate_languages)}; "
            f"it understands {', '.join(can.languages)}"
        ),
        f"a multilingual Whisper model such as base, in {_WHISPER}, understands 99 languages",
        "languages",
    ),
    _Limit(
        lambda request: request.token_logprobs,
        lambda can, _request: can.token_logprobs,
        lambda _can, _request: "gives no log-probabilities of tokens",
        "engine faster-whisper does",
        "include",
    ),
    _Limit(
        lambda request: request.task == "translate",
        lambda can, _request: can.translate,
        lambda _can, _request: "cannot translate",
        f"a multilingual Whisper model such as base can, in {_WHISPER}",
        "model",
    ),
    # An empty prompt, which some clients send always, is no prompt.
    _Limit(
        lambda request: bool(request.prompt and request.prompt.strip()),
        lambda can, _request: can.prompt,
        lambda _can, _request: "takes no prompt",
        f"Whisper models do, in {_WHISPER}",
        "prompt",
    ),
    _Limit(
        lambda request: request.word_timestamps,
        lambda can, _request: can.words,
        lambda _can, _request: "gives no word times",
        f"{_WHISPER}, and parakeet, do",
        "timestamp_granularities",
    ),
)


def check_limits(request: TranscriptionRequest, can: EngineCapabilities, *, model: str, engine: str) -> None:
    """Refuse what a model cannot do.

    Args:
        request: What is asked for.
        can: What the loaded model can do.
        model: Its name, for the message.
        engine: That of its engine.

    Raises:
        UnsupportedValueError: It cannot.
    """
    for limit in _LIMITS:
        if limit.is_asked(request) and not limit.is_able(can, request):
            message = f"model {model} (engine {engine}) {limit.lack(can, request)}; {limit.remedy}"
            raise UnsupportedValueError(message, param=limit.param)
