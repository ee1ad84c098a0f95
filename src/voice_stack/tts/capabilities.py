"""What each engine can do, known without importing it: requests are checked against this before any work."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from voice_stack.tts.kokoro_models import MISSING_EXTRAS, SPOKEN_LANGUAGES


@dataclass(frozen=True, slots=True)
class TtsCapabilities:
    """What an engine can do.

    Attributes:
        languages: Codes of the languages it speaks in any voice; empty: each voice has its own.
        clones: It takes on the voice of a recording.
        blends: It mixes voices.
        streams: It hands out a clause that is awaited in pieces, while it makes it.
        gives_word_times: It knows when each word is spoken.
        speed_range: Speeds that it keeps to by itself, and well; beyond them its speech is stretched.
        one_voice_per_model: Each voice is a model of its own, so that a model's name is a voice's.
        max_chars: Longest clause.
        language_max_chars: Longest clause in languages that allow less or more, by code.
        missing_extras: Extras of this package that would add a language, by its code; those not installed.
    """

    languages: frozenset[str] = frozenset()
    clones: bool = False
    blends: bool = False
    streams: bool = False
    gives_word_times: bool = False
    speed_range: tuple[float, float] = (1.0, 1.0)
    one_voice_per_model: bool = False
    max_chars: int = 220
    language_max_chars: Mapping[str, int] = field(default_factory=dict)
    missing_extras: Mapping[str, str] = field(default_factory=dict)


XTTS_MAX_CHARS = {
    "ar": 166, "cs": 186, "de": 253, "en": 250, "es": 239, "fr": 273, "hi": 150, "hu": 224, "it": 213, "ja": 71,
    "ko": 95, "nl": 251, "pl": 224, "pt": 203, "ru": 182, "tr": 226, "zh": 82,
}  # fmt: skip
"""The languages of XTTS-v2 with the lengths that its tokenizer warns of: longer texts lose their end."""

CAPABILITIES: dict[str, TtsCapabilities] = {
    "piper": TtsCapabilities(streams=True, speed_range=(1.0, 1.5), gives_word_times=True, one_voice_per_model=True),
    # An ideograph has five of the 510 phonemes that the model takes at once, a kana two.
    "kokoro": TtsCapabilities(
        languages=SPOKEN_LANGUAGES,
        blends=True,
        gives_word_times=True,
        speed_range=(0.7, 1.25),
        max_chars=220,
        language_max_chars={"ja": 120, "zh": 80},
        missing_extras=MISSING_EXTRAS,
    ),
    # It draws its sounds nearer or farther apart; beyond a fifth that is heard.
    "xtts": TtsCapabilities(
        languages=frozenset(XTTS_MAX_CHARS),
        clones=True,
        streams=True,
        speed_range=(0.8, 1.25),
        max_chars=min(XTTS_MAX_CHARS.values()),
        language_max_chars=XTTS_MAX_CHARS,
    ),
    "fake": TtsCapabilities(clones=True, streams=True, speed_range=(0.25, 4.0), one_voice_per_model=True),
}
