"""Speech faster or slower at the same pitch.

FFmpeg's `atempo` does it, in this process through PyAV: waveform-similarity overlap-add, which keeps voices clear where
a phase vocoder makes them sound hollow. Its own lengths are up to 0.1 s off; here they are exact.
"""

import math
from fractions import Fraction

import av
import numpy as np

from voice_stack.utils.audio.pcm import Samples, bound

MIN_SPEED, MAX_SPEED = 0.25, 4.0
_STEP_MIN, _STEP_MAX = 0.5, 2.0
"""One filter's range: beyond 2 it leaves samples out instead of blending them."""
_FRAME = 512
"""Samples the filter gets at once: it gives as many as such a frame is worth, one frame late."""
_FLUSH_S = 0.2
"""Silence that pushes the last sound out of a filter's windows of some 50 ms."""


class Stretcher:
    """Changes the pace of a stream of mono audio, block by block.

    All blocks together give exactly `round(n / speed)` samples for `n` put in.

    Args:
        sample_rate: In Hz, of what goes in and of what comes out.
        speed: 2 is twice as fast, so half as long; 0.25 to 4. At 1 the blocks pass through untouched.

    Raises:
        ValueError: The speed is out of range, or the rate is not positive.
    """

    def __init__(self, sample_rate: int, speed: float) -> None:
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise ValueError(f"speed {speed} is not between {MIN_SPEED} and {MAX_SPEED}")
        if sample_rate <= 0:
            raise ValueError(f"a sample rate must be above 0 Hz, not {sample_rate}")
        self._sample_rate, self._speed = sample_rate, speed
        self._graph = None if speed == 1 else _open_graph(sample_rate, speed)
        self._waiting = np.zeros(0, np.float32)
        self._fed = self._consumed = self._produced = 0

    def push(self, samples: Samples) -> Samples:
        """Take a block; give what is ready.

        Args:
            samples: 1-D float32 of any length; beyond [-1, 1] it is clipped, NaN is silence.

        Returns:
            1-D float32, possibly empty.
        """
        self._consumed += len(samples)
        if self._graph is None:
            return self._count(samples)
        self._waiting = np.concatenate([self._waiting, bound(samples)])
        whole = len(self._waiting) // _FRAME * _FRAME
        ready, self._waiting = self._waiting[:whole], self._waiting[whole:]
        return self._count(self._filter(self._graph, ready))

    def finish(self) -> Samples:
        """Give the samples still inside the filter; nothing is pushed after it.

        Returns:
            1-D float32, possibly empty.
        """
        rest = np.zeros(0, np.float32)
        if self._graph is not None:
            flush = np.zeros(math.ceil(_FLUSH_S * self._sample_rate), np.float32)
            rest = self._filter(self._graph, np.concatenate([self._waiting, flush]))
            self._graph.push(None)
            rest = self._count(np.concatenate([rest, _drain(self._graph)]))
        missing = round(self._consumed / self._speed) - self._produced
        return np.pad(rest, (0, missing))

    def _filter(self, graph: av.filter.Graph, samples: Samples) -> Samples:
        ready = [np.zeros(0, np.float32)]
        for start in range(0, len(samples), _FRAME):
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis, start : start + _FRAME], format="flt", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = self._sample_rate, Fraction(1, self._sample_rate), self._fed
            self._fed += frame.samples
            graph.push(frame)
            ready.append(_drain(graph))
        return np.concatenate(ready)

    def _count(self, stretched: Samples) -> Samples:
        """Never more than the sound that came in is worth: what is made of the silence at the end is cut."""
        counted = stretched[: round(self._consumed / self._speed) - self._produced]
        self._produced += len(counted)
        return counted


def stretch(samples: Samples, sample_rate: int, speed: float) -> Samples:
    """Change the pace of a whole piece of audio.

    Args:
        samples: 1-D float32.
        sample_rate: In Hz.
        speed: 0.25 to 4; at 1 the samples are given back as they are.

    Returns:
        1-D float32 of `round(len(samples) / speed)` samples.

    Raises:
        ValueError: The speed is out of range, or the rate is not positive.
    """
    stretcher = Stretcher(sample_rate, speed)
    if speed == 1:
        return samples
    return np.concatenate([stretcher.push(samples), stretcher.finish()])


def _open_graph(sample_rate: int, speed: float) -> av.filter.Graph:
    """As many equal steps as it takes for each to be in one filter's range."""
    steps = 1
    while not _STEP_MIN <= speed ** (1 / steps) <= _STEP_MAX:
        steps += 1
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=sample_rate, format="flt", layout="mono", time_base=Fraction(1, sample_rate))
    filters = [graph.add("atempo", f"{speed ** (1 / steps):.9f}") for _ in range(steps)]
    graph.link_nodes(source, *filters, graph.add("abuffersink")).configure()
    return graph


def _drain(graph: av.filter.Graph) -> Samples:
    ready = [np.zeros(0, np.float32)]
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return np.concatenate(ready)
        assert isinstance(frame, av.AudioFrame)
        ready.append(frame.to_ndarray()[0])
