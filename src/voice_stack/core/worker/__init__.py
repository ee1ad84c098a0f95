"""The other side of the link: the loop of an engine process, and which work is next."""
