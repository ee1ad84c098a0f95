"""`voice-stack models`."""

import json
from pathlib import Path

import pytest

from cli.commands import assert_one_line, run


def test_models_are_listed(environment: dict[str, str]) -> None:
    rows = json.loads(run(environment, "models", "list", "--json").stdout)
    state = {(row["server"], row["name"]): row["state"] for row in rows}
    assert state["asr", "base"] == "local"
    assert state["tts", "en_US-joe-medium"] == "local"
    assert state["asr", "large-v3"] == "available"
    assert state["tts", "kokoro-v1.0-int8"] == "available"
    engines = {row["name"]: row["engine"] for row in rows}
    assert engines["base"] == "faster-whisper"
    assert engines["openai/whisper-base"] == "whisper"
    assert engines["nemo-parakeet-tdt-0.6b-v3-int8"] == "parakeet"
    table = run(environment, "models", "list").stdout
    assert all(row["name"] in table for row in rows)


def test_model_is_pulled_verified_found_damaged_and_removed(environment: dict[str, str], model_dir: Path) -> None:
    name = "en_US-joe-medium"
    folder = model_dir / name
    pulled = run(environment, "models", "pull", name)
    assert (pulled.returncode, pulled.stdout.strip()) == (0, str(folder))
    assert run(environment, "models", "path", name).stdout.strip() == str(folder)
    verified = run(environment, "models", "verify", name)
    assert verified.returncode == 0
    assert f"{name}/{name}.onnx: intact" in verified.stdout
    (folder / f"{name}.onnx.json").write_text("{}", encoding="utf-8")
    assert_one_line(run(environment, "models", "verify"), name, "voice-stack models pull")
    assert run(environment, "models", "rm", name).returncode == 0
    assert not folder.exists()


@pytest.mark.parametrize("command", ["pull", "verify", "rm", "path"])
def test_unknown_model_is_one_line_with_names_of_both_servers(command: str, environment: dict[str, str]) -> None:
    result = run(environment, "models", command, "bse")
    assert_one_line(result, "'bse' is not known", "nearest first: base", "en_US-joe-medium")


@pytest.mark.parametrize(
    ("name", "variable", "model"), [("whisper-1", "ASR_MODEL", "tiny.en"), ("tts-1", "TTS_MODEL", "en_US-joe-medium")]
)
def test_openai_s_names_stand_for_the_default_models(
    name: str, variable: str, model: str, environment: dict[str, str], model_dir: Path
) -> None:
    environment[variable] = model
    folder = str(model_dir / model)
    assert run(environment, "models", "pull", name).stdout.strip() == folder
    assert run(environment, "models", "path", name).stdout.strip() == folder
    verified = run(environment, "models", "verify", name)
    assert verified.returncode == 0
    assert verified.stdout.count("\n") >= 2
    assert all(line.startswith(f"{model}/") and line.endswith(": intact") for line in verified.stdout.splitlines())
    assert_one_line(run(environment, "models", "rm", name), repr(name), f"voice-stack models rm {model}")
    assert Path(folder).exists()
