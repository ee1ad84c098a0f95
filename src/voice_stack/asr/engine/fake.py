"""An engine without a model, for what a model cannot show: slow work, failures, crashes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE, AsrEngine, WindowResult, check_windows, decode_language
from voice_stack.asr.models import CAPABILITIES
from voice_stack.asr.request import DecodeOptions, EngineOptions
from voice_stack.asr.transcript import Segment, TokenLogprob, Word
from voice_stack.core.errors import EngineError
from voice_stack.utils.faults import load_as_named, obey

GERMAN_MEAN = 0.1
UNHEARD_MEAN = -0.1


class FakeEngine(AsrEngine):
    """Obeys commands in the prompt or in a text to align, carried out once for each window, and in its model's name.

    The commands are those of `FAULTS`; `draft-` before one means drafts alone.
    A window of three seconds is heard as " window 3.0 s.", one that is to be translated as " translated 3.0 s."; or as
    what stands behind `text=` in the prompt, to its end, or as the `fake_text` of the options.
    Of a text to align all is said but words with `unsaid` in them.
    Its language is English; German where the samples lie above zero on average; where they lie below, finding it fails.
    """

    def __init__(self, model_dir: Path, options: EngineOptions) -> None:
        super().__init__(model_dir, options)
        load_as_named(model_dir.parent, model_dir.name)

    capabilities = CAPABILITIES["fake"]

    def detect_language(self, window: NDArray[np.float32]) -> dict[str, float]:
        """See `AsrEngine.detect_language`: English; German where the mean of the samples is above 0.1.

        Raises:
            EngineError: It is below -0.1.
        """
        check_windows(window)
        if window.mean() < UNHEARD_MEAN:
            raise EngineError("The fake engine finds no language where the samples lie below zero.")
        return {"de": 0.95, "en": 0.05} if window.mean() > GERMAN_MEAN else {"en": 0.9, "de": 0.1}

    def decode(self, windows: Sequence[NDArray[np.float32]], options: DecodeOptions) -> list[WindowResult]:
        """See `AsrEngine.decode`."""
        check_windows(*windows)
        decode_language(replace(options, language=options.language or "en"), self.capabilities)
        return [_hear(window, options, self.options.fake_text) for window in windows]

    def align(
        self, windows: Sequence[NDArray[np.float32]], texts: Sequence[Sequence[str]], options: DecodeOptions
    ) -> list[tuple[Word, ...]]:
        """See `AsrEngine.align`."""
        obey(word for words in texts for word in words)
        timed = [_spread(words, window.size / SAMPLE_RATE) for window, words in zip(windows, texts, strict=True)]
        return [
            tuple(replace(word, probability=0.9 * ("unsaid" not in word.text)) for word in words) for words in timed
        ]


def _hear(window: NDArray[np.float32], options: DecodeOptions, fake_text: str) -> WindowResult:
    prompt, _, told = (options.prompt or "").partition("text=")
    asked, told = prompt.split(), told.strip() or fake_text.strip()
    obey(word.removeprefix("draft-") for word in asked if options.is_draft or not word.startswith("draft-"))
    duration_s = window.size / SAMPLE_RATE
    heard = told or f"{'translated' if options.task == 'translate' else 'window'} {duration_s:.1f} s."
    text = f" {heard}"
    words = _spread(text.split(), duration_s) if options.word_timestamps else ()
    tokens = tuple(range(len(text.split())))
    logprobs = tuple(TokenLogprob(f" {part}".encode(), -0.1) for part in text.split()) if options.token_logprobs else ()
    segment = Segment(
        text, 0.0, duration_s, tokens, options.temperature, -0.1, 1.0, 0.01, words=words, logprobs=logprobs
    )
    return WindowResult((segment,), -0.1, 1.0, 0.01, duration_s)


def _spread(texts: Sequence[str], duration_s: float) -> tuple[Word, ...]:
    edges = [*(duration_s * number / len(texts) for number in range(len(texts))), duration_s]
    return tuple(Word(text, edges[n], edges[n + 1], 0.9) for n, text in enumerate(texts))
