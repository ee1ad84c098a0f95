"""Sound files for the tests, written with PyAV and the standard library, not with the code under test."""

import io
import wave
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

PCM_RATE = 24_000
"""OpenAI's raw PCM: 24 kHz, 16 bit, mono."""


def wrap_pcm(pcm: bytes, sample_rate: int = PCM_RATE) -> bytes:
    """Raw 16-bit mono samples -> a WAV file."""
    target = io.BytesIO()
    with wave.open(target, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(sample_rate)
        sound.writeframes(pcm)
    return target.getvalue()


def tone(duration_s: float, sample_rate: int = 16_000) -> bytes:
    """A WAV file with a quiet 220 Hz tone."""
    times_s = np.arange(int(duration_s * sample_rate)) / sample_rate
    return wrap_pcm((3000 * np.sin(2 * np.pi * 220 * times_s)).astype("<i2").tobytes(), sample_rate)


def samples_of(data: bytes) -> tuple[NDArray[np.int16], int]:
    """Any sound file -> samples, shape (n,), and their rate in Hz."""
    with av.open(io.BytesIO(data), "r") as container:
        frames = list(container.decode(audio=0))
        rate = frames[0].sample_rate
    resampler = av.AudioResampler("s16", "mono", rate)
    parts = [out.to_ndarray()[0] for frame in frames for out in resampler.resample(frame)]
    return np.concatenate(parts), rate


def duration_s(data: bytes) -> float:
    """Length of a sound file by its samples."""
    samples, rate = samples_of(data)
    return samples.size / rate


def transcode(data: bytes, container: str, codec: str, sample_rate: int, layout: str) -> bytes:
    """A sound file -> the same in another container; an MP4 gets its index at the end, as recorders write it."""
    target = io.BytesIO()
    samples, rate = samples_of(data)
    with av.open(target, "w", format=container) as output:
        stream = output.add_stream(codec, sample_rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        resampler = av.AudioResampler(stream.codec_context.format, layout, sample_rate)
        fifo = av.AudioFifo()
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
            fifo.write(resampled)
        size = stream.codec_context.frame_size or 4096
        while piece := fifo.read(size, partial=True):
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return target.getvalue()
