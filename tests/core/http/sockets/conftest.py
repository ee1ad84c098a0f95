"""A folder for a server's uploads, the log, and a server process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.http.server.conftest import log_lines as log_lines
from core.http.sockets.doors import serving_doors
from running_server import RunningServer


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving_doors(tmp_path_factory.mktemp("doors")) as server:
        yield server
        log = server.log.read_text()
        assert log.count("Traceback") == log.count("ZeroDivisionError"), log
        assert "write() after" not in log
