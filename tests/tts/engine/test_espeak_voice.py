"""What reads texts for Piper's voices keeps no memory, and changes its voice when it is told to."""

import os
import subprocess
import sys
import textwrap

import psutil
from piper.phonemize_espeak import EspeakPhonemizer

from voice_stack.tts.engine.piper import set_voices_once

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


def test_a_voice_is_set_again_after_the_data_are_read_again() -> None:
    # Freed memory is filled, and this thread gets none that another one freed: the old data would be read as garbage.
    environment = {**os.environ, "MALLOC_PERTURB_": "85"}
    program = textwrap.dedent("""
        import threading
        from piper.phonemize_espeak import EspeakPhonemizer
        from voice_stack.tts.engine.piper import set_voices_once

        def read():
            readings.append(EspeakPhonemizer().phonemize("en-us", "kitchen"))

        set_voices_once()
        readings = []
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        read()
        assert readings[0] == readings[1], readings
    """)
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
