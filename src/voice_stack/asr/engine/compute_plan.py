"""What a model runs on: device, lanes, threads and batches."""

import math
from dataclasses import dataclass

import ctranslate2

from voice_stack.asr.engine.base import EngineOptions
from voice_stack.core.cpus import take_cpus

# One thread decodes a small model faster than two do, whose meetings after every layer cost more than they save; only
# a large model keeps several busy.
THREADS_BY_WEIGHTS: tuple[tuple[int, int], ...] = ((250_000_000, 1), (1_000_000_000, 2))
MAX_THREADS = 4
CPU_BATCH = 4
SHORT_BATCH_S = 16.0
"""Decoding windows together takes half the time, but all wait for the last: right for films, less so for commands."""
CUDA_BATCH = 16
_COMPUTE_TYPE = {"cpu": "int8", "cuda": "float16"}


@dataclass(frozen=True, slots=True)
class ComputePlan:
    """How CTranslate2 runs a model.

    Attributes:
        device: `cpu` or `cuda`.
        index: Number of the CUDA device.
        compute_type: Number format of the weights at work.
        lanes: Batches at the same time.
        threads: CPU threads of a lane.
        max_batch: Most windows of a batch.
        short_batch_s: Most audio of a batch of several windows that somebody waits for, in seconds.
        has_express_lane: One more batch may run while long work holds the lanes.
    """

    device: str
    index: int
    compute_type: str
    lanes: int
    threads: int
    max_batch: int
    short_batch_s: float
    has_express_lane: bool


def plan_compute(options: EngineOptions, weights_bytes: int) -> ComputePlan:
    """Fit a model to the device.

    Args:
        options: What was asked for; zeros and `auto` are chosen here.
        weights_bytes: Size of the model's file.

    Raises:
        ValueError: There is no such device.
    """
    device, _, index = options.device.partition(":")
    if device == "auto":
        device = "cuda" if ctranslate2.get_cuda_device_count() > 0 else "cpu"
    if device not in _COMPUTE_TYPE or not (index or "0").isdecimal():
        raise ValueError(f"device {options.device!r} is not one of auto, cpu, cuda, cuda:0, cuda:1 and so on")
    compute_type = _COMPUTE_TYPE[device] if options.compute_type == "auto" else options.compute_type
    cpus = options.threads or take_cpus(options.replica, options.replicas)
    if device == "cuda":
        lanes, batch = options.lanes or 1, options.max_batch or CUDA_BATCH
        number = int(index) if index else options.replica % max(1, ctranslate2.get_cuda_device_count())
        return ComputePlan(device, number, compute_type, lanes, cpus, batch, math.inf, has_express_lane=False)
    wanted = next((threads for limit, threads in THREADS_BY_WEIGHTS if weights_bytes < limit), MAX_THREADS)
    lanes = options.lanes or max(1, cpus // wanted)
    batch = options.max_batch or CPU_BATCH
    threads = max(1, cpus // lanes)
    return ComputePlan(device, 0, compute_type, lanes, threads, batch, SHORT_BATCH_S, has_express_lane=True)
