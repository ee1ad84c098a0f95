"""A real engine without a model, for what models do not show on demand: slowness, crashes, failures.

The text says what to do, as words between other words: the commands of `FAULTS`, carried out for each clause, and
`pieces=0.5` (an awaited clause comes in pieces of half a second, so many seconds apart). The model's name may hold
commands for its loading. Everything is spoken as a tone of 0.06 s per character: of 220 Hz, or for a cloned voice of a
pitch that the content of its recordings gives.
"""

import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from voice_stack.core.errors import EngineError
from voice_stack.core.system.files import open_regular
from voice_stack.tts.engine.base import Spoken, TtsEngine, VoiceOptions
from voice_stack.utils.faults import load_as_named, obey

SAMPLE_RATE = 22_050
SECONDS_PER_CHARACTER = 0.06
OWN_PITCH_HZ = 220.0
PIECE = SAMPLE_RATE // 2
_COMMAND = re.compile(r"sleep=[\d.]*\d|memory=\d+|crash-once=\S+|\b(?:crash|fail|hang|freeze)\b")


class FakeEngine(TtsEngine):
    """Hums instead of speaking."""

    sample_rate = SAMPLE_RATE

    def __init__(self, model_dir: Path, *, device: str, threads: int, cache_dir: Path | None = None) -> None:
        super().__init__(model_dir, device=device, threads=threads, cache_dir=cache_dir)
        load_as_named(model_dir.parent, model_dir.name)

    def synthesize(self, text: str, options: VoiceOptions) -> Iterator[Spoken]:
        obey(_COMMAND.findall(text))
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
            with open_regular(path) as file:
                digest.update(file.read())
        except OSError as error:
            raise EngineError(f"recording {path.name} cannot be read: {error.strerror}") from error
    return 300.0 + digest.digest()[0]
