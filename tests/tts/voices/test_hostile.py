"""Names, files and forms that nobody means well with: each costs a 4xx, none leaves anything behind."""

import io
import struct
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import httpx2
import numpy as np
import pytest
from av.stream import Disposition

from running_server import RunningServer
from tts.voices.sounds import BIRCH, RATE, music, speech, wav
from voice_stack.utils.audio.pcm import to_int16

URL = "/v1/audio/voices"
GOOD = BIRCH.read_bytes()


def error(answer: httpx2.Response, status: int = 400) -> dict[str, str]:
    body: dict[str, str] = answer.json()["error"]
    assert (answer.status_code, body["type"]) == (status, "invalid_request_error"), answer.text
    return body


def send(http: httpx2.Client, name: str, content: bytes = GOOD, filename: str = "a.wav") -> httpx2.Response:
    return http.post(URL, data={"name": name}, files={"audio_sample": (filename, content)})


@pytest.fixture(autouse=True)
def nothing_stays(voice_server: RunningServer, voice_dir: Path) -> object:
    before = sorted(voice_dir.rglob("*"))
    yield
    voice_server.expect_no_uploads()
    assert [path for path in sorted(voice_dir.rglob("*")) if path not in before and path.name != ".lock"] == []


@pytest.mark.parametrize(
    "name",
    ["", "  ", "../../etc/passwd", "a\\b", "a\0b", "a\nb", "x" * 10_000, "Bob\u202etxt.exe", "tab\there", "[voice:x]"],
    ids=["empty", "blank", "path", "backslash", "NUL", "line", "10 kB", "right to left", "tab", "tag"],
)
def test_hostile_names_are_refused(http: httpx2.Client, name: str) -> None:
    refused = error(send(http, name))
    assert (refused["param"], len(refused["message"]) < 600) == ("name", True)
    assert "Value error" not in refused["message"], "words of the library"


@pytest.mark.parametrize(
    "name", ["CON", "nul.txt", "..", ".hidden", "~root", "$(reboot)", "ناصر", "e\u0301 👩‍🚀", "{0}"]
)
def test_names_are_data_and_never_paths(http: httpx2.Client, voice_dir: Path, name: str) -> None:
    made = send(http, name).json()
    assert made["name"] == name
    assert sorted(path.name for path in (voice_dir / made["id"]).iterdir()) == ["reference.flac", "voice.toml"]
    assert http.get(f"{URL}/{made['id']}").json()["name"] == name
    assert http.delete(f"{URL}/{made['id']}").json()["deleted"]


@pytest.mark.parametrize(
    "voice_id", ["..", "../x", "%2e%2e%2fx", ".consents", "voice_" + "0" * 32, "x" * 5_000, "a\0b"]
)
def test_ids_are_looked_up_and_never_paths(http: httpx2.Client, voice_id: str) -> None:
    for base in (URL, "/v1/audio/voice_consents"):
        url = f"{base}/{httpx2.URL(voice_id).raw_path.decode()}" if "\0" not in voice_id else f"{base}/a%00b"
        for answer in (http.get(url), http.delete(url), http.post(url, json={"name": "x"})):
            assert answer.status_code in {400, 404, 405}, answer.text
            assert len(answer.text) < 6_000


def _zip() -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("../../evil.wav", GOOD)
    return memory.getvalue()


def _with_pictures(container: str, codec: str, picture_codec: str, pictures: int, disposition: int = 0) -> bytes:
    """Good speech with grey pictures."""
    memory = io.BytesIO()
    grey = np.full((64, 64, 3), 128, np.uint8)
    with av.open(memory, "w", format=container) as file:
        sound = file.add_stream(codec, rate=RATE, layout="mono")
        assert isinstance(sound, av.AudioStream)
        video = file.add_stream(picture_codec, rate=5, width=64, height=64, pix_fmt="yuvj420p")
        assert isinstance(video, av.VideoStream)
        video.disposition = Disposition(disposition)
        for number in range(pictures):
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format="yuvj420p")
            frame.pts, frame.time_base = number, Fraction(1, 5)
            file.mux(video.encode(frame))
        for start in range(0, speech().size, RATE):
            part = av.AudioFrame.from_ndarray(to_int16(speech()[start : start + RATE])[np.newaxis], "s16", "mono")
            part.sample_rate, part.pts, part.time_base = RATE, start, Fraction(1, RATE)
            file.mux(sound.encode(part))
        for stream in (video, sound):
            file.mux(stream.encode(None))
    return memory.getvalue()


