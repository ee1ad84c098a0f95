"""From a name to files: what models there are, where they come from, whether they are whole."""

__all__ = ["files", "hub", "own", "repair", "sources", "status", "store"]
