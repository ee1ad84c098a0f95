"""How probable each token of a Whisper text is.

The search itself gives one score for a whole text. So the finished text is read once more, in a single pass of the
decoder over all its tokens (CTranslate2's `align`), which gives the probability of each given those before it. In that
pass the model writes no timestamps; the probabilities are among text tokens.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import islice

import ctranslate2
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer

from voice_stack.asr.engine.base import WindowResult
from voice_stack.asr.transcript import TokenLogprob

_LEAST_PROBABILITY = 1e-10  # its logarithm is a number that JSON has


def score_tokens(
    model: WhisperModel, tokenizer: Tokenizer, result: WindowResult, encoded: ctranslate2.StorageView
) -> WindowResult:
    """The result with `Segment.logprobs` filled in.

    Args:
        model: The loaded model.
        tokenizer: For the language of the text.
        result: What was heard in one window.
        encoded: The encoder's output for this window alone.
    """
    spoken = [[token for token in segment.tokens if token < tokenizer.eot] for segment in result.segments]
    tokens = [token for part in spoken for token in part]
    if not tokens:
        return result
    aligned = model.model.align(encoded, tokenizer.sot_sequence, [tokens], encoded.shape[1] * model.input_stride)
    scores = zip(tokens, aligned[0].text_token_probs, strict=False)  # one more may follow, for the end of the text
    scored = (
        TokenLogprob(_token_bytes(model, token), math.log(max(float(probability), _LEAST_PROBABILITY)))
        for token, probability in scores
    )
    segments = zip(result.segments, spoken, strict=True)
    return replace(
        result,
        segments=tuple(replace(segment, logprobs=tuple(islice(scored, len(part)))) for segment, part in segments),
    )


def _token_bytes(model: WhisperModel, token: int) -> bytes:
    text: str = model.hf_tokenizer.id_to_token(token)
    return bytes(_byte_values()[character] for character in text)


@cache
def _byte_values() -> Mapping[str, int]:
    """The byte behind each character of a byte-level vocabulary (GPT-2's, section 2.2 of Radford et al. 2019).

    Printable bytes of Latin-1 stand for themselves, the others, in order, for the characters from U+0100.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}
