"""Where an engine process begins."""

import os
import signal
import sys
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.process import current_process

from voice_stack.core.logging import configure_logging
from voice_stack.core.models.repair import verify_before_loading
from voice_stack.core.system.memory import freeze_living_objects, use_one_heap
from voice_stack.core.system.side_process import NICENESS, end_with_parent
from voice_stack.core.worker.loop import Worker


def serve_engine(
    connection: Connection, factory: str, config: object, log_level: str, log_format: str, is_wary: bool
) -> None:
    """Entry point of an engine process."""
    # Ctrl-C and the end of a terminal go to its whole group; the API process decides when its engines stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    current_process().daemon = False  # it may have a process of its own, which ends with it
    end_with_parent()
    configure_logging(log_level, log_format, "engine")
    if sys.platform != "win32":
        # Below the API process: a model on all cores must not slow down the reading of uploads and the health checks.
        os.nice(NICENESS)
    # numpy's products are small here: a second thread costs them more than it brings, and takes a core from the model.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if is_wary:
        verify_before_loading()
    use_one_heap()
    module, _, function = factory.partition(":")
    workload = getattr(import_module(module), function)(config)
    freeze_living_objects()
    Worker(connection, workload).serve()
    # Threads may be inside native code; a normal interpreter exit would wait for or crash in it.
    os._exit(0)
