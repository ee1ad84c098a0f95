"""Every format, streamed and whole: the sound that went in comes out, all of it, and little else."""

import gc
import hashlib
import io
import itertools
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.utils.audio.encode import AUDIO_FORMATS, OUTPUT_SAMPLE_RATE, encode_whole, open_encoder, require_format
from voice_stack.utils.audio.pcm import Samples, to_int16

FORMATS = list(AUDIO_FORMATS)
CODEC_FORMATS = [name for name in FORMATS if AUDIO_FORMATS[name].codec != "pcm_s16le"]
INPUT_RATES = [16_000, 22_050, 24_000, 44_100]
DURATIONS_S = [0.01, 0.25, 3.7]

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


# --- the table


@pytest.mark.parametrize(
    ("name", "media_type", "suffix"),
    [
        ("mp3", "audio/mpeg", ".mp3"),
        ("opus", "audio/opus", ".opus"),
        ("aac", "audio/aac", ".aac"),
        ("flac", "audio/flac", ".flac"),
        ("wav", "audio/wav", ".wav"),
        ("pcm", "audio/pcm", ".pcm"),
    ],
)
def test_formats_are_those_of_the_api(name: str, media_type: str, suffix: str) -> None:
    audio_format = require_format(name)
    assert (audio_format.media_type, audio_format.suffix) == (media_type, suffix)
    assert len(AUDIO_FORMATS) == 6


def test_unknown_format_is_refused_with_the_names_of_the_others() -> None:
    with pytest.raises(UnsupportedValueError, match=r"'MP4'.*mp3, opus, aac, flac, wav, pcm") as caught:
        open_encoder("MP4", 24_000)
    assert caught.value.param == "response_format"


# --- length


