"""HTTP routes of the TTS server."""

__all__ = ["live", "openai", "voice_consents", "voices"]
