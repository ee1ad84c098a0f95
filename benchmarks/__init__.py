"""Measured against the bare libraries: `python -m benchmarks`."""
