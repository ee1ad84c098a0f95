"""Whose upload folders go and whose stay, with processes that live and processes that were killed."""

import os
import subprocess
import sys
from pathlib import Path

from voice_stack.core.http.spool import own_folder, release_folder, sweep_folders

OWNER = """
import sys
from pathlib import Path
from voice_stack.core.http.spool import own_folder
folder = own_folder(Path(sys.argv[1]))
(folder / "a.upload").write_bytes(b"secret")
print(folder, flush=True)
sys.stdin.read()
"""


def _start_owner(base: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(base)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_only_the_folder_of_a_killed_process_goes(tmp_path: Path) -> None:
    dead, dead_folder = _start_owner(tmp_path)
    living, living_folder = _start_owner(tmp_path)
    mine = own_folder(tmp_path)
    foreign = tmp_path / "voice-stack-notes.spool"
    foreign.mkdir()
    link = tmp_path / "voice-stack-link.spool"
    link.symlink_to(living_folder)
    try:
        assert mine.stat().st_mode & 0o777 == 0o700
        dead.kill()
        dead.wait()
        sweep_folders(tmp_path)
        assert not dead_folder.exists()
        assert (living_folder / "a.upload").read_bytes() == b"secret"
        assert mine.is_dir()
        assert foreign.is_dir()
    finally:
        living.kill()
        living.wait()
        release_folder(tmp_path)
    assert not mine.exists()


def test_a_folder_that_somebody_tidied_away_is_made_again(tmp_path: Path) -> None:
    first = own_folder(tmp_path)
    for path in first.iterdir():
        path.unlink()
    first.rmdir()
    second = own_folder(tmp_path)
    assert second.is_dir()
    assert second == own_folder(tmp_path)
    release_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_old_folder_without_a_lock_goes(tmp_path: Path) -> None:
    folder = tmp_path / "voice-stack-x.spool"
    folder.mkdir()
    os.utime(folder, (0, 0))
    sweep_folders(tmp_path)
    assert not folder.exists()
