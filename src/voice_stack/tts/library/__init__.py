"""Voices made of recordings: what lies in `TTS_VOICE_DIR`, how good it is, and uploads to it."""
