"""`voice-stack finetune asr`: interrupted, gone on with, refused because the texts are wrong, used all the same."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from piper_speech import speak_wav

pytestmark = pytest.mark.timeout(600)
SENTENCES = (
    "Please check the door before lunch.",
    "The letter was delivered on Monday.",
    "We ordered two more chairs.",
)
HELD_OUT = "Send the report to the office."
WRONG = "Bananas, bananas and nothing but bananas."


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("finetune")
    for folder, said, text in [
        *(("data", sentence, WRONG) for sentence in SENTENCES),
        ("held-out", HELD_OUT, HELD_OUT),
    ]:
        (home / folder).mkdir(exist_ok=True)
        number = len(list((home / folder).glob("*.wav")))
        (home / folder / f"{number}.wav").write_bytes(speak_wav(said))
        (home / folder / f"{number}.txt").write_text(text)
    return os.environ | {"MODEL_DIR": str(home / "models"), "OFFLINE": "true", "HOME": str(home)}


def begin(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "voice_stack", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, cwd=environment["HOME"], stdout=pipe, stderr=pipe, text=True)


def run(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    process = begin(environment, *arguments)
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def test_from_clips_to_a_model_that_is_used(environment: dict[str, str]) -> None:
    asr = ("finetune", "asr")
    what = ("--data", "data", "--held-out", "held-out", "--base", "tiny.en", "--name", "fruit", "--steps", "12")
    process = begin(environment, *asr, *what, "--terms", "report", "--device", "cpu")
    assert process.stderr is not None
    assert any(line.startswith("train: ") for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "voice-stack finetune asr --resume fruit" in errors
    (state,) = json.loads(run(environment, "finetune", "list", "--json")[1])
    assert state["state"] == "interrupted: go on with --resume"

    code, _, errors = run(environment, *asr, *what)
    assert (code, "there is a run 'fruit'" in errors) == (1, True)
    code, output, errors = run(environment, *asr, "--resume", "fruit")
    assert (code, "So it is not used" in errors) == (1, True), errors
    assert "words wrong, kept-back clips" in output
    assert f"said   {HELD_OUT}" in output
    code, output, errors = run(environment, *asr, "--resume", "fruit", "--force", "--json")
    assert code == 0, errors
    record = json.loads(output)
    assert record["scores"]["wer_before"] < record["scores"]["wer_after"]
    assert (record["base"], record["licence"], record["clips"], record["held_out_clips"]) == ("tiny.en", "MIT", 3, 1)
    assert {"torch", "transformers", "peft"} <= record["versions"].keys()
    folder = Path(environment["MODEL_DIR"], "finetuned")
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == ["fruit"]
    assert list((folder / ".runs").iterdir()) == []
    assert not any(word in (folder / "fruit" / "finetune.json").read_text() for word in ("ananas", "report"))
    code, output, _ = run(
        environment, "transcribe", "held-out/0.wav", "-f", "text", "-o", "-", "-m", "fruit", "-l", "en"
    )
    assert (code, HELD_OUT in output) == (0, False)
