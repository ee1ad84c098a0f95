"""Decoding, encoding and voice activity detection."""

__all__ = ["codecs", "decode", "encode", "pcm", "sources", "vad", "word_alignment"]
