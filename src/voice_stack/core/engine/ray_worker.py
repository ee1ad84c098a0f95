"""Engines in a worker of Ray: the part of the machine that is theirs, and a start that knows nothing of Ray."""

import math
import sys
from importlib.util import find_spec
from typing import TypeVar

import ray

from voice_stack.core.settings import EngineSettings

S = TypeVar("S", bound=EngineSettings)


def settle_in_worker(settings: S) -> S:
    """What the settings leave to the machine, for the part of it that Ray has set aside for this process.

    Args:
        settings: As they were read.

    Returns:
        The same with as many threads as CPUs, of which a part counts as one; and on the CPU where no GPU was asked for,
        for one that the machine has belongs to others.
    """
    # As `python -m` would have it: else each engine process would import what Ray's workers begin with.
    sys.modules["__main__"].__spec__ = find_spec("voice_stack.__main__")
    assigned: dict[str, float] = ray.get_runtime_context().get_assigned_resources()
    engines = getattr(settings, "replicas", 1)
    threads = settings.threads or max(1, math.ceil(assigned.get("CPU", 0)) // engines)
    is_without_gpu = settings.device == "auto" and not assigned.get("GPU")
    return settings.model_copy(update={"threads": threads, "device": "cpu" if is_without_gpu else settings.device})
