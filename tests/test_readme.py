"""The examples of README.md, run as they stand against the servers; only the ports are others."""

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import httpx2
import pytest

from chat.scripted_model import run_scripted_model
from running_server import free_port

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SPOKEN_WORDS = {"museum", "opens", "ten", "morning"}


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def _environment() -> dict[str, str]:
    """Without the settings of whoever runs the tests, and without a proxy for this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASR_", "TTS_", "CHAT_", "API_"))}
    return kept | {"OFFLINE": "true", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def _await_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    with httpx2.Client(trust_env=False) as client:
        while True:
            try:
                client.get(f"http://127.0.0.1:{port}/ready").raise_for_status()
            except httpx2.HTTPError:
                assert process.poll() is None, f"voice-stack up ended with exit code {process.returncode}"
                assert time.monotonic() < deadline, f"no answer on port {port}"
                time.sleep(0.05)
            else:
                return


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The ports of the README and those that stand in for them, the servers listening on these."""
    asr, tts, chat = free_port(), free_port(), free_port()
    environment = _environment() | {"ASR_PORT": str(asr), "TTS_PORT": str(tts), "CHAT_PORT": str(chat)}
    environment["CHAT_DB"] = str(tmp_path_factory.mktemp("chat") / "chat.db")
    with run_scripted_model() as model:
        environment["CHAT_LLM_URL"] = model.url
        process = subprocess.Popen([sys.executable, "-m", "voice_stack", "up"], env=environment, cwd=ROOT)
        try:
            for port in (asr, tts, chat):
                _await_ready(port, process)
            yield {"5001": str(asr), "5002": str(tts), "5003": str(chat)}
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def _run(command: list[str], folder: Path) -> str:
    result = subprocess.run(
        command, cwd=folder, env=_environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def _on(ports: dict[str, str], block: str) -> str:
    for written, actual in ports.items():
        block = block.replace(f":{written}/", f":{actual}/")
    return block


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower().replace("10", "ten")))


def _duration_s(data: bytes) -> float:
    with av.open(io.BytesIO(data), "r") as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


def test_curl_examples_speak_and_listen(ports: dict[str, str], tmp_path: Path) -> None:
    speak, listen, talk = _blocks("sh")
    _run(["bash", "-ec", _on(ports, speak)], tmp_path)
    # Eight words take a speaker between one and six seconds.
    assert 1 < _duration_s((tmp_path / "speech.mp3").read_bytes()) < 6
    heard = _run(["bash", "-ec", _on(ports, listen)], tmp_path)
    assert '"text"' in heard
    assert _words(heard) >= SPOKEN_WORDS
    answered = json.loads(_run(["bash", "-ec", _on(ports, talk)], tmp_path))
    assert _words(answered["user_transcript"]) >= SPOKEN_WORDS
    assert answered["assistant_text"].startswith("You said: ")
    assert base64.b64decode(answered["assistant_audio"])


def test_sdk_example_prints_what_was_spoken(ports: dict[str, str], tmp_path: Path) -> None:
    (example,) = _blocks("python")
    heard = _run([sys.executable, "-c", _on(ports, example)], tmp_path)
    assert _words(heard) >= SPOKEN_WORDS


def test_links_lead_to_files() -> None:
    targets = re.findall(r"\]\(([^)#]+)", README)
    local = [target for target in targets if "://" not in target]
    assert local
    assert [target for target in local if not (ROOT / target).exists()] == []


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z]+)", "\n".join(_blocks("console"))))))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE)
