"""The folder in which a server keeps uploads: private, its own, and removed by the next server if it was killed.

SPOOL_DIR/voice-stack-....spool/          mode 0700; of one process
SPOOL_DIR/voice-stack-....spool/.lock     claimed while that process lives
SPOOL_DIR/voice-stack-....spool/....upload

Any number of servers may share SPOOL_DIR: only a folder whose lock nobody has is removed.
"""

import contextlib
import logging
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

from voice_stack.core.file_claim import claim
from voice_stack.core.logging import log_event

logger = logging.getLogger(__name__)

_PREFIX, _SUFFIX, _LOCK = "voice-stack-", ".spool", ".lock"
_TRIES = 5
_UNLOCKED_LIFE_S = 60.0
"""A folder without a lock is just being made; one so old was left by a process that died in that moment."""

_own: dict[Path, tuple[Path, int]] = {}
_guard = threading.Lock()


def own_folder(base: Path | None) -> Path:
    """This process's folder for uploads; made when there is none, or when somebody has tidied it away.

    Args:
        base: `SPOOL_DIR`; None: the system's folder for temporary files.

    Raises:
        OSError: It cannot be made.
    """
    base = _base(base)
    with _guard:
        folder, lock = _own.get(base, (None, None))
        if folder is not None and lock is not None:
            if (folder / _LOCK).exists():
                return folder
            os.close(lock)
            del _own[base]
        _own[base] = _make(base)
        return _own[base][0]


def release_folder(base: Path | None) -> None:
    """Remove this process's folder, at its end."""
    with _guard:
        folder, lock = _own.pop(_base(base), (None, None))
        if folder is not None and lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def sweep_folders(base: Path | None) -> None:
    """Remove the folders of processes that were killed; what cannot be removed is logged."""
    for folder in _base(base).glob(f"{_PREFIX}*{_SUFFIX}"):
        try:
            if _is_ours(folder) and _sweep(folder):
                log_event(logger, logging.WARNING, "uploads of a killed server removed", folder=str(folder))
        except FileNotFoundError:
            continue  # another server was quicker
        except OSError as error:
            log_event(logger, logging.WARNING, "uploads of a killed server stay", folder=str(folder), reason=str(error))


def _base(base: Path | None) -> Path:
    return Path(tempfile.gettempdir()) if base is None else base.expanduser().absolute()


def _make(base: Path) -> tuple[Path, int]:
    """A new folder and its claimed lock."""
    base.mkdir(parents=True, exist_ok=True)
    for _ in range(_TRIES):
        folder = Path(tempfile.mkdtemp(_SUFFIX, _PREFIX, base))
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        # A server that sweeps in this very moment may have been quicker; then the folder is lost.
        if claim(lock) and (folder / _LOCK).exists():
            return folder, lock
        os.close(lock)
    raise FileNotFoundError(f"{base}: what is made there vanishes at once")


def _is_ours(folder: Path) -> bool:
    """Of this user, and no link: the system's folder for temporary files is everybody's."""
    status = folder.lstat()
    return folder.is_dir() and not folder.is_symlink() and (os.name != "posix" or status.st_uid == os.getuid())


def _sweep(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        if time.time() - folder.stat().st_mtime < _UNLOCKED_LIFE_S:
            return False
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
        return True
    try:
        if not claim(lock):
            return False
        shutil.rmtree(folder)
        return True
    finally:
        os.close(lock)
