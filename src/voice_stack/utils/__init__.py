"""Speech building blocks that both servers may use."""
