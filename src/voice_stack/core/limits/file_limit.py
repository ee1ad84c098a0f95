"""How many files, and so connections, the system lets this process have open."""

import sys

WANTED_FILES = 65_536
"""More is no use to one event loop; some systems offer a thousand million."""
RESERVED_FILES = 128
FILES_PER_CONNECTION = 2
"""The connection, and the upload or the speech behind it."""


def raise_file_limit() -> int | None:
    """Raise the soft limit of open files as far as the hard one allows; returns it, None where there is none."""
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return None if soft == resource.RLIM_INFINITY else soft


def affordable_connections(wanted: int, file_limit: int | None) -> int:
    """As many connections as are wanted, or as the open files allow."""
    if file_limit is None:
        return wanted
    return max(1, min(wanted, (file_limit - RESERVED_FILES) // FILES_PER_CONNECTION))
