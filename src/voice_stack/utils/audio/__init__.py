"""Decoding, encoding and voice activity detection."""

__all__ = ["codecs", "decode", "encode", "g711", "pcm", "quality", "sources", "vad", "word_alignment"]
