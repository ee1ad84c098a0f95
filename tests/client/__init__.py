"""Tests of voice_stack.client against a real HTTP server that plays the API's protocol."""
