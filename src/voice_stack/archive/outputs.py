"""Where the texts of an archive go: a folder, or a bucket; each text is there whole or not at all."""

import os
import time
from abc import ABC, abstractmethod
from functools import lru_cache
from pathlib import Path, PurePosixPath

from voice_stack.core.errors import ConfigurationError, NotFoundError, StorageFullError
from voice_stack.core.system.files import DRAFT_PREFIX, is_full, write_whole
from voice_stack.core.system.objects import SCHEME, ObjectStore

MAX_TEXT_BYTES = 256 << 20
"""No text of twelve hours is so long."""
STATE_FOLDER = ".voice-stack"
"""Folder among the texts with what is known of the archive."""
DRAFT_LIFE_S = 3600.0
"""A text that is being written for so long was left by a run that was killed."""


class Outputs(ABC):
    """Texts by their names, which are paths with `/`; all methods block, and may be called from any thread."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Put a text in its place; what is there is replaced.

        Raises:
            StorageFullError: There is no room.
            OSError, UpstreamError: It cannot be written.
        """

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """A text; None if it is gone.

        Raises:
            OSError, UpstreamError: It cannot be read.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a text, if it is there."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether a text is there; fast where one after the other of one folder is asked for."""


class FolderOutputs(Outputs):
    """Texts in a folder, which is made when it is not there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._mode = 0o666 & ~_umask()
        self._names = lru_cache(maxsize=1)(self._list)

    def write(self, name: str, content: bytes) -> None:
        path = self._root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content, self._mode)
        except OSError as error:
            if is_full(error):
                raise StorageFullError(f"The disk of {self._root} has no room for further texts") from None
            raise

    def read(self, name: str) -> bytes | None:
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)

    def has(self, name: str) -> bool:
        path = PurePosixPath(name)
        return path.name in self._names(str(path.parent))

    def _list(self, folder: str) -> frozenset[str]:
        try:
            with os.scandir(self._root / folder) as entries:
                found = [entry for entry in entries if entry.is_file()]
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        for entry in found:
            if entry.name.startswith(DRAFT_PREFIX) and entry.stat().st_mtime < time.time() - DRAFT_LIFE_S:
                Path(entry.path).unlink(missing_ok=True)
        return frozenset(entry.name for entry in found)


class BucketOutputs(Outputs):
    """Texts in a bucket, or below a prefix in one."""

    def __init__(self, url: str) -> None:
        self._store = ObjectStore.open(url)
        self._names = lru_cache(maxsize=1)(self._list)

    def write(self, name: str, content: bytes) -> None:
        self._store.put(name, content)

    def read(self, name: str) -> bytes | None:
        try:
            return self._store.read(name, MAX_TEXT_BYTES)
        except NotFoundError:
            return None

    def remove(self, name: str) -> None:
        self._store.delete(name)

    def has(self, name: str) -> bool:
        return name in self._names(str(PurePosixPath(name).parent))

    def _list(self, folder: str) -> frozenset[str]:
        found = self._store.list("" if folder == "." else folder)
        return frozenset(text.key for text in found if str(PurePosixPath(text.key).parent) == folder)


def open_outputs(out: str) -> Outputs:
    """What `--out` means: `s3://bucket/prefix`, or a folder.

    Raises:
        ConfigurationError, UpstreamError: Nothing can be written there.
    """
    if out.startswith(SCHEME):
        outputs = BucketOutputs(out)
        outputs.has(f"{STATE_FOLDER}/")  # whether there is such a bucket is known before anything is heard
        return outputs
    root = Path(out)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--out {out}: {error.strerror}") from None
    return FolderOutputs(root)


def _umask() -> int:
    """What is kept from others; asking is setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
