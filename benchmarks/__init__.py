"""Voice Stack against the bare libraries: `make bench`."""

import os

# As in an engine process: numpy's last digits depend on its threads, and the words on both sides must be the same.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Before any library is loaded: the bare ones must not report to their makers either.
import voice_stack.core  # noqa: F401
