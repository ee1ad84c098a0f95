"""What both servers share; knows nothing of speech."""
