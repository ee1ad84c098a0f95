"""Conversations: speech to a language model to speech, and one address for all servers."""
