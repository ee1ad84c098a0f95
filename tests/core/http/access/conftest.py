"""A folder for a server's uploads, and the log."""

from pathlib import Path

import pytest

from core.http.server.conftest import log_lines as log_lines


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder
