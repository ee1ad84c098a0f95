"""HTTP routes of the TTS server."""

__all__ = ["elevenlabs", "live", "openai", "voice_consents", "voices"]
