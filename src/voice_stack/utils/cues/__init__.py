"""How words become subtitle cues, step by step."""

__all__ = ["cue", "stream", "tokens"]
