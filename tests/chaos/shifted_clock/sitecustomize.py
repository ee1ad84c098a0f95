"""Python runs this at its start where the folder is on its path: the wall clock then is as wrong as a file says.

The file holds seconds to add, and may change at any time. The clock that measures durations stays as it is.
"""

import os
import time
from pathlib import Path

_SHIFT_FILE = Path(os.environ["CLOCK_SHIFT_FILE"])
_true_time, _true_time_ns = time.time, time.time_ns


def _shift_s() -> float:
    return float(_SHIFT_FILE.read_text() or 0)


time.time = lambda: _true_time() + _shift_s()
time.time_ns = lambda: _true_time_ns() + int(_shift_s() * 1e9)
