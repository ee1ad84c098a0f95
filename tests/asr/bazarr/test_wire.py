"""What Bazarr sends and what it must get, request by request."""

import io
import json
import wave

import pytest

from asr.bazarr.film import DETECT, asr_target, new_film
from asr.bazarr.wire import post
from e2e.sound import transcode, wrap_pcm
from running_server import RunningServer

SRT = b"1\n00:00:00,000 --> 00:00:01,000\nwindow 1.0 s.\n\n"
VIDEO = "&video_file=%2Ftv%2FAm%C3%A9lie+%26+friends+%282001%29+%231.mkv"


@pytest.mark.parametrize(
    ("path", "extra"),
    [
        ("/asr", ""),
        ("/asr", VIDEO),
        ("/asr/", VIDEO),
        ("/v1/bazarr/asr", "&diarize=false&min_speakers="),
        ("/v1/bazarr/asr/", ""),
    ],
)
def test_film_comes_back_as_srt(fake_bazarr: RunningServer, path: str, extra: str) -> None:
    target = asr_target(extra=extra).replace("/asr", path)
    answer = post(fake_bazarr.port, target, new_film(1.0))
    assert (answer.status, answer.is_complete, answer.body) == (200, True, SRT)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="audio_file.srt"'
    fake_bazarr.expect_no_uploads()


@pytest.mark.parametrize(
    ("path", "extra"),
    [
        ("/detect-language", ""),
        ("/detect-language", "&detect_lang_length=30&detect_lang_offset=5&unknown=1"),
        ("/detect-language/", ""),
        ("/v1/bazarr/detect-language", VIDEO),
    ],
)
def test_language_has_both_keys(fake_bazarr: RunningServer, path: str, extra: str) -> None:
    answer = post(fake_bazarr.port, f"{path}?encode=false{extra}", new_film(40.0))
    assert answer.status == 200
    # Opinions of 0.9 against 0.1 each, and their mean.
    assert json.loads(answer.body) == {"detected_language": "english", "language_code": "en", "confidence": 0.9}


@pytest.mark.parametrize("path", ["/status", "/v1/bazarr/status", "/v1/bazarr/status/"])
def test_status_has_a_version(fake_bazarr: RunningServer, path: str) -> None:
    with fake_bazarr.http() as client:
        answer = client.get(path, headers={"User-Agent": "Bazarr/1.5.6"})
        version = client.get("/health").json()["version"]
    assert (answer.status_code, answer.json()["version"]) == (200, version)


@pytest.mark.parametrize("path", ["/asr", "/asr/", "/detect-language", "/v1/bazarr/asr", "/", "/docs"])
def test_addresses_opened_in_a_browser_answer(fake_bazarr: RunningServer, path: str) -> None:
    with fake_bazarr.http() as client:
        answer = client.get(path)
    assert answer.status_code == 200
    assert path.startswith(("/v1", "/asr", "/detect")) == ("Bazarr" in answer.text and "Settings" in answer.text)


def test_path_of_the_film_is_logged_without_its_line_breaks(fake_bazarr: RunningServer) -> None:
    post(fake_bazarr.port, asr_target(extra="&video_file=%2Ftv%2Fnew%0Aline%1B%5B31m.mkv"), new_film(1.0))
    log = fake_bazarr.log.read_text()
    lines = [line for line in log.splitlines() if "/tv/new" in line]
    assert lines
    assert all("line" in line and "\x1b" not in line for line in lines)
    accepted = next(line for line in lines if "film accepted" in line)
    assert all(f" {name}=" in accepted for name in ("audio_s", "task", "language", "queue_place", "model"))
    assert any("film done" in line for line in lines)


BEGINS = {
    "srt": b"1\n00:00:00,000 --> ",
    "vtt": b"WEBVTT\n\n00:00:00.000 --> ",
    "txt": b"window 1.0 s.\n",
    "json": b'{"task":"transcribe","language":"fr"',
    "tsv": b"start\tend\ttext\n0\t1000\twindow 1.0 s.\n",
    "jsonl": b'{"id":0,',
}


@pytest.mark.parametrize("output", BEGINS)
def test_every_output(fake_bazarr: RunningServer, output: str) -> None:
    answer = post(fake_bazarr.port, asr_target(output=output), new_film(1.0))
    assert (answer.status, answer.is_complete) == (200, True)
    assert "transfer-encoding" not in answer.headers
    assert answer.body.startswith(BEGINS[output])


