"""A real engine without a model, for what models do not show on demand: slowness, crashes, failures.

The text says what to do, as words between other words: `sleep=0.5` (seconds per clause), `crash`,
`crash-once=/path/of/a/marker/file`, `fail`, `pieces=0.5` (an awaited clause comes in pieces of half a second, so many
seconds apart). Everything is spoken as a tone of 0.06 s per character: of 220 Hz, or for a cloned voice of a pitch that
the content of its recordings gives.
"""

import hashlib
import os
import re
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from voice_stack.core.errors import EngineError
from voice_stack.tts.engine.base import Spoken, TtsEngine, VoiceOptions

SAMPLE_RATE = 22_050
SECONDS_PER_CHARACTER = 0.06
OWN_PITCH_HZ = 220.0
PIECE = SAMPLE_RATE // 2


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
        pitch_hz = cloned_pitch_hz(options.voice.recordings) if options.voice.recordings else OWN_PITCH_HZ
        count = int(len(text) * SECONDS_PER_CHARACTER / options.speed * SAMPLE_RATE)
        tone = (0.3 * np.sin(2 * np.pi * pitch_hz / SAMPLE_RATE * np.arange(count))).astype(np.float32)
        if options.is_awaited and (found := re.search(r"pieces=([\d.]*\d)", text)):
            while tone.size > PIECE:
                yield Spoken(tone[:PIECE], goes_on=True)
                tone = tone[PIECE:]
                time.sleep(float(found[1]))
        yield Spoken(tone)


def cloned_pitch_hz(recordings: Iterable[Path]) -> float:
    """The pitch of a cloned voice, 300 to 555 Hz in steps of 1 Hz: the same for the same files.

    Raises:
        EngineError: A recording is not there.
    """
    digest = hashlib.sha256()
    for path in recordings:
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise EngineError(f"recording {path.name} cannot be read: {error.strerror}") from error
    return 300.0 + digest.digest()[0]
