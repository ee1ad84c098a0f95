"""The file of keys, which both servers read and `voice-stack keys` writes."""

import os
import tempfile
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from voice_stack.core.errors import ConfigurationError, InvalidRequestError, NotFoundError
from voice_stack.core.keys.named_key import NamedKey
from voice_stack.core.problems import tell_problem

LOCK_TIMEOUT_S = 10.0
Signature = tuple[int, int, int]
"""Time of the last change, size and inode: another one, another content."""


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class _Content:
    """What stands in the file."""

    keys: tuple[NamedKey, ...]
    version: Literal[1] = 1


_CONTENT = TypeAdapter(_Content)


class KeyFile:
    """The keys on disk: hashes, readable by their owner alone, replaced as a whole.

    Args:
        path: It need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()

    def signature(self) -> Signature | None:
        """Changes when the content does; None while there is no file.

        Raises:
            ConfigurationError: It cannot be looked at.
        """
        try:
            stat = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._explain("cannot be read", error) from error
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def read(self) -> tuple[NamedKey, ...] | None:
        """The keys, expired ones too; None while there is no file.

        Raises:
            ConfigurationError: It cannot be read, or is no file of keys.
        """
        try:
            return _CONTENT.validate_json(self.path.read_bytes(), strict=False).keys
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._explain("cannot be read", error) from error
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"])) or "the file"
            raise ConfigurationError(f"API_KEYS_FILE={self.path}: {place}: {tell_problem(problem)}") from None

    def add(self, key: NamedKey) -> None:
        """Add a key.

        Raises:
            InvalidRequestError: There is one of that name.
            ConfigurationError: The file cannot be read or written.
        """
        self._make_folder()
        with self._lock():
            keys = self.read() or ()
            if any(known.name == key.name for known in keys):
                raise InvalidRequestError(
                    f"there is a key named {key.name!r} already; revoke it first: voice-stack keys revoke {key.name}"
                )
            self._write((*keys, key))

    def remove(self, name: str) -> NamedKey:
        """Remove the key of that name or id; the file stays, so that a server goes on asking for keys.

        Raises:
            NotFoundError: There is none.
            ConfigurationError: The file cannot be read or written.
        """
        if self.signature() is None:
            raise NotFoundError(f"there is no key {name!r}: {self.path} does not exist")
        with self._lock():
            keys = self.read() or ()
            found = next((key for key in keys if name in {key.name, key.id}), None)
            if found is None:
                names = ", ".join(key.name for key in keys) or "none"
                raise NotFoundError(f"there is no key {name!r}; the keys in {self.path}: {names}")
            self._write(key for key in keys if key != found)
        return found

    def _make_folder(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._explain("its folder cannot be made", error) from error

    def _lock(self) -> AbstractContextManager[object]:
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=LOCK_TIMEOUT_S)
        try:
            return lock.acquire()
        except Timeout:
            raise ConfigurationError(f"{self.path} is being changed by another program; try again") from None
        except OSError as error:
            raise self._explain("cannot be changed", error) from error

    def _write(self, keys: Iterable[NamedKey]) -> None:
        """Whole or not at all, power cuts included; a link goes on pointing to the file."""
        target = self.path.resolve()
        try:
            # mkstemp makes the file with mode 0600.
            descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            with os.fdopen(descriptor, "wb") as file:
                file.write(_CONTENT.dump_json(_Content(tuple(keys)), indent=1) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except OSError as error:
            raise self._explain("cannot be written", error) from error

    def _explain(self, what: str, error: OSError) -> ConfigurationError:
        return ConfigurationError(f"API_KEYS_FILE={self.path} {what}: {error.strerror or error}")
