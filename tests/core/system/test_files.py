"""Files that are there whole or not at all."""

import resource
from pathlib import Path

import pytest

from voice_stack.core.system.files import digest_file, explain_unkept, write_whole


def test_file_behind_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "file")
    for content, mode in ((b"first", 0o600), (b"second", 0o644)):
        write_whole(tmp_path / "link", content, mode)
        assert (tmp_path / "there" / "file").read_bytes() == content
        assert (tmp_path / "there" / "file").stat().st_mode & 0o777 == mode
    assert (tmp_path / "link").is_symlink()
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["file"]


def test_without_room_the_old_file_stays_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    digest = digest_file(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OSError, match="too large") as error:
            write_whole(path, b"new" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert digest_file(path) == digest
    told = explain_unkept(error.value, "jobs", "ASR_JOBS_DIR")
    assert (told.status, "ASR_JOBS_DIR" in told.message) == (507, True)
    assert explain_unkept(PermissionError(13, "no"), "jobs", "ASR_JOBS_DIR").status == 500
