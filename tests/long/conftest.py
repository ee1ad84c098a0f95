"""Fixtures of other folders that long tests use, too."""

from limits.conftest import strict

__all__ = ["strict"]
