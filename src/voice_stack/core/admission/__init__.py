"""Whether there is room for a request: work that waits, the speed of engines, and who is told to come back later."""
