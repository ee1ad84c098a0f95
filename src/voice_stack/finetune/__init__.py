"""Models of one's own: clips of speech with their texts, what is wrong with them, and what was made of them."""

__all__ = ["check", "clips", "folders", "plan", "record", "training", "weights"]
