"""How long a text is when it is spoken: the measure of its work."""

from typing import TYPE_CHECKING

from voice_stack.tts.request import SpeechRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voice_stack.tts.turns import Turn

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


def awaited_s(plan: "Sequence[Turn]") -> float:
    """How much of a speech somebody waits for, in seconds: its beginning, or all where it is only wanted whole."""
    all_s = sum(speech_s(turn.request) for turn in plan)
    return min(all_s, LISTENED_AHEAD_S) if plan[0].request.is_awaited else all_s
