"""What was read from files, kept until they change."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")
MAX_ENTRIES = 4096


class ContentCache(Generic[ValueT]):
    """Values by file; one is made anew when the file's time or size is another. Any thread may ask.

    Values are made one after another: a second thread that wants the same one waits for it.

    Args:
        make: Reads a file.
    """

    def __init__(self, make: Callable[[Path], ValueT]) -> None:
        self._make = make
        self._values: dict[Path, tuple[tuple[int, int], ValueT]] = {}
        self._lock = threading.Lock()

    def get(self, path: Path) -> ValueT:
        """The value of a file as it is now.

        Raises:
            OSError: The file is gone.
        """
        stat = path.stat()
        signature = (stat.st_mtime_ns, stat.st_size)
        known = self._values.get(path)
        if known is not None and known[0] == signature:
            return known[1]
        with self._lock:
            known = self._values.get(path)
            if known is None or known[0] != signature:
                known = (signature, self._make(path))
                while len(self._values) >= MAX_ENTRIES:
                    self._values.pop(next(iter(self._values)))
                self._values[path] = known
        return known[1]
