"""`voice-stack speak`: with an engine of its own, and against a server."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.commands import COMMAND, assert_one_line, run
from e2e.speech_requests import FAKE, sentences, speak
from running_server import RunningServer, run_server, wait_until
from utils.audio.encoding import decode

TEXT = "This is what you asked me to say. And one more sentence, so that it is a stream."
LONG_TEXT = sentences(14, "sleep=0.15")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("server")
    # What else the user of this machine has fetched would change what is found of a text's language.
    with run_server("tts", folder, {**FAKE, "MODEL_DIR": str(folder / "models")}) as running:
        yield running


@pytest.fixture(params=["own engine", "server"])
def where(request: pytest.FixtureRequest, environment: dict[str, str]) -> dict[str, str]:
    """Variables for both ways; the same is expected of them."""
    if request.param == "server":
        server: RunningServer = request.getfixturevalue("server")
        return environment | {"VOICE_STACK_TTS_URL": server.url}
    return environment | FAKE | {"TTS_CACHE_DIR": f"{environment['HOME']}/cache"}


def _audio_files(folder: Path) -> set[str]:
    """Names of all files but those of the cache."""
    return {path.name for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("format_name", ["mp3", "flac"])
def test_a_file_is_exact_in_the_format_of_its_name(
    environment: dict[str, str], server: RunningServer, tmp_path: Path, format_name: str
) -> None:
    target = tmp_path / f"said.{format_name}"
    result = run(environment, "speak", TEXT, "-o", str(target), "--server", server.url)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    told = re.fullmatch(r"(.+) \((\d+\.\d) s of speech, made in \d+\.\d s\)\n", result.stderr)
    assert told is not None, result.stderr
    assert told[1] == str(target)
    whole = speak(server, TEXT, response_format=format_name, stream=False, cache=False).content
    assert target.read_bytes() == whole
    samples, rate = decode(whole, format_name)
    assert len(samples) / rate > 0.05 * len(TEXT)
    assert len(samples) / rate == pytest.approx(float(told[2]), abs=0.1)


def test_both_ways_speak_a_file_as_they_are_told(where: dict[str, str], tmp_path: Path, server: RunningServer) -> None:
    (tmp_path / "text.txt").write_text(f"\ufeff{TEXT}", "utf-8")
    arguments = ["-f", str(tmp_path / "text.txt"), "-o", str(tmp_path / "said.mp3"), "--format", "wav"]
    options = ["--voice", "Nova", "--model", "fake", "--speed", "2", "--language", "en"]
    result = run(where, "speak", *arguments, *options)
    assert result.returncode == 0, result.stderr
    fields = {"voice": "nova", "model": "fake", "speed": 2, "language": "en", "response_format": "wav"}
    assert (tmp_path / "said.mp3").read_bytes() == speak(server, TEXT, stream=False, cache=False, **fields).content
    assert _audio_files(tmp_path) == {"text.txt", "said.mp3"}


def test_from_standard_input_to_standard_output_with_progress(where: dict[str, str], tmp_path: Path) -> None:
    spoken = subprocess.run(
        [*COMMAND, "speak", "-", "-o", "-", "--format", "pcm"],
        env=where, cwd=tmp_path, input=LONG_TEXT.encode(), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    told = spoken.stderr.decode()
    assert spoken.returncode == 0, told
    # 16-bit samples at 24 kHz; the fake engine takes 0.06 s for a character.
    assert len(spoken.stdout) / 48_000 == pytest.approx(0.06 * len(LONG_TEXT), rel=0.15)
    shown = told.splitlines()
    assert len(shown) > 3, told
    assert all(line.startswith("speech: ") and "% " not in line for line in shown), told
    assert all("%, " in line and line.endswith(" left") for line in shown), told
    assert "100 %" in shown[-1]


def test_interrupt_ends_the_work_and_leaves_no_half_file(
    where: dict[str, str], tmp_path: Path, server: RunningServer
) -> None:
    (tmp_path / "long.mp3").write_text("by hand")
    arguments = ["speak", sentences(200, "sleep=0.2"), "-o", str(tmp_path / "long.mp3")]
    process = subprocess.Popen([*COMMAND, *arguments], env=where, stderr=subprocess.PIPE, text=True)
    children = psutil.Process(process.pid).children
    wait_until(lambda: children() or server.count_jobs()[0], 30, "the speech begins")
    engines = children(recursive=True)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert told.endswith("Interrupted.\n")
    assert "Traceback" not in told
    assert _audio_files(tmp_path) == {"long.mp3"}
    assert (tmp_path / "long.mp3").read_text() == "by hand"
    wait_until(lambda: not any(engine.is_running() for engine in engines), 10, "the engine is gone")
    wait_until(lambda: server.count_jobs() == (0, 0), 10, "the server has stopped")


def test_a_failing_sentence_is_one_line_and_no_file(where: dict[str, str], tmp_path: Path) -> None:
    assert_one_line(run(where, "speak", f"{TEXT * 3} Now fail.", "-o", str(tmp_path / "said.mp3")), "told to fail")
    assert _audio_files(tmp_path) == set()


def test_what_is_refused_is_one_line(environment: dict[str, str], server: RunningServer, tmp_path: Path) -> None:
    there = environment | {"VOICE_STACK_TTS_URL": server.url}
    target = str(tmp_path / "said.mp3")
    assert_one_line(run(there, "speak", TEXT, "-o", target, "--voice", "nobody"), "'nobody'", "alloy")
    nowhere = str(tmp_path / "missing" / "said.mp3")
    assert_one_line(run(there, "speak", TEXT, "-o", nowhere), nowhere, "No such file or directory")
    assert _audio_files(tmp_path) == set()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "a.mp3"], "give a TEXT"),
        (["Hello", "-o", "a.xyz"], "give --format"),
        (["-f", "latin.txt", "-o", "a.mp3"], "no text in UTF-8"),
        (["Hello", "-o", "a.mp3", "--server", "nonsense"], "'nonsense'"),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(
    environment: dict[str, str], tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "latin.txt").write_bytes("Grüße".encode("latin-1"))
    result = run(environment, "speak", *arguments)
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_no_server_there(environment: dict[str, str], tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{environment['TTS_PORT']}"
    assert_one_line(run(environment, "speak", TEXT, "-o", str(tmp_path / "a.mp3"), "--server", url), url, "running?")


def test_a_pipe_that_closes_is_no_crash(environment: dict[str, str], tmp_path: Path) -> None:
    command = [*COMMAND, "speak", LONG_TEXT, "-o", "-", "--format", "pcm"]
    process = subprocess.Popen(
        command, env=environment | FAKE, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.read(1000)
    process.stdout.close()
    assert process.stderr is not None
    told = process.stderr.read().decode()
    assert process.wait(30) == 1, told
    assert "Traceback" not in told
    assert "Broken pipe" in told.splitlines()[-1]
