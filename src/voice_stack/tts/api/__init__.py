"""HTTP routes of the TTS server."""

__all__ = ["openai", "voice_consents", "voices"]
