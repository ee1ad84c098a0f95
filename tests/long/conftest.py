"""Fixtures of other folders that long tests use, too."""

from asr.bazarr.conftest import fake_bazarr
from core.http.limits.conftest import strict
from home_assistant.conftest import asr_server_wyoming

__all__ = ["asr_server_wyoming", "fake_bazarr", "strict"]
