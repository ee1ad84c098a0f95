"""OpenAI's Realtime conversation: who speaks, what is answered and what was heard of it."""

__all__ = ["listening", "replies", "session", "settings"]
