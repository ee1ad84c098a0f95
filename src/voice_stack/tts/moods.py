"""Moods of a voice: the eleven that LiveKit's agents name, other words for them, and how a model is told of one."""

_WORDS = {
    "excited": "thrilled enthusiastic eager energetic ecstatic",
    "happy": "joyful cheerful glad joy happiness delighted amused content",
    "playful": "teasing humorous funny mischievous joking",
    "curious": "interested inquisitive intrigued",
    "surprised": "amazed astonished shocked surprise",
    "hopeful": "optimistic encouraging hope",
    "empathetic": "compassionate caring sympathetic warm kind gentle",
    "sad": "sorrowful melancholic gloomy unhappy disappointed sadness",
    "angry": "furious annoyed mad irritated frustrated anger",
    "anxious": "nervous worried afraid fearful scared fear",
    "calm": "relaxed peaceful serene soothing",
}
MOODS = tuple(_WORDS)
_MOOD_OF = {word: mood for mood, words in _WORDS.items() for word in (mood, *words.split())}
_DEGREES = ((1 / 3, "slightly "), (2 / 3, ""), (1.0, "very "))


def mood_names(emotion: str) -> tuple[str, ...]:
    """The names that a recording in that mood may have: the emotion as it was written, then the mood it stands for."""
    written = emotion.lower()
    return tuple(dict.fromkeys((written, _MOOD_OF.get(written, written))))


def mood_instruction(emotion: str, strength: float | None) -> str:
    """How a model that is told in words is told of it.

    Args:
        emotion: One of `MOODS`, or any other.
        strength: 0..1; None: as the word says.
    """
    degree = "" if strength is None else next(word for limit, word in _DEGREES if strength <= limit)
    return f"Sound {degree}{emotion}."
