"""When what is said: the times of sentences and words of a speech, as events and as subtitle files."""

__all__ = ["kept", "sentences"]
