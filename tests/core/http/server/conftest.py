"""An open server, one with keys, and its log."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest

from core.http.server.site import KEY, Site, serving
from voice_stack.core.logging import JsonFormatter


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("spool"), cors_origins=["https://app.example"]) as running:
        yield running


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    keys = {"api_keys": ["another-key-12345", KEY], "cors_origins": ["*"]}
    with serving(tmp_path_factory.mktemp("spool"), **keys) as running:
        yield running


@pytest.fixture
def log_lines() -> Iterator[Callable[[str], list[dict[str, object]]]]:
    """JSON log lines whose message is the given one."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter("asr"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lambda message: [
        line for line in map(json.loads, stream.getvalue().splitlines()) if line["message"] == message
    ]
    root.removeHandler(handler)
    root.setLevel(level)
