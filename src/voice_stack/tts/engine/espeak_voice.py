"""The voice of the espeak-ng inside piper-tts, set only where it changes.

piper-tts sets it for every text, and the pronunciation of each word is a text of its own. Setting it takes 1.3 KB each
time that are never given back (piper-tts 1.8.0): a voice that speaks all day would grow by hundreds of MiB.
"""

from collections.abc import Callable

from piper import espeakbridge


class _VoiceSetter:
    """Passes on the voices that differ from the last one; piper-tts calls it under a lock of its own."""

    def __init__(self, set_voice: Callable[[str], None], initialize: Callable[[str], None]) -> None:
        self._set_voice, self._initialize = set_voice, initialize
        self._voice: str | None = None

    def __call__(self, voice: str) -> None:
        if voice != self._voice:
            self._set_voice(voice)
            self._voice = voice

    def initialize(self, data_dir: str) -> None:
        """Read espeak-ng's data; a voice that was set points into the data of before, which are freed."""
        self._initialize(data_dir)
        self._voice = None


def set_voices_once() -> None:
    """From now on piper-tts sets a voice that is set already at no cost."""
    if not isinstance(espeakbridge.set_voice, _VoiceSetter):
        setter = _VoiceSetter(espeakbridge.set_voice, espeakbridge.initialize)
        espeakbridge.set_voice = setter
        espeakbridge.initialize = setter.initialize
