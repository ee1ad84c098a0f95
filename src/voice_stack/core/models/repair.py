"""Models whose files are damaged: found out when they do not load, named, and fetched again where that can be done."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import filelock

from voice_stack.core.errors import ModelLoadError, ModelNotFoundError
from voice_stack.core.logging import log_event
from voice_stack.core.models.files import OWN_FOLDER, PARTIAL_SUFFIX, delete_place
from voice_stack.core.models.store import ModelStore

logger = logging.getLogger(__name__)

T = TypeVar("T")

VERIFY_VARIABLE = "VOICE_STACK_VERIFY_MODELS"
"""Where it is set, every model is read and checked before it is loaded."""


def load_model(store: ModelStore, name: str, load: Callable[[Path], T]) -> T:
    """Load a model; if that fails and its files are not what they were, fetch them again and load it once more.

    Raises:
        ModelNotFoundError: Nothing has that name, or no source has it.
        ModelLoadError: It does not load; the message names damaged files.
    """
    try:
        folder = store.resolve(name)
        if os.environ.get(VERIFY_VARIABLE):
            _mend(store, name, "an earlier process died while it loaded the model")
        return load(folder)
    except ModelLoadError as error:
        if not _mend(store, name, error.message):
            raise
        return load(store.resolve(name))


def verify_before_loading() -> None:
    """In this process a model is read and checked before it is loaded: native code may die of damaged files."""
    os.environ[VERIFY_VARIABLE] = "1"


def _mend(store: ModelStore, name: str, reason: str) -> bool:
    """Fetch a model again if its files are damaged; False if they are not.

    Raises:
        ModelLoadError: They are, and cannot be fetched; the message names them.
    """
    try:
        names = ", ".join(check.name for check in store.verify(name) if not check.intact)
    except ModelNotFoundError:
        return False
    if not names:
        return False
    log_event(logger, logging.ERROR, "model files are damaged", model=name, files=names, reason=reason)
    if not store.repair(name):
        raise ModelLoadError(
            f"model {name!r}: damaged files: {names} in {store.path(name)}; they cannot be fetched again from here. "
            f"Remove it with: voice-stack models remove {name}"
        )
    log_event(logger, logging.WARNING, "damaged model was fetched again", model=name)
    return True


def require_models(
    store: ModelStore, model: str, fallback: str, is_provided: Callable[[str], bool] = lambda _name: False
) -> None:
    """Do nothing if a server can work: with its model, or else with its fall-back model.

    Args:
        store: Where models are.
        model: The one of the settings.
        fallback: That of the settings; empty: none.
        is_provided: Whether a provider has a model: then none need be here.

    Raises:
        ModelNotFoundError: It cannot.
    """
    if fallback and not is_provided(fallback):
        store.require(fallback)
    if is_provided(model):
        return
    try:
        store.require(model)
    except ModelNotFoundError as error:
        if not fallback:
            raise
        fields = {"model": model, "fallback_model": fallback, "reason": error.message}
        log_event(logger, logging.WARNING, "the model is not here: the fall-back model does its work", **fields)


def remove_partial_models(model_dir: Path) -> None:
    """Remove half-fetched models that no living process works on; it blocks."""
    root = model_dir.expanduser().absolute()
    for partial in (*root.glob(f".*{PARTIAL_SUFFIX}"), *root.glob(f"{OWN_FOLDER}/.*{PARTIAL_SUFFIX}")):
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
