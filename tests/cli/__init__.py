"""Tests of the command line as its users meet it: real processes, real ports."""
