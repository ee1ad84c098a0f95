"""What the stages of a Whisper model take on this machine, measured once and kept, and how it is best run by that.

Threads that share a window meet after every step. Whether two are quicker than one differs between the encoder and the
search for the text, and from processor to processor; so do the gain of a batch and that of a second thread of a core.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel

from voice_stack.core.logging import log_event
from voice_stack.core.system.cpus import cpu_features
from voice_stack.core.system.files import open_regular, write_whole

logger = logging.getLogger(__name__)

WIDTH_FRAMES = 1000
"""Mel frames of the window that is encoded."""
STEPS = 6
"""Tokens that are searched for, with `BEAM_SIZE` beams."""
BEAM_SIZE = 5
BATCHES = (1, 2, 4, 8)
MAX_THREADS = 8
ROUNDS = 3
"""The least of so many counts: what else the machine does makes some of them longer, none shorter."""
BUDGET_S = 4.0
"""No round is begun after it; the first is measured whole, however large the model is."""
WORTH = 0.9
"""What takes more threads, lanes or memory must take so much less time."""
_LIBRARY_SWITCHES = ("CT2_FORCE_CPU_ISA", "CT2_USE_MKL", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
"""Variables that change which instructions the library uses."""

Loader = Callable[[int, int], WhisperModel]
"""Loads the model with so many threads for each of so many calls at once."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Milliseconds by threads, windows or lanes.

    Attributes:
        encoder_ms: By threads: the encoder, one window.
        search_ms: By threads: the search for six tokens of one window.
        batch_ms: By windows: that search in a batch, on one thread, for each window.
        lanes_ms: By lanes, with a thread each: encoder and search in all of them at once, for each window.
    """

    encoder_ms: Mapping[int, float]
    search_ms: Mapping[int, float]
    batch_ms: Mapping[int, float]
    lanes_ms: Mapping[int, float]

    @property
    def encoder_threads(self) -> int:
        """Threads for the encoder of a window that is alone."""
        return _least(self.encoder_ms)

    @property
    def search_threads(self) -> int:
        """Threads for the search in a window that is alone."""
        return _least(self.search_ms)

    @property
    def batch(self) -> int:
        """Windows that are searched together."""
        return _least(self.batch_ms)

    @property
    def lanes(self) -> int:
        """Batches at the same time, with a thread each."""
        return _least(self.lanes_ms)


def _least(times_ms: Mapping[int, float]) -> int:
    """The smallest number that takes hardly longer than the best."""
    best_ms = min(times_ms.values())
    return min(number for number, time_ms in times_ms.items() if time_ms * WORTH <= best_ms)


def measure(load: Loader, cpus: int) -> Tuning:
    """Measure a model, in some three seconds for `base`.

    Args:
        load: How to load it; the copies are freed again.
        cpus: CPUs that it may use.
    """
    threads = [count for count in (1, 2, 4, MAX_THREADS) if count <= max(1, cpus)]
    models = {count: load(count, 1) for count in threads}
    lanes = sorted({max(1, cpus // 2), cpus}) if cpus > 2 else [cpus]
    side_by_side = load(1, lanes[-1]) if len(lanes) > 1 else None
    tried: dict[tuple[str, int], Callable[[], object]] = {}
    for count, model in models.items():
        encoded = np.array(model.encode(_silence(model)))
        tried["encoder_ms", count] = partial(model.encode, _silence(model))
        tried["search_ms", count] = partial(_search, model, encoded)
        if count == 1:
            tried |= {("batch_ms", n): partial(_search, model, np.repeat(encoded, n, axis=0)) for n in BATCHES[1:]}
    for count in lanes if side_by_side else ():
        tried["lanes_ms", count] = partial(_run_lanes, side_by_side, count)
    found: dict[str, dict[int, float]] = {field.name: {} for field in fields(Tuning)}
    for (stage, count), time_ms in _least_ms(tried).items():
        found[stage][count] = round(time_ms / (count if stage in {"batch_ms", "lanes_ms"} else 1), 2)
    found["batch_ms"] = {1: found["search_ms"][1], **found["batch_ms"]}
    found["lanes_ms"] = found["lanes_ms"] or {lanes[0]: 0.0}
    return Tuning(**found)


def _least_ms(tried: Mapping[tuple[str, int], Callable[[], object]]) -> dict[tuple[str, int], float]:
    """The least time of each, in milliseconds; they take turns, so that a busy moment meets all of them."""
    best = dict.fromkeys(tried, float("inf"))
    begun_s = time.perf_counter()
    for turn in range(ROUNDS):
        if turn and time.perf_counter() - begun_s > BUDGET_S:
            break
        for name, run in tried.items():
            start_s = time.perf_counter()
            run()
            best[name] = min(best[name], (time.perf_counter() - start_s) * 1000)
    return best


def _silence(model: WhisperModel) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.zeros((model.model.n_mels, WIDTH_FRAMES), np.float32)


def _search(model: WhisperModel, encoded: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    """As many steps as are asked for: the text may not end before."""
    known = model.hf_tokenizer.token_to_id
    prompt = [known("<|startoftranscript|>"), known("<|notimestamps|>")]
    model.model.generate(
        ctranslate2.StorageView.from_array(encoded),
        [prompt] * len(encoded),
        beam_size=BEAM_SIZE,
        max_length=2 * STEPS,  # half of it is for what came before
        suppress_tokens=[known("<|endoftext|>")],
    )


def _run_lanes(model: WhisperModel, count: int) -> None:
    def run(_lane: int) -> None:
        _search(model, np.array(model.encode(_silence(model))))

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(run, range(count)))


@dataclass(frozen=True, slots=True)
class TuningFile:
    """Where the tuning of one model is kept for one machine; another processor or library has another file."""

    path: Path
    made_for: Mapping[str, str]

    @classmethod
    def of(cls, folder: Path, model_dir: Path, compute_type: str, cpus: int) -> "TuningFile":
        """The file of a model in a folder of such files.

        Args:
            folder: Made when there is something to keep.
            model_dir: The model's own.
            compute_type: Number format of the weights at work.
            cpus: CPUs that it may use.
        """
        switches = [f"{name}={os.environ[name]}" for name in _LIBRARY_SWITCHES if name in os.environ]
        made_for = {
            "model": f"{model_dir.name}, {(model_dir / 'model.bin').stat().st_size} bytes",
            "compute_type": compute_type,
            "cpus": str(cpus),
            "processor": hashlib.sha256(cpu_features().encode()).hexdigest()[:16],
            "library": f"ctranslate2 {ctranslate2.__version__} {' '.join(switches)}".strip(),
        }
        digest = hashlib.sha256(json.dumps(made_for).encode()).hexdigest()[:16]
        return cls(folder / f"{model_dir.name}-{digest}.json", made_for)

    def read(self) -> Tuning | None:
        """What is kept; None: nothing, or nothing that can be used, which the log says."""
        try:
            with open_regular(self.path) as file:
                content = json.load(file)
            return Tuning(**{stage: dict(_read_times(content[stage])) for stage in _STAGES})
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            log_event(logger, logging.WARNING, "tuning is not used", file=self.path.name, reason=reason)
            return None

    def write(self, tuning: Tuning) -> None:
        """Keep it.

        Raises:
            OSError: The folder cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, json.dumps({**self.made_for, **asdict(tuning)}, indent=1).encode())


_STAGES: Sequence[str] = tuple(field.name for field in fields(Tuning))


def _read_times(times: Mapping[str, float]) -> Iterator[tuple[int, float]]:
    if not times:
        raise ValueError("no time is there")
    for number, time_ms in times.items():
        if int(number) < 1 or not 0 <= float(time_ms) < float("inf"):
            raise ValueError(f"{number}: {time_ms} is no time of a stage")
        yield int(number), float(time_ms)
