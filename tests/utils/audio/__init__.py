"""Tests of decoding and encoding sound."""
