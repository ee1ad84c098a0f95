"""OpenAI's official JavaScript SDK: every format and streaming, run by node as its users run it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from running_server import RunningServer

TEXT = "Please water the plants in the kitchen before you leave. Then lock the front door."
JS = Path(__file__).parents[1] / "js"
Answers = dict[str, Any]


@pytest.fixture(scope="module")
def answers(
    asr_server: RunningServer, spoken: Callable[[str], bytes], tmp_path_factory: pytest.TempPathFactory
) -> Answers:
    """What the SDK made of each answer."""
    assert (JS / "node_modules" / "openai").is_dir(), "the SDK is missing: npm install --prefix tests/js"
    sound = tmp_path_factory.mktemp("js") / "é ü.wav"
    sound.write_bytes(spoken(TEXT))
    command = ["node", "transcribe.mjs", f"{asr_server.url}/v1", str(sound)]
    done = subprocess.run(command, cwd=JS, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    found: Answers = json.loads(done.stdout)
    return found


def test_formats_carry_the_same_words(answers: Answers) -> None:
    text = answers["json"]["text"]
    assert "water the plants" in text.lower()
    # Strings where the SDK promises strings, objects where it promises objects.
    assert answers["text"] == f"{text}\n"
    assert answers["verbose_json"]["text"] == text
    for name in ("srt", "vtt"):
        lines = [line for line in answers[name].splitlines() if line and "-->" not in line and not line.isdecimal()]
        assert " ".join(line for line in lines if line != "WEBVTT") == text


def test_verbose_json_is_whole(answers: Answers) -> None:
    verbose = answers["verbose_json"]
    assert (verbose["task"], verbose["language"]) == ("transcribe", "english")
    assert verbose["duration"] > 3
    for segment in verbose["segments"]:
        assert segment["avg_logprob"] < 0
        assert 0 < segment["no_speech_prob"] < 1
        assert segment["compression_ratio"] > 0.5
        assert segment["tokens"]
        assert 0 <= segment["start"] < segment["end"] <= verbose["duration"]
    assert "segments" not in answers["words"]
    assert [word["word"] for word in answers["words"]["words"]] == answers["words"]["text"].split()


def test_translations(answers: Answers) -> None:
    assert "plants" in answers["translated_json"]["text"].lower()
    assert isinstance(answers["translated_text"], str)
    assert answers["translated_srt"].startswith("1\n00:00:0")
    assert answers["translated_vtt"].startswith("WEBVTT\n\n00:00:0")
    assert answers["translated_verbose_json"]["language"] == "english"


def test_stream(answers: Answers) -> None:
    *deltas, done = answers["events"]
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert done["type"] == "transcript.text.done"
    assert "".join(event["delta"] for event in deltas) == done["text"] == answers["logprobs"]["text"]
    assert done["usage"]["type"] == "tokens"
    assert [token for event in deltas for token in event["logprobs"]] == done["logprobs"]


def test_log_probabilities_spell_the_text(answers: Answers) -> None:
    tokens = answers["logprobs"]["logprobs"]
    spelled = bytes(byte for token in tokens for byte in token["bytes"]).decode()
    assert spelled.strip() == answers["logprobs"]["text"]
    assert all(token["logprob"] <= 0 for token in tokens)


def test_other_calls(answers: Answers) -> None:
    assert answers["chunked"]["text"] == answers["json"]["text"]
    assert answers["model"]["id"] == "whisper-1"
    assert answers["deleted"] == {"id": "tiny.en", "object": "model", "deleted": True}
    assert answers["refused"] == {"status": 400, "code": "unsupported_value", "param": "response_format"}
