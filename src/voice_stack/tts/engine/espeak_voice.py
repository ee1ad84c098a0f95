"""The voice of the espeak-ng inside piper-tts, set only where it changes.

piper-tts sets it for every text, and the pronunciation of each word is a text of its own. Setting it takes 1.3 KB each
time that are never given back (piper-tts 1.8.0): a voice that speaks all day would grow by hundreds of MiB.
"""

from collections.abc import Callable

from piper import espeakbridge


class _VoiceSetter:
    """Passes on the voices that differ from the last one; piper-tts calls it under a lock of its own."""

    def __init__(self, set_voice: Callable[[str], None]) -> None:
        self._set_voice = set_voice
        self._voice: str | None = None

    def __call__(self, voice: str) -> None:
        if voice != self._voice:
            self._set_voice(voice)
            self._voice = voice


def set_voices_once() -> None:
    """From now on piper-tts sets a voice that is set already at no cost."""
    if not isinstance(espeakbridge.set_voice, _VoiceSetter):
        espeakbridge.set_voice = _VoiceSetter(espeakbridge.set_voice)
