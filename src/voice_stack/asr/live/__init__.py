"""Words while they are spoken: what a live transcription is asked and tells, and OpenAI's Realtime wire for it."""

__all__ = ["deepgram", "deepgram_answer", "dialogue", "listen_query", "listener", "session", "turns", "wire"]
