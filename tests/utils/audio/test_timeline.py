"""Film time: a late start of the sound and holes in its timestamps become silence, and nothing else changes."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from utils.audio.sound_files import RATE, decode, encode, pitch, tone, write_wav
from voice_stack.core.errors import InvalidAudioError
from voice_stack.utils.audio.decode import decode_blocks
from voice_stack.utils.audio.sources import Timeline

SOURCE_RATE = 48_000
HIGH = 880.0
FILMS = [
    ("film.mkv", "aac"),
    ("film.mp4", "aac"),
    ("film.ts", "mp2"),
    ("film.webm", "libopus"),
    ("film.mkv", "pcm_s16le"),
]


def write_film(path: Path, codec: str, moves: dict[float, float], *, has_picture: bool = True) -> Path:
    """Two seconds of 440 Hz and two of 880 Hz; from each time in `moves` on, the sound comes so much later."""
    sound = np.concatenate([tone(2, SOURCE_RATE), tone(2, SOURCE_RATE, HIGH)])[None]
    plain = encode(path.with_suffix(".plain.mka"), sound, SOURCE_RATE, codec)
    with av.open(str(plain)) as source, av.open(str(path), "w") as film:
        stream = film.add_stream_from_template(source.streams.audio[0])
        picture = film.add_stream("libvpx" if path.suffix == ".webm" else "mpeg4", rate=10) if has_picture else None
        if isinstance(picture, av.VideoStream):
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
            for _ in range(100):
                film.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
            film.mux(picture.encode(None))
        for packet in source.demux(source.streams.audio[0]):
            if packet.pts is None or packet.dts is None or packet.time_base is None:
                continue
            at_s = float(packet.pts * packet.time_base)
            later = round(sum(by_s for from_s, by_s in moves.items() if at_s >= from_s) / float(packet.time_base))
            packet.pts, packet.dts, packet.stream = packet.pts + later, packet.dts + later, stream
            film.mux(packet)
    return path


def first_sound_s(samples: NDArray[np.float32], *, after_s: float = 0.0) -> float:
    start = round(after_s * RATE)
    return after_s + float(np.argmax(np.abs(samples[start:]) > 0.1)) / RATE


@pytest.mark.parametrize(("name", "codec"), FILMS)
def test_sound_that_starts_late_keeps_film_time(tmp_path: Path, name: str, codec: str) -> None:
    samples = decode(write_film(tmp_path / name, codec, {-1.0: 3.0}))
    assert first_sound_s(samples) == pytest.approx(3, abs=0.1)
    assert not samples[: round(2.9 * RATE)].any()
    assert samples.size / RATE == pytest.approx(7, abs=0.15)


@pytest.mark.parametrize(("name", "codec"), FILMS)
def test_hole_becomes_silence(tmp_path: Path, name: str, codec: str) -> None:
    samples = decode(write_film(tmp_path / name, codec, {2.0: 1.5}))
    assert samples.size / RATE == pytest.approx(5.5, abs=0.15)
    assert pitch(samples[RATE // 2 : RATE * 3 // 2]) == pytest.approx(440, abs=2)
    assert not samples[round(2.15 * RATE) : round(3.4 * RATE)].any()
    assert first_sound_s(samples, after_s=2.2) == pytest.approx(3.5, abs=0.1)
    assert pitch(samples[-RATE:]) == pytest.approx(HIGH, abs=2)


@pytest.mark.parametrize(("name", "codec"), FILMS)
@pytest.mark.parametrize("jitter_s", [0.0, 0.05])
def test_jitter_and_the_encoders_delay_add_nothing(tmp_path: Path, name: str, codec: str, jitter_s: float) -> None:
    samples = decode(write_film(tmp_path / name, codec, {1.0: jitter_s}))
    assert samples.size / RATE == pytest.approx(4, abs=0.05)
    loudness = np.abs(samples[RATE // 4 : 15 * RATE // 4]).reshape(-1, RATE // 50).max(axis=1)
    assert loudness.min() > 0.1, "a hole in sound that has none"


def test_late_sound_alone_in_its_file_starts_at_once(tmp_path: Path) -> None:
    # The file begins where its first stream begins: nothing is late where there is nothing else.
    samples = decode(write_film(tmp_path / "sound.mkv", "aac", {-1.0: 3.0}, has_picture=False))
    assert samples.size / RATE == pytest.approx(4, abs=0.1)


def test_overlapping_sound_is_kept(tmp_path: Path) -> None:
    samples = decode(write_film(tmp_path / "film.mkv", "pcm_s16le", {2.0: -0.4}))
    assert samples.size == 4 * RATE


def test_hole_counts_towards_the_limit(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mkv", "aac", {2.0: 60.0})
    with pytest.raises(InvalidAudioError, match="longer than the limit of 30 seconds"):
        list(decode_blocks(path, max_duration_s=30))


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp3", "libmp3lame"), ("a.m4a", "aac"), ("a.ogg", "libopus"), ("a.webm", "libopus")]
)
def test_usual_files_have_the_length_their_decoder_gives(tmp_path: Path, name: str, codec: str) -> None:
    path = encode(tmp_path / name, tone(5, SOURCE_RATE)[None], SOURCE_RATE, codec)
    with av.open(str(path)) as container:
        decoded = sum(frame.samples for frame in container.decode(audio=0))
    assert decode(path).size == pytest.approx(decoded / 3, abs=1)


def test_wave_file_is_as_long_as_before(tmp_path: Path) -> None:
    assert decode(write_wav(tmp_path / "a.wav", tone(5, RATE))).size == 5 * RATE


def place_all(timeline: Timeline, times_s: list[float | None], duration_s: float = 1.0) -> list[float]:
    return [round(timeline.place(time_s, duration_s), 3) for time_s in times_s]


@pytest.mark.parametrize(
    ("start_s", "times_s", "gaps_s"),
    [
        pytest.param(0.0, [0.0, 1.0, 2.0], [0, 0, 0], id="no hole"),
        pytest.param(0.0, [3.0, 4.0], [3, 0], id="late start"),
        pytest.param(1.4, [1.4, 2.4], [0, 0], id="a file that begins at 1.4 s"),
        pytest.param(None, [7.0, 8.0, 9.5], [0, 0, 0.5], id="no start known"),
        pytest.param(0.0, [-0.02, 0.98, 2.05], [0, 0, 0], id="jitter"),
        pytest.param(0.0, [0.0, None, 2.0, 5.0], [0, 0, 0, 2], id="no timestamp"),
        pytest.param(0.0, [0.0, 0.6, 2.0], [0, 0, 0], id="overlap, then back in step"),
        pytest.param(0.0, [0.0, 1.0, 0.0, 1.0, 4.0], [0, 0, 0, 0, 2], id="timestamps that start anew"),
        pytest.param(0.0, [0.0, 95_443.0, 95_444.0, 95_446.0], [0, 0, 0, 1], id="a jump out of the file"),
    ],
)
def test_gaps(start_s: float | None, times_s: list[float | None], gaps_s: list[float]) -> None:
    assert place_all(Timeline(start_s, 20.0), times_s) == gaps_s


def test_an_hour_is_the_longest_gap_of_a_file_of_no_length() -> None:
    assert place_all(Timeline(0.0, None), [0.0, 3000.0, 8000.0]) == [0, 2999, 0]


@given(st.lists(st.floats(-1e6, 1e6) | st.none(), max_size=50), st.floats(0, 100))
def test_silence_never_leads_beyond_the_end(times_s: list[float | None], end_s: float) -> None:
    timeline = Timeline(0.0, end_s)
    gaps_s = place_all(timeline, times_s, 0.1)
    assert min(gaps_s, default=0) >= 0
    assert sum(gaps_s) <= end_s + 0.1 * len(times_s) + 0.2
