"""`voice-stack listen`: what is said, while it is said."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.commands import COMMAND, assert_one_line, run
from piper_speech import RATE, speak, speak_wav
from running_server import RunningServer, run_server

SAID = "The museum opens in the morning."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Iterator[RunningServer]:
    with run_server("asr", tmp_path_factory.mktemp("server"), {"MODEL_DIR": str(model_dir)}) as running:
        yield running


@pytest.fixture
def there(environment: dict[str, str], server: RunningServer) -> dict[str, str]:
    return environment | {"VOICE_STACK_URL": server.url}


def test_a_file_plays_and_its_subtitles_are_those_of_a_transcription(
    there: dict[str, str], tmp_path: Path, server: RunningServer
) -> None:
    (tmp_path / "said.wav").write_bytes(speak_wav(SAID))
    began = time.monotonic()
    result = run(there, "listen", str(tmp_path / "said.wav"), "--format", "srt")
    assert (result.returncode, result.stderr.lower()) == (0, f"{SAID}\n".lower())
    assert time.monotonic() - began > 1.0
    with (tmp_path / "said.wav").open("rb") as file:
        made = server.openai().audio.transcriptions.create(file=file, model="whisper-1", response_format="srt")
    assert re.sub(r"[\d:,]", "", result.stdout).lower() == re.sub(r"[\d:,]", "", str(made)).lower()


def test_ctrl_c_ends_a_microphone_and_the_last_words_come(there: dict[str, str]) -> None:
    process = subprocess.Popen(
        [*COMMAND, "listen", "-", "--language", "en"],
        env=there, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write((speak(SAID) * 30_000).astype("<i2").tobytes())
    process.stdin.flush()
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said, told = process.communicate(timeout=30)
    assert (process.returncode, said.decode(), told) == (0, f"{SAID}\n", b"")


def test_on_a_terminal_words_are_grey_before_they_are_final(there: dict[str, str]) -> None:
    sound = (speak("The museum opens in the morning, and tickets are sold until noon.") * 30_000).astype("<i2")
    feed = f"import sys, time, pathlib\nfor b in range(0, {sound.nbytes}, 6400):\n time.sleep(0.2)\n"
    feed += " sys.stdout.buffer.write(pathlib.Path('said.pcm').read_bytes()[b : b + 6400])\n sys.stdout.flush()"
    Path(there["HOME"], "said.pcm").write_bytes(sound.tobytes())
    listening = f'{COMMAND[0]} -c "{feed}" | {" ".join(COMMAND)} listen - --rate {RATE}'
    shown = subprocess.run(
        ["script", "-qec", listening, "/dev/null"],
        env=there | {"TERM": "xterm", "COLUMNS": "120"}, cwd=there["HOME"], capture_output=True, timeout=60, check=True,
    ).stdout.decode()  # fmt: skip
    assert "\x1b[2m" in shown
    last = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown).replace("\r", "\n").strip().splitlines()[-1]
    assert last.endswith("until noon.")


def test_what_cannot_be_played_is_one_line(there: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no sound")
    assert_one_line(run(there, "listen", str(tmp_path / "notes.txt")), "Invalid file format")
    assert_one_line(run(there, "listen", str(tmp_path / "notes.txt"), "-m", "none-such"), "none-such")
    missing = run(there, "listen", "missing.wav")
    assert (missing.returncode, "missing.wav" in missing.stderr) == (2, True)
    assert_one_line(run(there | {"VOICE_STACK_URL": "http://127.0.0.1:9"}, "listen", "-"), "running?")
