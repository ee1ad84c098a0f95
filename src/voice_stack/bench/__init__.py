"""Measuring any server that speaks OpenAI's audio API: `voice-stack bench`."""
