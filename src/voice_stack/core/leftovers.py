"""What killed processes have left on the disk, removed when a server starts; what living ones use stays."""

import logging
from pathlib import Path

import filelock

from voice_stack.core.logging import log_event
from voice_stack.core.model_folders import PARTIAL_SUFFIX, delete_place
from voice_stack.core.spool_folder import own_folder, sweep_folders

logger = logging.getLogger(__name__)


def prepare_folders(spool_dir: Path | None, model_dir: Path) -> None:
    """Remove uploads and half-fetched models that no living process works on; make this process's folder. It blocks."""
    sweep_folders(spool_dir)
    try:
        own_folder(spool_dir)
    except OSError as error:
        # What needs no upload still works; an upload is answered with 507.
        log_event(logger, logging.ERROR, "uploads cannot be stored", folder=str(spool_dir), reason=str(error))
    _remove_partial_models(model_dir)


def _remove_partial_models(model_dir: Path) -> None:
    for partial in model_dir.expanduser().absolute().glob(f".*{PARTIAL_SUFFIX}"):
        lock = filelock.FileLock(partial.with_name(f"{partial.name.removesuffix(PARTIAL_SUFFIX)}.lock"), timeout=0)
        try:
            with lock:
                delete_place(partial)
        except filelock.Timeout:
            continue  # it is being fetched right now
        except OSError as error:
            log_event(logger, logging.WARNING, "half-fetched model stays", folder=str(partial), reason=str(error))
        else:
            log_event(logger, logging.WARNING, "half-fetched model removed", folder=str(partial))
