"""How well a model hears clips: words and characters wrong, terms one by one; and whether tuning made it worse."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import jiwer

from voice_stack.asr.engine.base import AsrEngine
from voice_stack.asr.request import DecodeOptions
from voice_stack.finetune.clips import MAX_CLIP_S, Clip, read_sounds
from voice_stack.finetune.plan import HeardClip, Score, TermScore
from voice_stack.utils.audio.pcm import Samples
from voice_stack.utils.audio.vad import SAMPLE_RATE

SHOWN = 10
"""Of the clips with the most errors."""
GENERAL_LOSS = 0.01
"""Of the words of general speech may be lost: less is chance."""
_BY_CHARACTER = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km", "bo"})
"""Written without blanks: each character counts as a word."""

Normalise = Callable[[str], str]
Heard = Mapping[Clip, str]


def hear(engine: AsrEngine, clips: Sequence[Clip], language: str, tell: Callable[[int], None]) -> dict[Clip, str]:
    """What a model hears in clips; those that are empty or longer than 30 s are left out.

    Args:
        engine: Of a server: its text is that of a request without a prompt.
        clips: With whatever text.
        language: Code of what is spoken.
        tell: Is told after each clip how many are done.

    Raises:
        EngineError: The model failed.
        InvalidAudioError: A file holds no sound that can be decoded.
    """

    def decode(sound: Samples) -> str | None:
        if not 0 < sound.size <= MAX_CLIP_S * SAMPLE_RATE:
            return None
        (result,) = engine.decode([sound], DecodeOptions(language))
        return " ".join(segment.text.strip() for segment in result.segments)

    heard, done, sounds = dict[Clip, str](), 0, read_sounds(clips)
    with ThreadPoolExecutor(engine.lanes) as pool:
        while group := list(islice(sounds, engine.lanes)):
            texts = pool.map(decode, [sound for _, sound in group])
            heard |= {clip: text for (clip, _), text in zip(group, texts, strict=True) if text is not None}
            done += len(group)
            tell(done)
    return heard


def choose_normaliser(language: str) -> Normalise:
    """How texts are made comparable: case, marks and, in English, spellings and numbers do not count.

    As Radford et al. 2022 (arXiv:2212.04356, appendix C) do.
    """
    from whisper_normalizer.basic import BasicTextNormalizer
    from whisper_normalizer.english import EnglishTextNormalizer

    if language == "en":
        return lambda text: str(EnglishTextNormalizer()(text))
    by_character = BasicTextNormalizer(split_letters=language in _BY_CHARACTER)
    return lambda text: str(by_character(text)).strip()


def score(heard: Heard, normalise: Normalise) -> Score:
    """Errors over all clips together; a clip whose text has no word in it does not count."""
    said, texts = list[str](), list[str]()
    for clip, text in heard.items():
        if words := normalise(clip.text):
            said.append(words)
            texts.append(normalise(text))
    if not said:
        return Score(0.0, 0.0, 0)
    return Score(float(jiwer.wer(said, texts)), float(jiwer.cer(said, texts)), sum(len(text.split()) for text in said))


def score_terms(terms: Sequence[str], before: Heard, after: Heard, normalise: Normalise) -> tuple[TermScore, ...]:
    """How often each term is said, and heard in the clips where it is said."""

    def count(term: str, text: str) -> int:
        words, wanted = normalise(text).split(), normalise(term).split()
        size = len(wanted)
        return sum(words[n : n + size] == wanted for n in range(len(words))) if size else 0

    def heard_in(term: str, heard: Heard) -> int:
        return sum(min(count(term, clip.text), count(term, text)) for clip, text in heard.items())

    return tuple(
        TermScore(term, sum(count(term, clip.text) for clip in before), heard_in(term, before), heard_in(term, after))
        for term in terms
    )


def find_worst(before: Heard, after: Heard, normalise: Normalise) -> tuple[HeardClip, ...]:
    """The clips with the most errors after, worst first."""
    rated = [
        HeardClip(clip, before[clip], text, float(jiwer.wer(said, normalise(text))))
        for clip, text in after.items()
        if (said := normalise(clip.text))
    ]
    return tuple(sorted((one for one in rated if one.wer), key=lambda one: -one.wer)[:SHOWN])


def find_refusal(before: Score, after: Score, general_before: Score | None, general_after: Score | None) -> str | None:
    """Why a tuned model is not to be used, for people; None: it hears no worse."""
    if after.wer > before.wer:
        return (
            f"It hears the held-out clips worse: {after.wer:.1%} of the words are wrong, {before.wer:.1%} were before."
        )
    if general_before and general_after:
        lost = (general_after.wer - general_before.wer) * general_after.words
        if lost > max(1.0, GENERAL_LOSS * general_after.words):
            return (
                f"It has forgotten other speech: {general_after.wer:.1%} of its words are wrong, "
                f"{general_before.wer:.1%} were before."
            )
    return None
