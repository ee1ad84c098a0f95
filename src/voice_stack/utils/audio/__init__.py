"""Decoding, encoding and voice activity detection."""

__all__ = ["codecs", "decode", "encode", "pcm", "quality", "sources", "vad", "word_alignment"]
