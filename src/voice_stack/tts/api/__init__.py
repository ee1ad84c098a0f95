"""HTTP routes of the TTS server."""