@pytest.mark.parametrize("output", ["srt", "vtt", "json", "tsv"])
def test_output_after_heartbeats_is_the_same(fake_bazarr: RunningServer, output: str) -> None:
    answer = post(fake_bazarr.port, asr_target(output=output, prompt="sleep=0.9"), new_film(1.0))
    assert (answer.status, answer.is_complete) == (200, True)
    assert "transfer-encoding" in answer.headers
    # Heartbeats are blank lines, after the heads of those formats that have one.
    assert answer.body.startswith({"vtt": b"WEBVTT\n", "tsv": b"start\tend\ttext\n\n"}.get(output, b"\n"))
    lines = [line for line in answer.body.split(b"\n") if line]
    assert b"\n".join(lines).startswith(BEGINS[output].replace(b"\n\n", b"\n").rstrip(b"\n"))


def test_json_has_words_on_demand(fake_bazarr: RunningServer) -> None:
    film = new_film(1.0)
    plain = json.loads(post(fake_bazarr.port, asr_target(output="json"), film).body)
    words = json.loads(post(fake_bazarr.port, asr_target(output="json", extra="&word_timestamps=true"), film).body)
    assert "words" not in plain
    assert [word["word"] for word in words["words"]] == ["window", "1.0", "s."]


@pytest.mark.parametrize("spelling", ["fr", "fre", "fra", "French", "fr-CA", "FR"])
def test_language_in_any_spelling(fake_bazarr: RunningServer, spelling: str) -> None:
    answer = post(fake_bazarr.port, asr_target(language=spelling, output="json"), new_film(1.0))
    assert json.loads(answer.body)["language"] == "fr"


@pytest.mark.parametrize("spelling", ["", "und", "auto"])
def test_language_left_open_is_found(fake_bazarr: RunningServer, spelling: str) -> None:
    answer = post(fake_bazarr.port, asr_target(language=spelling, output="json"), new_film(1.0))
    assert json.loads(answer.body)["language"] == "en"


@pytest.mark.parametrize(
    ("target", "film", "told"),
    [
        (asr_target(task="summarize"), new_film(1.0), ["task", "summarize", "transcribe", "translate"]),
        (asr_target(language="klingon"), new_film(1.0), ["language", "klingon", "haw"]),
        (asr_target(output="docx"), new_film(1.0), ["output", "docx", "jsonl"]),
        (asr_target(), b"", ["empty"]),
        (asr_target(), b"\0" * 32, ["too short"]),
        (asr_target().replace("encode=false", "encode=true"), new_film(1.0), ["Supported formats"]),
        (DETECT, b"", ["empty"]),
        (f"{DETECT}&detect_lang_offset=-1", new_film(1.0), ["detect_lang_offset", "-1"]),
    ],
)
def test_bad_request_is_refused_with_the_reason(
    fake_bazarr: RunningServer, target: str, film: bytes, told: list[str]
) -> None:
    answer = post(fake_bazarr.port, target, film)
    assert (answer.status, answer.headers["content-type"], answer.is_complete) == (400, "application/json", True)
    assert [part for part in told if part not in json.loads(answer.body)["error"]["message"]] == []
    fake_bazarr.expect_no_uploads()


def test_odd_byte_at_the_end_is_dropped(fake_bazarr: RunningServer) -> None:
    assert post(fake_bazarr.port, asr_target(), new_film(1.0) + b"\x7f").body == SRT


def test_media_file_that_is_called_raw_is_decoded(fake_bazarr: RunningServer) -> None:
    film = wrap_pcm(new_film(1.0), 48_000)
    with wave.open(io.BytesIO(film)) as sound:
        assert sound.getnframes() == 16_000
    body = json.loads(post(fake_bazarr.port, asr_target(output="json"), film).body)
    assert body["duration"] == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize(
    ("container", "codec", "encode"),
    [
        ("mp4", "aac", "true"),
        ("matroska", "libopus", "false"),
        ("mp3", "libmp3lame", "true"),
        ("mp3", "libmp3lame", "false"),
    ],
)
def test_any_container_is_decoded(fake_bazarr: RunningServer, container: str, codec: str, encode: str) -> None:
    film = transcode(wrap_pcm(new_film(3.0), 16_000), container, codec, 48_000, "mono")
    if container == "mp3" and encode == "false":
        film = film if film.startswith(b"ID3") else b"ID3\x04\0\0\0\0\0\0" + film
    target = asr_target(output="json").replace("encode=false", f"encode={encode}")
    body = json.loads(post(fake_bazarr.port, target, film).body)
    assert body["duration"] == pytest.approx(3.0, abs=0.15)
    found = json.loads(post(fake_bazarr.port, DETECT.replace("false", encode), film).body)
    assert found["language_code"] == "en"


def test_wrong_part_is_told(fake_bazarr: RunningServer) -> None:
    with fake_bazarr.http() as client:
        answer = client.post("/asr", files={"file": ("a.wav", b"x")})
        text = client.post("/asr", files={"audio_file": (None, "x")})
    assert (answer.status_code, text.status_code) == (400, 400)
    assert "'audio_file'" in answer.json()["error"]["message"]
    assert "filename" in text.json()["error"]["message"]
