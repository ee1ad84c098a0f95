"""How a Whisper model uses a machine: device, number format, threads, lanes, and the width of its encoder.

What the encoder has computed serves several times: to tell languages, to decode, and to decode again.
"""

import math
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from numpy.typing import NDArray

from voice_stack.asr.engine.base import FRAME_S, TimeSpan
from voice_stack.asr.engine.tuning import Tuning, TuningFile, measure
from voice_stack.asr.request import EngineOptions
from voice_stack.core.system.cpus import take_cpus, yield_cpu
from voice_stack.core.system.device import choose_device
from voice_stack.core.system.memory import memory_limit_bytes

# Threads that share one window meet after every step of the model: two do less together than each on a window of its
# own. Only a large model, whose windows take long and much memory, keeps several busy.
THREADS_BY_WEIGHTS: tuple[tuple[int, int], ...] = ((250_000_000, 1), (1_000_000_000, 2))
MAX_THREADS = 4
SOLO_THREADS = 2
"""Threads at least on a window that is alone: two need 0.6 of the time of one."""
COPY_SHARE_OF_MEMORY = 1 / 16
"""A second copy of the weights, at half the size of their file, may take this much."""
BATCH_SHARE_OF_MEMORY = 1 / 8
WINDOW_SHARE_OF_WEIGHTS = 1 / 4
"""Memory of a window in a batch: mostly the decoder's keys and values for the encoder's output, in float32."""
CPU_BATCH = 4
SHORT_BATCH_S = 40.0
"""Decoding windows together takes half the time, but all wait for the last: right for films, less so for commands."""
CUDA_BATCH = 16
CROWD_NICENESS = 4
"""What somebody waits for goes before films: their threads get two fifths of the time of its threads.

Measured with 2, 4 and 8: a clip beside a film takes 5.0, 2.8 and 2.4 times as long as alone (95th percentile). Beside
other busy programs clips are this copy's, which must not starve.
"""
_COMPUTE_TYPE = {"cpu": "int8", "cuda": "float16"}


@dataclass(frozen=True, slots=True)
class ComputePlan:
    """How CTranslate2 runs a model.

    Attributes:
        device: `cpu` or `cuda`.
        index: Number of the CUDA device.
        compute_type: Number format of the weights at work.
        cpus: CPUs that may be kept busy.
        lanes: Batches at the same time.
        threads: CPU threads of a lane.
        max_batch: Most windows of a batch.
        short_batch_s: Most audio of a batch of several windows that somebody waits for, in seconds.
        has_express_lane: One more batch may run while long work holds the lanes.
        solo_threads: If not 0, this copy runs one batch at a time on so many threads; the lanes are the other copy's.
        search_threads: If not 0, the search for the text has another copy, with so many threads.
        niceness: How far other work goes before this.
        tuning_file: Where is kept what was measured of the model; None where that makes no difference.
    """

    device: str
    index: int
    compute_type: str
    cpus: int
    lanes: int
    threads: int
    max_batch: int
    short_batch_s: float = math.inf
    has_express_lane: bool = False
    solo_threads: int = 0
    search_threads: int = 0
    niceness: int = 0
    tuning_file: TuningFile | None = None

    @property
    def workers(self) -> int:
        """Batches that the library must be ready to take at the same time."""
        return 1 if self.solo_threads else self.lanes + self.has_express_lane


def plan_compute(options: EngineOptions, weights_bytes: int, model_dir: Path | None = None) -> ComputePlan:
    """Fit a model with a file of so many bytes to the device; zeros and `auto` of the options are chosen here.

    Args:
        options: As for the engine.
        weights_bytes: Size of the file with the weights.
        model_dir: The model's folder: what was measured of it is used.

    Raises:
        ValueError: There is no such device.
    """
    device = choose_device(options.device, ctranslate2.get_cuda_device_count(), replica=options.replica)
    compute_type = _COMPUTE_TYPE[device.kind] if options.compute_type == "auto" else options.compute_type
    cpus = options.threads or take_cpus(options.replica, options.replicas)
    if device.kind == "cpu":
        return _plan_cpus(
            options, compute_type, cpus, weights_bytes, _find_tuning(options, model_dir, compute_type, cpus)
        )
    return ComputePlan("cuda", device.index, compute_type, cpus, 1, cpus, options.max_batch or CUDA_BATCH)


def _find_tuning(options: EngineOptions, model_dir: Path | None, compute_type: str, cpus: int) -> TuningFile | None:
    """What was or can be measured; whoever sets the threads has chosen, and replicas would measure one another."""
    has_chosen = options.threads > 0 and not options.is_for_crowd
    if options.tuning_dir is None or model_dir is None or has_chosen or options.replicas > 1:
        return None
    return TuningFile.of(options.tuning_dir, model_dir, compute_type, cpus)


