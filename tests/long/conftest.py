"""Fixtures of other folders that long tests use, too."""

from asr.bazarr.conftest import fake_bazarr
from core.http.limits.conftest import strict

__all__ = ["fake_bazarr", "strict"]
