"""What an engine process does with a window besides decoding it."""
