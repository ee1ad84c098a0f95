"""What reads texts for Piper's voices keeps no memory, and changes its voice when it is told to."""

import psutil
from piper.phonemize_espeak import EspeakPhonemizer

from voice_stack.tts.engine.espeak_voice import set_voices_once

TEXTS = 6_000
MAX_GROWTH_BYTES = 3 << 20
"""Without it 8 MB are lost."""


def test_reading_keeps_no_memory() -> None:
    set_voices_once()
    phonemizer = EspeakPhonemizer()
    english = phonemizer.phonemize("en-us", "kitchen")
    before = psutil.Process().memory_info().rss
    for _ in range(TEXTS):
        phonemizer.phonemize("en-us", "kitchen")
    assert psutil.Process().memory_info().rss - before < MAX_GROWTH_BYTES
    german = phonemizer.phonemize("de", "kitchen")
    assert german != english
    assert phonemizer.phonemize("en-us", "kitchen") == english
