"""A real engine without a model, for what models do not show on demand: slowness, crashes, failures.

The text says what to do, as words between other words: `sleep=0.5` (seconds per clause), `crash`,
`crash-once=/path/of/a/marker/file`, `fail`. Everything is spoken as a tone of 0.06 s per character.
"""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from voice_stack.core.errors import EngineError
from voice_stack.tts.engine.base import Spoken, TtsEngine, VoiceOptions

SAMPLE_RATE = 22_050
SECONDS_PER_CHARACTER = 0.06


class FakeEngine(TtsEngine):
    """Hums instead of speaking."""

    sample_rate = SAMPLE_RATE

    def synthesize(self, text: str, options: VoiceOptions) -> Iterator[Spoken]:
        if found := re.search(r"sleep=([\d.]*\d)", text):
            time.sleep(float(found[1]))
        if found := re.search(r"crash-once=(\S+)", text):
            marker = Path(found[1])
            if not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        elif "crash" in text:
            os.kill(os.getpid(), signal.SIGKILL)
        if "fail" in text:
            raise EngineError("the fake engine was told to fail")
        count = int(len(text) * SECONDS_PER_CHARACTER / options.speed * SAMPLE_RATE)
        yield Spoken((0.3 * np.sin(2 * np.pi * 220 / SAMPLE_RATE * np.arange(count))).astype(np.float32))