def _year_long() -> bytes:
    """A header that states a year of one byte each second, and one second of noise."""
    data_bytes = 365 * 24 * 3600 * 8
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", data_bytes + 36, b"WAVE", b"fmt ", 16, 1, 1, 8, 8, 1, 8, b"data", data_bytes
    )
    return head + b"\x80\x90" * 4_000


HOSTILE = {
    "nothing": (b"", "empty"),
    "text": (b"This is no sound, whatever it is called.\n" * 50, "could not be decoded"),
    "zip": (_zip(), "could not be decoded"),
    "page": (b"<html><script>alert(1)</script></html>", "could not be decoded"),
    "playlist": (b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n", "could not be decoded"),
    "video": (_with_pictures("matroska", "pcm_s16le", "mjpeg", 15), "video"),
    "a year": (_year_long(), ""),
    "half a header": (GOOD[:40], ""),
    "ten hours of nothing": (wav(np.zeros(8 * RATE, np.float32), 1), "600 s"),
    "silence": (wav(np.zeros(5 * RATE, np.float32)), "silent"),
    "music": (wav(music(8)), "no speech"),
    "short": (wav(speech()[:RATE]), "too short"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_with_the_reason(http: httpx2.Client, kind: str) -> None:
    content, told = HOSTILE[kind]
    refused = error(send(http, "Eve", content))
    assert refused["param"] == "audio_sample"
    assert told in refused["message"]


def test_cover_picture_is_no_video(http: httpx2.Client) -> None:
    song = _with_pictures("flac", "flac", "mjpeg", 1, Disposition.attached_pic)
    made = send(http, "Song", song, "song.flac")
    assert made.status_code == 200, made.text
    assert http.delete(f"{URL}/{made.json()['id']}").json()["deleted"]


def test_too_large_a_file_is_413(http: httpx2.Client) -> None:
    assert "10551296" in error(send(http, "Big", bytes(11 << 20)), 413)["message"]


@pytest.mark.parametrize(
    ("data", "files", "param"),
    [
        ({"name": "x"}, {}, "audio_sample"),
        ({}, {"audio_sample": ("a.wav", GOOD)}, "name"),
        ({"name": "x"}, {"file": ("a.wav", GOOD)}, "audio_sample"),
        ({"name": "x", "type": "song"}, {"audio_sample": ("a.wav", GOOD)}, "type"),
        ({"name": "x", "consent": "cons_nobody"}, {"audio_sample": ("a.wav", GOOD)}, "consent"),
        ({"name": "x", "consent": "../.."}, {"audio_sample": ("a.wav", GOOD)}, "consent"),
        ({"name": "x", "language": "Klingon"}, {"audio_sample": ("a.wav", GOOD)}, "language"),
        ({"name": "x", "description": "\x1b[2J"}, {"audio_sample": ("a.wav", GOOD)}, "description"),
    ],
)
def test_wrong_forms_name_the_field(
    http: httpx2.Client, data: dict[str, str], files: dict[str, tuple[str, bytes]], param: str
) -> None:
    sent = {name: (None, value) for name, value in data.items()} | files
    assert error(http.post(URL, files=sent))["param"] == param  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [b"[]", b"{", b"null", b'{"name": 5}', b'{"name": "a/b"}'])
def test_wrong_changes_are_refused(http: httpx2.Client, body: bytes) -> None:
    made = send(http, "Kept").json()
    answer = http.post(f"{URL}/{made['id']}", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert http.get(f"{URL}/{made['id']}").json()["name"] == "Kept"
    http.delete(f"{URL}/{made['id']}")
