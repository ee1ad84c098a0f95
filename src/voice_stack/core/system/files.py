"""Files: claims that end with a process, and nothing but regular files opened."""

import errno
import os
import stat
import sys
from io import BufferedReader
from pathlib import Path

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
