"""Tests of the shared server through real sockets: uvicorn on a free port, plain HTTP clients against it."""
