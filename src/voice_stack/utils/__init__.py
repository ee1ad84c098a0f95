"""Speech building blocks that every server may use."""
