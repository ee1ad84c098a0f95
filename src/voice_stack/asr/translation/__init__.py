"""Subtitles in another language: each cue of a transcript through a language model, none of them lost."""

__all__ = ["cues", "transcription", "translator"]
