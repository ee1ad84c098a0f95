"""A language model behind OpenAI's API: whichever server needs one asks it from here."""

__all__ = ["deltas", "model", "reasoning", "settings"]