def check_length(decoded_length: int, expected: int, format_name: str, *, streamed: bool) -> None:
    """Exact, or within the codec's padding; never shorter than the sound behind its delay."""
    extra = decoded_length - expected
    if format_name == "aac":  # the last frame is filled up
        assert AAC_DELAY <= extra < AAC_DELAY + AAC_FRAME
    elif format_name == "mp3" and streamed:  # the last frame, and one for the overlap of the last with its next
        assert MP3_DELAY <= extra <= MP3_DELAY + 2 * MP3_FRAME
    elif format_name == "mp3":  # exact by its Info tag, but for less than a frame
        assert extra == 0 or (expected < MP3_FRAME and 0 <= extra < MP3_FRAME)
    else:
        assert extra == 0


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("sample_rate", INPUT_RATES)
@pytest.mark.parametrize("format_name", FORMATS)
def test_length_of_one_sample(format_name: str, sample_rate: int, streamed: bool) -> None:
    data = encode(np.full(1, 0.5, np.float32), format_name, sample_rate, streamed=streamed)
    decoded, rate = decode(data, format_name)
    expected = round(OUTPUT_SAMPLE_RATE / sample_rate) * rate // OUTPUT_SAMPLE_RATE
    check_length(len(decoded), expected, format_name, streamed=streamed)


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("duration_s", DURATIONS_S)
@pytest.mark.parametrize("sample_rate", INPUT_RATES)
@pytest.mark.parametrize("format_name", FORMATS)
def test_sound_comes_back_whole(format_name: str, sample_rate: int, duration_s: float, streamed: bool) -> None:
    samples = tone(duration_s, sample_rate)
    decoded, rate = decode(encode(samples, format_name, sample_rate, streamed=streamed), format_name)
    expected = round(len(samples) * OUTPUT_SAMPLE_RATE / sample_rate) * rate // OUTPUT_SAMPLE_RATE
    assert rate == (48_000 if format_name == "opus" else OUTPUT_SAMPLE_RATE)
    check_length(len(decoded), expected, format_name, streamed=streamed)

    heard = decoded[delay_of(format_name, streamed=streamed) :][:expected]
    meant = tone(duration_s, rate, expected)
    assert np.dot(heard, meant) / np.linalg.norm(heard) / np.linalg.norm(meant) > 0.995
    last_10_ms = slice(-rate // 100, None)  # LAME plays everything at 0.95 of its level
    assert np.linalg.norm(heard[last_10_ms]) / np.linalg.norm(meant[last_10_ms]) == pytest.approx(1, abs=0.06)
    first_5_ms = slice(rate // 200)
    assert np.max(np.abs(heard - meant)[first_5_ms]) < 0.03
    before = decoded[: delay_of(format_name, streamed=streamed) // 2]  # a codec's window reaches back half a frame
    assert not len(before) or np.max(np.abs(before)) < 0.02


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("format_name", FORMATS)
def test_no_samples_make_a_valid_file(format_name: str, streamed: bool) -> None:
    nothing = np.zeros(0, np.float32)
    data = encode(nothing, format_name, 22_050, streamed=streamed)
    assert data[:4] == {"wav": b"RIFF", "flac": b"fLaC", "opus": b"OggS"}.get(format_name, data[:4])
    decoded, rate = decode(data, format_name)
    assert len(decoded) / rate < 0.1
    assert not decoded.any()


# --- level


@pytest.mark.parametrize("format_name", FORMATS)
def test_too_loud_is_clipped_and_never_wraps(format_name: str) -> None:
    loud = (1.5 * np.sin(2 * np.pi * 200 * np.arange(12_000) / 24_000)).astype(np.float32)
    decoded, rate = decode(stream(loud, format_name, 24_000), format_name)
    heard = decoded[delay_of(format_name, streamed=True) :: rate // 24_000][:12_000]
    assert np.all(np.sign(heard) == np.sign(loud), where=np.abs(loud) > 0.9)
    assert np.all(np.abs(heard) > 0.6, where=np.abs(loud) > 1.1)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("sample_rate", [22_050, 24_000])
def test_a_sample_that_is_no_number_harms_only_its_place(format_name: str, sample_rate: int) -> None:
    samples = tone(1, sample_rate)
    samples[sample_rate // 2] = np.nan
    decoded, rate = decode(stream(samples, format_name, sample_rate), format_name)
    assert np.all(np.isfinite(decoded))
    heard = decoded[delay_of(format_name, streamed=True) :][:rate]
    assert np.abs(heard - tone(1, rate))[round(0.502 * rate) : round(0.9 * rate)].max() < 0.1


# --- headers


@pytest.mark.parametrize("sample_rate", INPUT_RATES)
@pytest.mark.parametrize("how", ["whole", "announced", "unknown"])
def test_wav_header_states_the_true_sizes(how: str, sample_rate: int) -> None:
    samples = tone(0.25, sample_rate)
    if how == "whole":
        data = encode_whole([samples], "wav", sample_rate)
    else:
        encoder = open_encoder("wav", sample_rate, len(samples) if how == "announced" else None)
        data = encoder.push(samples) + encoder.finish()
    data_bytes = 2 * round(len(samples) * 24_000 / sample_rate)
    assert len(data) == 44 + data_bytes
    riff_size, data_size = (2**32 - 1, 2**32 - 1) if how == "unknown" else (len(data) - 8, data_bytes)
    expected = (b"RIFF", riff_size, b"WAVE", b"fmt ", 16, 1, 1, 24_000, 48_000, 2, 16, b"data", data_size)
    assert struct.unpack_from("<4sI4s4sIHHIIHH4sI", data) == expected


@pytest.mark.parametrize("announced", [999, 1001])
def test_announced_length_that_was_not_kept_is_an_error(announced: int) -> None:
    encoder = open_encoder("wav", 24_000, announced)
    encoder.push(np.zeros(1000, np.float32))
    with pytest.raises(ValueError, match=f"1000 samples.*{announced} were announced"):
        encoder.finish()


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("length", [1, 5512, 81_585])
def test_flac_streaminfo(length: int, streamed: bool) -> None:
    samples = tone(length / 24_000, 24_000, length)
    data = encode(samples, "flac", 24_000, streamed=streamed)
    assert data[:4] == b"fLaC"
    assert data[4] & 0x7F == 0  # STREAMINFO is the first block
    assert int.from_bytes(data[5:8]) == 34
    packed = int.from_bytes(data[18:26])
    sample_rate, channels, bits, total = packed >> 44, (packed >> 41) & 7, (packed >> 36) & 31, packed & (2**36 - 1)
    assert (sample_rate, channels + 1, bits + 1) == (24_000, 1, 16)
    assert total == (0 if streamed else length)
    if not streamed:
        assert data[26:42] == hashlib.md5(to_int16(samples).tobytes()).digest()


# --- streaming


@pytest.mark.parametrize("sample_rate", INPUT_RATES)
@pytest.mark.parametrize("format_name", FORMATS)
def test_sound_is_ready_while_more_is_still_made(format_name: str, sample_rate: int) -> None:
    samples = tone(1, sample_rate)
    with open_encoder(format_name, sample_rate) as encoder:
        sent = encoder.push(samples[: sample_rate // 5])
        first, rate = decode(sent, format_name)
        assert len(first) / rate > 0.05
        for block in blocks(samples[sample_rate // 5 :], sample_rate // 10):
            piece = encoder.push(block)
            assert piece or format_name == "flac"  # whose blocks last 0.1 s themselves
            sent += piece
    decoded, rate = decode(sent, format_name)
    assert len(decoded) / rate > 0.8


def random_blocks(samples: Samples, generator: np.random.Generator) -> list[Samples]:
    return np.split(samples, np.sort(generator.integers(0, len(samples) + 1, generator.integers(1, 12))))


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("sample_rate", [22_050, 24_000])
def test_how_the_samples_are_cut_changes_no_byte(format_name: str, sample_rate: int) -> None:
    generator = np.random.default_rng(7)
    samples = tone(0.25, sample_rate)
    streams, files = set(), set()
    for _ in range(20 if format_name in CODEC_FORMATS else 500):
        cut = random_blocks(samples, generator)
        with open_encoder(format_name, sample_rate) as encoder:
            streams.add(b"".join([*map(encoder.push, cut), encoder.finish()]))
        files.add(encode_whole(iter(cut), format_name, sample_rate))
    assert len(streams) == len(files) == 1


def test_encoders_in_threads_do_not_disturb_each_other() -> None:
    jobs = [(format_name, rate) for format_name, rate in itertools.product(FORMATS, INPUT_RATES)] * 2
    one_after_the_other = [stream(tone(1, rate), format_name, rate) for format_name, rate in jobs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda job: stream(tone(1, job[1]), *job), jobs))
    assert together == one_after_the_other


@pytest.mark.parametrize("format_name", CODEC_FORMATS)
def test_ten_seconds_take_a_fraction_of_a_second(format_name: str) -> None:
    samples = tone(10, 22_050)
    start_s = time.thread_time()
    stream(samples, format_name, 22_050)
    assert time.thread_time() - start_s < 0.5  # measured 0.02 to 0.15; the rest is for slow machines


def test_the_libraries_say_nothing_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    for format_name in FORMATS:
        stream(tone(0.3, 22_050), format_name, 22_050)
        encode_whole([], format_name, 22_050)
        open_encoder(format_name, 22_050).push(tone(0.3, 22_050))
    gc.collect()
    assert capfd.readouterr() == ("", "")


# --- the end


@pytest.mark.parametrize("format_name", FORMATS)
def test_closed_encoder_takes_no_more_and_closes_again(format_name: str) -> None:
    with open_encoder(format_name, 22_050) as encoder:
        encoder.push(tone(0.1, 22_050))
    encoder.close()
    with pytest.raises(ValueError, match="closed"):
        encoder.push(tone(0.1, 22_050))
    with pytest.raises(ValueError, match="closed"):
        encoder.finish()


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "dropped"])
@pytest.mark.parametrize("format_name", CODEC_FORMATS)
def test_abandoned_encoders_free_their_memory(format_name: str, closed: bool) -> None:
    samples = tone(0.3, 22_050)

    def resident_bytes_after(count: int) -> int:
        for _ in range(count // 20):
            encoders = [open_encoder(format_name, 22_050) for _ in range(20)]
            for encoder in encoders:
                encoder.push(samples)
                if closed:
                    encoder.close()
            del encoders, encoder
            gc.collect()
        return int(psutil.Process().memory_info().rss)

    settled = resident_bytes_after(60)  # the allocator keeps what 20 at once need
    assert (resident_bytes_after(200) - settled) / 200 < 50_000  # a living encoder has 200 kB (Opus) to 7 MB (FLAC)
