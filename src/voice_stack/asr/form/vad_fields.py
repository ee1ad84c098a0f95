"""What a request's fields say of the voice activity detector, in three dialects."""

from typing import TypeVar

from voice_stack.asr.form.fields import ChunkingStrategy, TranslationForm, VadParameters
from voice_stack.asr.request import VadChoice

ValueT = TypeVar("ValueT")
_OPENAI_THRESHOLDS = (0.01, 0.99)
"""OpenAI's threshold may be 0 or 1, with which the detector would find everything or nothing."""


def read_vad_choice(fields: TranslationForm, strategy: ChunkingStrategy | None) -> VadChoice:
    """What the fields say of the detector: single fields count before `vad_parameters`, these before the strategy."""
    by_strategy = VadChoice()
    if strategy is not None and strategy.type == "server_vad":
        low, high = _OPENAI_THRESHOLDS
        by_strategy = VadChoice(
            enabled=True,
            threshold=None if strategy.threshold is None else min(max(strategy.threshold, low), high),
            min_silence_ms=strategy.silence_duration_ms,
            speech_pad_ms=strategy.prefix_padding_ms,
        )
    library = fields.vad_parameters or VadParameters()
    return VadChoice(
        enabled=_first(fields.vad_filter, by_strategy.enabled),
        threshold=_first(fields.vad_threshold, library.threshold, by_strategy.threshold),
        neg_threshold=library.neg_threshold,
        min_speech_ms=library.min_speech_duration_ms,
        min_silence_ms=_first(
            fields.min_silence_duration_ms, library.min_silence_duration_ms, by_strategy.min_silence_ms
        ),
        speech_pad_ms=_first(fields.speech_pad_ms, library.speech_pad_ms, by_strategy.speech_pad_ms),
    )


def _first(*values: ValueT | None) -> ValueT | None:
    return next((value for value in values if value is not None), None)
