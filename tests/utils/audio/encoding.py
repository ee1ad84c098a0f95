"""Sound into every format of the encoder, and back by a decoder that is not ours."""

import io

import av
import numpy as np

from voice_stack.utils.audio.encode import AUDIO_FORMATS, OUTPUT_SAMPLE_RATE, encode_whole, open_encoder
from voice_stack.utils.audio.pcm import Samples

FORMATS = list(AUDIO_FORMATS)
CODEC_FORMATS = [name for name in FORMATS if name not in {"wav", "pcm"}]
INPUT_RATES = [16_000, 22_050, 24_000, 44_100]


# Samples of silence at 24 kHz that a decoder gives before the sound. LAME's encoder delay is 576 and every MP3 decoder
# adds 529; AAC begins with one frame of 1024. Opus states its own in the header; the Info tag of a whole MP3 too.
MP3_DELAY, MP3_FRAME = 576 + 529, 576
AAC_DELAY, AAC_FRAME = 1024, 1024


def delay_of(format_name: str, *, streamed: bool) -> int:
    return {"mp3": MP3_DELAY if streamed else 0, "aac": AAC_DELAY}.get(format_name, 0)


def tone(duration_s: float, sample_rate: int, length: int | None = None) -> Samples:
    """440 Hz that grows from a fifth to four fifths of full scale."""
    time_s = np.arange(round(duration_s * sample_rate) if length is None else length) / sample_rate
    amplitude = 0.2 + 0.6 * time_s / duration_s
    return (amplitude * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)


def blocks(samples: Samples, size: int) -> list[Samples]:
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def stream(samples: Samples, format_name: str, sample_rate: int, block: int = 2400) -> bytes:
    with open_encoder(format_name, sample_rate) as encoder:
        return b"".join([*map(encoder.push, blocks(samples, block)), encoder.finish()])


def encode(samples: Samples, format_name: str, sample_rate: int, *, streamed: bool) -> bytes:
    if streamed:
        return stream(samples, format_name, sample_rate)
    return encode_whole(blocks(samples, 2400), format_name, sample_rate)


def decode(data: bytes, format_name: str) -> tuple[Samples, int]:
    """Samples and sample rate as a player gets them."""
    if format_name == "pcm":
        return (np.frombuffer(data, "<i2") / 32767).astype(np.float32), OUTPUT_SAMPLE_RATE
    # Named, because two frames of AAC are too few to be recognised by what they hold; a client has the media type.
    container_name = {"aac": "aac"}.get(format_name)
    with av.open(io.BytesIO(data), "r", format=container_name) as container:
        audio = container.streams.audio[0]
        assert audio.channels == 1
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio)]
        scale = 1 if frames and frames[0].dtype.kind == "f" else 32767
        return np.concatenate([np.zeros(0, np.float32), *frames]).astype(np.float32) / np.float32(scale), audio.rate
