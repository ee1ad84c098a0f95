"""Limits of requests and connections: how many, how fast, how long."""
