"""The steps of hallucination suppression by name: what the setting lists and the request carries."""

STEPS = {
    "silence": "text over digital silence is dropped, times are drawn back to what can be heard",
    "no_speech": "text without a word in it, or that neither the model nor the voice detector stands by, is dropped",
    "boilerplate": "sign-offs and subtitle credits are dropped where nobody seems to speak",
    "words": "segments of nothing but absurd words are dropped",
    "repetition": "what is said over and over by a model in doubt is kept once",
    "redecode": "a window that would be lost is decoded again in halves",
}
ALL_STEPS = frozenset(STEPS)
NO_STEP = "none"
"""A word of its own, because an empty environment variable means the default."""


def parse_steps(text: str) -> frozenset[str]:
    """The steps in a list with commas; `none` or nothing means none.

    Raises:
        ValueError: A name is no step; the message names it and those that are.
    """
    if text.strip() == NO_STEP:
        return frozenset()
    names = [name for part in text.split(",") if (name := part.strip())]
    if unknown := [name for name in names if name not in STEPS]:
        raise ValueError(f"{unknown[0]!r} is no step of suppression; possible are {', '.join(STEPS)}, or {NO_STEP}")
    return frozenset(names)
