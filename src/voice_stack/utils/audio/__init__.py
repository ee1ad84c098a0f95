"""Decoding, encoding and voice activity detection."""
