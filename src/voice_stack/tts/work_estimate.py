"""How long a text is when it is spoken: the measure of its work."""

from collections.abc import Sequence

from voice_stack.tts.request import SpeechRequest

CHARACTERS_PER_SECOND = 15.0
"""Usual pace of speech."""
LISTENED_AHEAD_S = 30.0
"""Who listens while a speech is made waits for its beginning; the rest is made while that is heard."""


def text_s(text: str, speed: float) -> float:
    """Seconds that a text takes at a speed."""
    return len(text) / CHARACTERS_PER_SECOND / speed


def speech_s(request: SpeechRequest) -> float:
    """Seconds of speech that a request comes to."""
    return sum(text_s(passage.text, passage.speed) for passage in request.passages)


def awaited_s(requests: Sequence[SpeechRequest]) -> float:
    """How much of a speech somebody waits for, in seconds: its beginning, or all where it is only wanted whole.

    Args:
        requests: The parts of the speech in order, one at least.
    """
    all_s = sum(map(speech_s, requests))
    return min(all_s, LISTENED_AHEAD_S) if requests[0].is_awaited else all_s
