"""In which language a window is decoded, and whether the model has the task: the same question to every engine."""

from voice_stack.asr.engine.base import DecodeOptions, EngineCapabilities
from voice_stack.core.errors import EngineError


def decode_language(options: DecodeOptions, can: EngineCapabilities) -> str:
    """Code of the language to decode in; of a model that tells none apart the only one, whatever was asked for.

    Raises:
        EngineError: The model has not that language, or not that task.
    """
    language = options.language if can.language_detection else can.languages[0]
    if language is None or language not in can.languages:
        raise EngineError(f"Language {language!r} is not one of this model's: {', '.join(can.languages)}.")
    tasks = ("transcribe", "translate") if can.translate else ("transcribe",)
    if options.task not in tasks:
        raise EngineError(f"Task {options.task!r} is not one of this model's: {', '.join(tasks)}.")
    return language
