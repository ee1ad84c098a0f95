"""The model for a task that the default model may not be able to do."""

from collections.abc import Callable

from voice_stack.asr.models import WhisperModelSpec
from voice_stack.core.errors import UnsupportedValueError
from voice_stack.core.model_names import ModelNames
from voice_stack.core.model_store import ModelStore


def find_able_model(models: ModelNames, store: ModelStore, is_able: Callable[[WhisperModelSpec], bool]) -> str | None:
    """The default model if it is able; else the largest one on this machine that is; None if there is none."""
    default = store.find(models.default)
    if not isinstance(default, WhisperModelSpec) or is_able(default):
        return models.default
    others = (spec for spec in store.catalogue.models if isinstance(spec, WhisperModelSpec) and is_able(spec))
    # The catalogue is sorted by size.
    return next((spec.name for spec in reversed(list(others)) if store.is_local(spec.name)), None)


def can_do(spec: WhisperModelSpec, task: str, language: str | None) -> bool:
    """Whether a model can do a task (`transcribe` or `translate`) on speech in a language; None: not known."""
    return spec.can_translate if task == "translate" else not spec.english_only or language in {None, "en"}


def require_able_model(models: ModelNames, store: ModelStore, task: str, language: str | None) -> str:
    """The model for a film.

    Args:
        models: Names, with the default model.
        store: Where models are.
        task: `transcribe` or `translate`.
        language: Code of the spoken language, if it is known.

    Raises:
        UnsupportedValueError: No model on this machine can do it; the message names what to install.
    """
    model = find_able_model(models, store, lambda spec: can_do(spec, task, language))
    if model is None:
        wanted = "translate" if task == "translate" else f"understand {language!r}"
        raise UnsupportedValueError(
            f"model {models.default!r} cannot {wanted}, and no other model on this machine can; set ASR_MODEL to a "
            "multilingual Whisper model such as 'base', or fetch one with `voice-stack models pull base`",
            param="task" if task == "translate" else "language",
        )
    return model
