"""Faults on command, for the fake engines: what real models do only now and then, and never when a test wants it."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice_stack.core.errors import EngineError, ModelLoadError

REPAIRED = "repaired"
"""A model named `broken` loads once a file of this name lies in the model directory."""

_held: list[NDArray[np.uint8]] = []


def _sleep(value: str) -> None:
    try:
        time.sleep(float(value))
    except ValueError as error:
        raise EngineError(f"sleep={value!r} is no time; give seconds, as in sleep=0.5.") from error


def _crash(_value: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _crash_once(value: str) -> None:
    marker = Path(value)
    if not marker.exists():
        marker.touch()
        _crash("")


def _fail(_value: str) -> None:
    raise EngineError("The fake engine was told to fail.")


def _hang(_value: str) -> None:
    while True:
        time.sleep(3600)


def _freeze(_value: str) -> None:
    if sys.platform != "win32":
        os.kill(os.getpid(), signal.SIGSTOP)


def _wait_for_file(value: str) -> None:
    path = Path(value)
    while not path.exists():
        time.sleep(0.01)


def _eat_memory(value: str) -> None:
    try:
        _held.append(np.ones(int(value) << 20, np.uint8))
    except ValueError as error:
        raise EngineError(f"memory={value!r} is no amount; give MiB, as in memory=200.") from error


FAULTS: dict[str, Callable[[str], None]] = {
    "sleep": _sleep,
    "crash": _crash,
    "crash-once": _crash_once,
    "fail": _fail,
    "hang": _hang,
    "freeze": _freeze,
    "memory": _eat_memory,
    "until": _wait_for_file,
}
"""Command -> what it does: `sleep=0.5` takes so many seconds, `crash` kills the process, `crash-once=/path/marker` does
so unless the file exists, which it then does, `fail` raises `EngineError`, `hang` never returns, `freeze` stops the
process, `memory=200` holds so many MiB until the process ends, `until=/path/file` waits for a file."""


def obey(words: Iterable[str]) -> None:
    """Carry out the commands among some words; other words mean nothing.

    Raises:
        EngineError: One of them was `fail`, or has a value that makes no sense.
    """
    for word in words:
        name, _, value = word.partition("=")
        if name in FAULTS:
            FAULTS[name](value)


def load_as_named(model_dir: Path, model: str) -> None:
    """Carry out the commands in the name of a model, joined by `+`, while it is loaded; `fake` has none.

    `broken` fails to load unless a file `repaired` lies in the model directory.

    Raises:
        ModelLoadError: The name says so.
    """
    words = model.split("+")
    if "broken" in words and not (model_dir / REPAIRED).exists():
        raise ModelLoadError("the fake model is broken")
    try:
        obey(words)
    except EngineError as error:
        raise ModelLoadError(f"the fake model does not load: {error.message}") from error
