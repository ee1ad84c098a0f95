"""A process that does not outlive the one it works for, whatever state it is in."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # of Linux's sys/prctl.h


def end_with_parent(parent_id: int) -> None:
    """Have this process killed when its parent is gone, even if it stands still then; elsewhere than on Linux nothing.

    The signal comes with the end of the thread that started this process, which must live as long as it.

    Args:
        parent_id: Process id of the parent, which may be gone already.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_id:
        os._exit(0)
