"""What an engine process does with a window besides decoding it."""

__all__ = ["decoding", "language_spread", "live_sound", "repetition", "results", "windows", "workload"]