def _plan_cpus(
    options: EngineOptions, compute_type: str, cpus: int, weights_bytes: int, tuning_file: TuningFile | None
) -> ComputePlan:
    tuning: Tuning | None = tuning_file.read() if tuning_file else None
    wanted = next((threads for limit, threads in THREADS_BY_WEIGHTS if weights_bytes < limit), MAX_THREADS)
    lanes = tuning.lanes if tuning and wanted == 1 else max(1, cpus // wanted)
    has_room = weights_bytes / 2 <= memory_limit_bytes() * COPY_SHARE_OF_MEMORY
    is_solo = cpus > 1 and has_room and not options.is_for_crowd
    solo_threads = search_threads = min(cpus, max(wanted, SOLO_THREADS)) if is_solo else 0
    if tuning and is_solo:
        solo_threads, search_threads = tuning.encoder_threads, tuning.search_threads
        if solo_threads == search_threads == 1:
            solo_threads = 0
    return ComputePlan(
        "cpu",
        0,
        compute_type,
        cpus,
        lanes,
        solo_threads or max(1, cpus // lanes),
        options.max_batch or _fitting_batch(weights_bytes, lanes, tuning.batch if tuning else CPU_BATCH),
        SHORT_BATCH_S,
        has_express_lane=True,
        solo_threads=solo_threads,
        search_threads=search_threads if solo_threads != search_threads and solo_threads else 0,
        niceness=CROWD_NICENESS if options.is_for_crowd else 0,
        tuning_file=tuning_file,
    )


def _fitting_batch(weights_bytes: int, lanes: int, wanted: int) -> int:
    window_bytes = weights_bytes * WINDOW_SHARE_OF_WEIGHTS
    fitting = memory_limit_bytes() * BATCH_SHARE_OF_MEMORY / lanes / window_bytes
    return min(max(1, int(fitting)), wanted)


def load_model(model_dir: Path, plan: ComputePlan) -> WhisperModel:
    """Load a model in a thread that ends.

    A thread that has loaded a model keeps its helpers, and with more helpers than CPUs OpenMP sends those that decode
    to sleep after every step: two threads are slower than one then.

    Raises:
        RuntimeError: The files do not load, as the library says it; or ValueError, TypeError, OSError.
    """
    with ThreadPoolExecutor(1, "model loading") as thread:
        return thread.submit(_load, model_dir, plan).result()


def _load(model_dir: Path, plan: ComputePlan) -> WhisperModel:
    if plan.niceness:
        yield_cpu(plan.niceness)  # the model's threads take it from the one that starts them
    return WhisperModel(
        str(model_dir),
        device=plan.device,
        device_index=plan.index,
        compute_type=plan.compute_type,
        cpu_threads=plan.threads,
        num_workers=plan.workers,
        local_files_only=True,
    )


def measure_model(model_dir: Path, plan: ComputePlan) -> Tuning:
    """Measure a model as it would be run by a plan, with other numbers of threads and lanes.

    Raises:
        RuntimeError: As for `load_model`.
    """

    def load(threads: int, lanes: int) -> WhisperModel:
        return load_model(
            model_dir, replace(plan, threads=threads, lanes=lanes, solo_threads=0, has_express_lane=False)
        )

    return measure(load, plan.cpus)


def pick_rows(encoded: ctranslate2.StorageView, indexes: Sequence[int]) -> ctranslate2.StorageView:
    """The encoder's output for some windows of a batch."""
    if list(indexes) == list(range(encoded.shape[0])):
        return encoded
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(read_encoded(encoded)[list(indexes)]))


def read_encoded(encoded: ctranslate2.StorageView) -> NDArray[np.float32]:
    """The encoder's output as an array of shape (windows, positions, width)."""
    on_cpu = encoded if encoded.device == "cpu" else encoded.to_device(ctranslate2.Device.cpu)
    return np.array(on_cpu.to(ctranslate2.DataType.float32))


@dataclass(frozen=True, slots=True, eq=False)
class _Encoding:
    """The encoder's output for windows of one width; None in the place of a window that was taken."""

    windows: list[NDArray[np.float32] | None]
    frames: int
    encoded: ctranslate2.StorageView

    def find(self, window: NDArray[np.float32], frames: int) -> int | None:
        """The row of this very array, if it is here."""
        rows = (n for n, kept in enumerate(self.windows) if kept is window)
        return next(rows, None) if frames == self.frames else None


class Encodings(threading.local):
    """What the encoder gave, by thread, kept from finding languages to decoding; each is used once, few are kept."""

    def __init__(self) -> None:
        self._kept: deque[_Encoding] = deque(maxlen=_MAX_KEPT)

    def keep(self, windows: Sequence[NDArray[np.float32]], frames: int, encoded: ctranslate2.StorageView) -> None:
        """Add the output for windows, in the order of its rows."""
        self._kept.append(_Encoding(list(windows), frames, encoded))

    def width(self, window: NDArray[np.float32]) -> int | None:
        """The frames of what is kept of this very array; None where nothing is."""
        return next((one.frames for one in self._kept if any(kept is window for kept in one.windows)), None)

    def take(self, windows: Sequence[NDArray[np.float32]], frames: int) -> ctranslate2.StorageView | None:
        """The output for these windows; None unless all of them are here."""
        found = []
        for window in windows:
            rows = ((one, row) for one in self._kept if (row := one.find(window, frames)) is not None)
            if (place := next(rows, None)) is None:
                return None
            found.append(place)
        for one, row in found:
            one.windows[row] = None
        self._kept = deque((one for one in self._kept if any(kept is not None for kept in one.windows)), _MAX_KEPT)
        if all(one is found[0][0] for one, _ in found):
            return pick_rows(found[0][0].encoded, [row for _, row in found])
        parts = [np.array(pick_rows(one.encoded, [row])) for one, row in found]
        return ctranslate2.StorageView.from_array(np.concatenate(parts))


_MAX_KEPT = 8
_STRETCH_FRAMES = 100
"""Of the encoder's 250 in 5 s: every other one tells the language about as well."""


def pick_frames(encoded: ctranslate2.StorageView, stretches: Sequence[Sequence[TimeSpan]]) -> ctranslate2.StorageView:
    """The encoder's output for all stretches of all windows, in equal numbers of frames."""
    rows, per_s = read_encoded(encoded), 1 / (2 * FRAME_S)
    picked = [
        row[np.linspace(start_s * per_s, end_s * per_s - 1, _STRETCH_FRAMES).astype(int).clip(0, len(row) - 1)]
        for row, spans in zip(rows, stretches, strict=True)
        for start_s, end_s in spans
    ]
    return ctranslate2.StorageView.from_array(np.stack(picked))
