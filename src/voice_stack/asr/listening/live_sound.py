"""The bytes of a live stream -> samples for the model and the voice detector, as they come."""

from contextlib import suppress

import av
import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.live.turns import SoundFormat
from voice_stack.utils.audio import g711
from voice_stack.utils.audio.vad import SAMPLE_RATE

Samples = NDArray[np.float32]
_FULL_SCALE = np.float32(1 / 32768)


class LiveSoundReader:
    """Bytes of one stream, cut anywhere -> mono float32 at 16 kHz; how they are cut changes no sample.

    What is fed and what comes out begin at the same time: the filter's delay, 1-2 ms, is taken off at the start, and
    `flush` gives what is still inside. In all there are `round(n * 16000 / rate)` samples for `n` that were fed.
    """

    def __init__(self, sound: SoundFormat) -> None:
        self._values = None if sound.encoding == "pcm" else g711.decoded(sound.encoding)
        self._rate = sound.sample_rate if self._values is None else g711.RATE
        self._half = b""  # of a sample whose other byte is yet to come
        self._resampler: av.filter.Graph | None = None
        self._fed = self._given = 0

    def push(self, data: bytes) -> Samples:
        """The samples that are ready."""
        samples = self._decode(data)
        self._fed += samples.size
        if self._rate == SAMPLE_RATE or not samples.size:
            self._given += samples.size
            return samples
        if self._resampler is None:
            self._resampler = _open_resampler(self._rate)
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = self._rate
        return self._resample(self._resampler, frame)

    def flush(self) -> Samples:
        """What is left of everything that was fed: at the end of a turn, or of the stream."""
        if self._resampler is None:
            return np.zeros(0, np.float32)
        in_all = round(self._fed * SAMPLE_RATE / self._rate)
        missing = max(in_all - self._given, 0)
        rest = self._resample(self._resampler, None)[:missing]
        # A filter that was emptied takes nothing more; the next one begins where this one ended.
        self._resampler, self._given = None, in_all
        return np.pad(rest, (0, missing - rest.size))

    def _decode(self, data: bytes) -> Samples:
        if self._values is not None:
            return self._values[np.frombuffer(data, np.uint8)]
        data = self._half + data
        whole = len(data) // 2 * 2
        self._half = data[whole:]
        return np.frombuffer(data[:whole], "<i2").astype(np.float32) * _FULL_SCALE

    def _resample(self, resampler: av.filter.Graph, frame: av.AudioFrame | None) -> Samples:
        resampler.push(frame)
        parts = [np.zeros(0, np.float32)]
        with suppress(av.BlockingIOError, av.EOFError):
            while isinstance(out := resampler.pull(), av.AudioFrame):
                parts.append(out.to_ndarray()[0])
        ready = np.concatenate(parts)
        self._given += ready.size
        return ready


def _open_resampler(rate: int) -> av.filter.Graph:
    """What `av.AudioResampler` does, which has as many threads as there are CPUs, for each stream."""
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add("abuffer", sample_rate=str(rate), sample_fmt="flt", channel_layout="mono")
    wanted = graph.add("aformat", sample_rates=str(SAMPLE_RATE), sample_fmts="flt", channel_layouts="mono")
    graph.link_nodes(source, wanted, graph.add("abuffersink")).configure()
    return graph
