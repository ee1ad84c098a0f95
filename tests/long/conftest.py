"""Fixtures of other folders that long tests use, too."""

from bazarr.conftest import fake_bazarr
from limits.conftest import strict

__all__ = ["fake_bazarr", "strict"]
