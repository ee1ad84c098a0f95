"""Files: claims that end with a process, only regular ones opened, writes of all or nothing, names that others give."""

import errno
import hashlib
import logging
import os
import re
import stat
import sys
import tempfile
import unicodedata
from functools import lru_cache
from io import BufferedReader
from pathlib import Path

from voice_stack.core.errors import StorageFullError, VoiceStackError

DRAFT_PREFIX = ".new-"
"""Begins the name of a file that is being written; one that stays was left by a process that was killed."""
_NO_UNICODE = re.compile("[\ud800-\udfff]")
_logger = logging.getLogger(__name__)

if sys.platform == "win32":

    def claim(descriptor: int) -> bool:
        """Nothing to be done: there an open file cannot be deleted."""
        return True

else:
    import fcntl

    def claim(descriptor: int) -> bool:
        """Claim an open file for this process until it is closed; False if another open file has the claim."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading, without ever waiting for somebody to write to it.

    Raises:
        OSError: It cannot be read, or is a pipe, a device or a folder.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return open(descriptor, "rb")  # noqa: PTH123 - of a descriptor, and closed by whoever called


def digest_file(path: Path) -> str:
    """SHA-256 of a regular file, lower-case hex; it is read again only when its size or time changed.

    Raises:
        OSError: It cannot be read.
    """
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest(path: Path, _size: int, _changed_ns: int) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_folder(folder: Path | str, root: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, sorted by name, without what is hidden or leads out; nothing where there is no folder.

    Args:
        folder: In which others may write: they may not read elsewhere with our eyes.
        root: The resolved folder that links may not lead out of.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if _is_seen(e, root)), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:  # of one folder: the others are still seen
        warn_once(f"what is in {folder} is not seen: {error.strerror}")
        return []


def _is_seen(entry: os.DirEntry[str], root: Path) -> bool:
    """Whether it is neither hidden, nor a link that leads out, nor named by bytes that no answer can tell."""
    is_named = not entry.name.startswith(".") and _NO_UNICODE.search(entry.name) is None
    return is_named and (not entry.is_symlink() or _stays(entry.path, root))


def _stays(link: str, root: Path) -> bool:
    """Whether a link leads to something that is there, below the root."""
    try:
        if root in Path(link).resolve(strict=True).parents:
            return True
    except (OSError, RuntimeError) as error:  # the latter where it leads to itself, before Python 3.13
        warn_once(f"the link {link!r} leads nowhere: {error}")
    else:
        warn_once(f"the link {link!r} leads out of the folder {str(root)!r} and is not followed")
    return False


@lru_cache(maxsize=1024)
def warn_once(warning: str) -> None:
    """Say it in the log, unless it was said: folders are looked at with each request."""
    _logger.warning("%s", warning)


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that is there whole or not at all, power cuts included; a link goes on pointing to it.

    Args:
        path: In a folder that is there; a file of that name is replaced.
        content: All of it.
        mode: Who may read and write it.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    target = path.resolve()
    descriptor, draft = tempfile.mkstemp(dir=target.parent, prefix=DRAFT_PREFIX)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(mode)
        Path(draft).replace(target)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make sure that names in a folder outlive a power cut; only POSIX knows how."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_full(error: OSError) -> bool:
    """Whether the disk, or this user's share of it, has no room."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def explain_unkept(error: OSError, what: str, setting: str) -> VoiceStackError:
    """What a client is told when something cannot be kept; where it lies is for the operator alone.

    Args:
        error: What the system says.
        what: Is kept: `jobs`, `voices`.
        setting: That names the folder.
    """
    if is_full(error):
        return StorageFullError(f"The server's disk has no room for further {what} ({setting}).")
    reason = error.strerror or type(error).__name__
    return VoiceStackError(f"The server cannot use its folder for {what} ({setting}): {reason}.")


MAX_NAME_CHARS = 100
_JOINERS = "\u200c\u200d"
"""Invisible, yet part of how some scripts and emoji are written."""
_NO_NAME = re.compile(r"[/\\\[\]]")


def check_name(name: str) -> str:
    """A name fit to be shown, without blanks around it; it is never a path.

    Raises:
        ValueError: It is empty, too long, or has characters that change how text around it is read.
    """
    name = name.strip()
    if not name:
        raise ValueError("a name must not be empty")
    if len(name) > MAX_NAME_CHARS:
        raise ValueError(f"{len(name)} characters; a name has at most {MAX_NAME_CHARS}")
    if found := _NO_NAME.search(name):
        raise ValueError(f"a name must not hold {found[0]!r}")
    return refuse_controls(name, "a name")


def refuse_controls(text: str, what: str) -> str:
    """The text, if it holds nothing invisible.

    Raises:
        ValueError: It does; the message begins with `what` and names the character.
    """
    for character in text:
        # Cc control, Cf invisible format such as right-to-left override, Cs half a pair, Zl and Zp line ends
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and character not in _JOINERS:
            raise ValueError(f"{what} must not hold the character U+{ord(character):04X}")
    return text
