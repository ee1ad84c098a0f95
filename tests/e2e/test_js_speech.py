"""OpenAI's official JavaScript SDK and speech: every format, streaming, refusals."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from e2e.sound import duration_s, wrap_pcm
from running_server import RunningServer

JS = Path(__file__).parents[1] / "js"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the program writes what it was sent."""
    return tmp_path_factory.mktemp("speech")


@pytest.fixture(scope="module")
def seen(fake_tts: RunningServer, folder: Path) -> dict[str, Any]:
    """What the SDK made of each answer."""
    assert (JS / "node_modules" / "openai").is_dir(), "the SDK is missing: npm install --prefix tests/js"
    command = ["node", "speak.mjs", f"{fake_tts.url}/v1", str(folder)]
    done = subprocess.run(command, cwd=JS, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_format_is_the_same_speech(seen: dict[str, Any], folder: Path) -> None:
    lengths_s = {
        name: duration_s(wrap_pcm(data) if name in {"pcm", "streamed"} else data)
        for name in [*seen["types"], "streamed"]
        if (data := (folder / name).read_bytes())
    }
    assert len(lengths_s) == 7
    assert lengths_s["pcm"] > 3
    assert lengths_s == {name: pytest.approx(lengths_s["pcm"], abs=0.15) for name in lengths_s}
    assert seen["types"]["mp3"] == "audio/mpeg"
    assert seen["chunks"] > 1


def test_events(seen: dict[str, Any], folder: Path) -> None:
    *deltas, done = [json.loads(line.removeprefix("data: ")) for line in seen["events"].splitlines() if line]
    sound = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    assert duration_s(sound) == pytest.approx(duration_s((folder / "mp3").read_bytes()), abs=0.15)
    assert done["usage"]["output_tokens"] > 0


def test_voices_by_id_and_refusals(seen: dict[str, Any]) -> None:
    assert seen["by_id"] == 200
    assert seen["refused"] == {
        "name": "BadRequestError", "status": 400, "code": "unsupported_value", "param": "voice",
    }  # fmt: skip
    assert seen["unknown"] == {"name": "NotFoundError", "status": 404, "code": "model_not_found", "param": "model"}
