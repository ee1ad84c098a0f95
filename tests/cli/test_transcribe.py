"""`voice-stack transcribe`: with an engine of its own, and against a server."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from cli.commands import COMMAND, run
from e2e.sound import tone, wrap_pcm
from running_server import RunningServer, run_server, wait_until

FAKE = {
    "ASR_ENGINE": "fake",
    "ASR_MODEL": "fake",
    "ASR_VAD_ENABLED": "false",
    "ASR_WINDOW_S": "2",
    "ASR_SPEAKER_MODEL": "fake+each-sleep=0",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server without any job."""
    with run_server("asr", tmp_path_factory.mktemp("server"), FAKE) as running:
        yield running


@pytest.fixture(params=["own engine", "server"])
def where(request: pytest.FixtureRequest, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Variables for both ways; the same is expected of them."""
    if request.param == "server":
        server: RunningServer = request.getfixturevalue("server")
        yield environment | {"VOICE_STACK_URL": server.url}
        with server.http() as client:
            assert client.get("/v1/jobs").json()["data"] == [], "what was done is removed from the server"
    else:
        yield environment | FAKE


def _write(folder: Path, name: str, length_s: float = 3.0) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tone(length_s))
    return path


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_subtitles_lie_beside_the_film_and_are_not_overwritten(where: dict[str, str], tmp_path: Path) -> None:
    film = _write(tmp_path / "films", "My film.wav")
    result = run(where, "transcribe", str(film))
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert _names(film.parent) == {"My film.wav", "My film.en.srt"}
    subtitles = film.with_name("My film.en.srt")
    assert subtitles.read_text().startswith("1\n00:00:00,000 --> 00:00:0")
    subtitles.write_text("by hand")
    again = run(where, "transcribe", str(film))
    assert again.returncode == 0
    assert "skipped" in again.stderr
    assert "--overwrite" in again.stderr
    assert subtitles.read_text() == "by hand"
    assert run(where, "transcribe", "--overwrite", str(film)).returncode == 0
    assert subtitles.read_text() != "by hand"


def test_one_bad_file_does_not_stop_the_others(where: dict[str, str], tmp_path: Path) -> None:
    folder, texts = tmp_path / "films", tmp_path / "texts"
    _write(folder, "season 1/a.wav")
    _write(folder, "season 1/.hidden.wav")
    _write(folder, "z.wav")
    (folder / "m.mp3").write_bytes(b"no sound")
    (folder / "notes.txt").write_text("no film")
    arguments = ["-f", "text", "-o", str(texts), "--language", "german", str(folder), str(folder / "gone.wav")]
    result = run(where, "transcribe", *arguments)
    assert result.returncode == 1
    assert _names(texts) == {"a.de.txt", "z.de.txt"}
    failed = [line for line in result.stderr.splitlines() if "failed" in line]
    assert len(failed) == 2
    assert "m.mp3" in failed[0]
    assert "gone.wav: failed: No such file" in failed[1]
    assert "Traceback" not in result.stderr


def test_stdout_and_lines_of_progress(where: dict[str, str], tmp_path: Path) -> None:
    long = _write(tmp_path, "long.wav", 40.0)
    prompt = ["--prompt", "sleep=0.15", "--language", "en"]
    result = run(where, "transcribe", "-f", "vtt", "-o", "-", *prompt, str(tmp_path / "*.wav"))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("WEBVTT\n")
    shown = [line for line in result.stderr.splitlines() if line.startswith("long.wav: ")]
    assert shown
    assert all("%" in line and "left" in line for line in shown)
    assert _names(long.parent) == {"long.wav"}


def test_translation_is_english(where: dict[str, str], tmp_path: Path) -> None:
    film = _write(tmp_path, "film.wav")
    assert run(where, "transcribe", "--task", "translate", "-f", "verbose_json", str(film)).returncode == 0
    assert '"task":"translate"' in (tmp_path / "film.en.json").read_text()


def test_who_speaks_stands_in_the_text(where: dict[str, str], tmp_path: Path) -> None:
    levels = np.repeat(np.array([0.1, -0.1]), 32_000)  # two fake speakers, two seconds each
    (tmp_path / "talk.wav").write_bytes(wrap_pcm((levels * 32767).astype("<i2").tobytes(), 16_000))
    result = run(where, "transcribe", "-f", "text", "-o", "-", "--speakers", "2-3", str(tmp_path / "talk.wav"))
    assert [line[:12] for line in result.stdout.splitlines()] == ["SPEAKER_00: ", "SPEAKER_01: "], result.stderr
    voice = tmp_path / "beth.voice"
    voice.write_bytes(wrap_pcm((levels[32_000:] * 32767).astype("<i2").tobytes(), 16_000))
    known = ["--known", f"Beth={voice}"]
    assert run(where, "transcribe", "-f", "diarized_json", *known, str(tmp_path / "talk.wav")).returncode == 0
    assert '"speaker":"Beth"' in (tmp_path / "talk.en.json").read_text()


@pytest.mark.parametrize(
    ("option", "told"), [(["--speakers", "some"], "as 3, nor two"), (["--known", "Anna"], "NAME=FILE")]
)
def test_what_speakers_cannot_be_is_told(environment: dict[str, str], option: list[str], told: str) -> None:
    result = run(environment, "transcribe", *option, "film.wav")
    assert result.returncode == 2
    assert told in result.stderr


def test_two_files_with_one_name_do_not_share_a_text(where: dict[str, str], tmp_path: Path) -> None:
    _write(tmp_path / "films", "film.wav")
    _write(tmp_path / "films", "film.mp4")
    result = run(where, "transcribe", "--overwrite", str(tmp_path / "films"))
    assert result.returncode == 1
    assert "the text of another file" in result.stderr


def test_interrupt_ends_the_work_and_leaves_no_half_file(
    where: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    long = _write(tmp_path / "films", "long.wav", 40.0)
    arguments = ["transcribe", "--language", "en", "--prompt", "sleep=0.5", str(long)]
    process = subprocess.Popen([*COMMAND, *arguments], env=where, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "%" in process.stderr.readline()
    engines = psutil.Process(process.pid).children(recursive=True)
    started = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 130
    assert rest.endswith("Interrupted.\n")
    assert "Traceback" not in rest
    assert time.monotonic() - started < 15
    assert _names(long.parent) == {"long.wav"}
    wait_until(lambda: not any(engine.is_running() for engine in engines), 10, "the engine is gone")
    if "VOICE_STACK_URL" in where:
        _remove_cancelled(request.getfixturevalue("server"))


def _remove_cancelled(server: RunningServer) -> None:
    with server.http() as client:
        (job,) = client.get("/v1/jobs").json()["data"]
        assert job["status"] == "cancelled"
        client.delete(f"/v1/jobs/{job['id']}")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--format", "tape", "a.wav"],
        ["--language", "klingon", "a.wav"],
        ["--url", "ftp://x", "a.wav"],
        ["--word-timestamps", "a.wav"],
        ["--task", "translate", "--language", "de", "a.wav"],
    ],
)
def test_wrong_usage_is_2(environment: dict[str, str], arguments: list[str]) -> None:
    result = run(environment | FAKE, "transcribe", *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_empty_folder_and_server_that_is_down_are_1(environment: dict[str, str], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    result = run(environment | FAKE, "transcribe", str(empty))
    assert result.returncode == 1
    assert "no audio or video files" in result.stderr
    film = _write(tmp_path, "film.wav")
    url = f"http://127.0.0.1:{environment['ASR_PORT']}"
    result = run(environment, "transcribe", "--url", url, str(film))
    assert result.returncode == 1
    assert "is the server running?" in result.stderr


def test_speech_becomes_subtitles_without_a_server(
    environment: dict[str, str], tmp_path: Path, spoken: Callable[[str], bytes]
) -> None:
    (tmp_path / "talk.wav").write_bytes(spoken("The weather is nice today."))
    result = run(environment, "transcribe", str(tmp_path / "talk.wav"))
    assert result.returncode == 0, result.stderr
    assert "weather is nice today" in (tmp_path / "talk.en.srt").read_text().lower()
