"""What was heard in a window, from its timed tokens."""

import zlib
from collections.abc import Sequence

from voice_stack.asr.engine.base import DecodeOptions, WindowResult
from voice_stack.asr.engine.token_words import SpokenWord, TimedToken, join_words, mean_logprob, split_sentences
from voice_stack.asr.transcript import Segment


def window_result(
    tokens: Sequence[TimedToken], duration_s: float, language: str, options: DecodeOptions
) -> WindowResult:
    """One segment for each sentence; no model of this kind tells silence from speech, so `no_speech_prob` is 0.

    Args:
        tokens: In order of time.
        duration_s: Length of the window.
        language: Code of the language of the text.
        options: As asked for.
    """
    words = join_words(tokens, duration_s)
    text = " ".join(word.word.text for word in words)
    ratio = compression_ratio(text)
    return WindowResult(
        segments=tuple(_segment(sentence, ratio, options) for sentence in split_sentences(words)),
        language=language,
        language_probability=1.0,
        avg_logprob=mean_logprob(tokens),
        compression_ratio=ratio,
        no_speech_prob=0.0,
        temperature=options.temperature,
        is_complete_until_s=duration_s,
    )


def compression_ratio(text: str) -> float:
    """Bytes of a text over its bytes when compressed (Radford et al. 2022, section 4.5); high means repetition."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def _segment(words: Sequence[SpokenWord], ratio: float, options: DecodeOptions) -> Segment:
    tokens = [token for word in words for token in word.tokens]
    return Segment(
        text="".join(f" {word.word.text}" for word in words),
        start_s=words[0].word.start_s,
        end_s=words[-1].word.end_s,
        tokens=tuple(token.id for token in tokens),
        temperature=options.temperature,
        avg_logprob=mean_logprob(tokens),
        compression_ratio=ratio,
        no_speech_prob=0.0,
        words=tuple(word.word for word in words) if options.word_timestamps else (),
    )
