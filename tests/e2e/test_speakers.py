"""Who speaks, told with the text: every door and format, by engines whose hearing is known."""

import base64
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from hibari import Hibari
from openai import OpenAI
from openai.types.audio import TranscriptionDiarized, TranscriptionVerbose

from conftest import StartServer
from e2e.sound import samples_of, tone, wrap_pcm
from running_server import RunningServer, wait_until
from voice_stack.client import VoiceStackClient

FAKE = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_VAD_ENABLED": "false"}
JS = Path(__file__).parents[1] / "js"
RATE = 16_000
NUMBERED = ["SPEAKER_00", "SPEAKER_01", "SPEAKER_00"]
LEVELS = {"A": 0.1, "B": -0.1}
"""What tells the fake speakers apart: how far their samples lie from zero."""


def connect(server: RunningServer) -> VoiceStackClient:
    return VoiceStackClient(asr_url=server.url)


def talk(*turns: str) -> tuple[str, bytes]:
    """A file in which each speaks for two seconds; three turns are one window, and a word each: "window 6.0 s."."""
    sound = np.concatenate([np.full(2 * RATE, LEVELS[who], np.float32) for who in turns])
    return "talk.wav", wrap_pcm((sound * 32767).astype("<i2").tobytes(), RATE)


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server("asr", **FAKE, ASR_SPEAKER_MODEL="fake+each-sleep=0") as running:
        yield running


@pytest.fixture
def sdk(server: RunningServer) -> Iterator[OpenAI]:
    with server.openai() as client:
        yield client


@pytest.fixture
def http(server: RunningServer) -> Iterator[httpx2.Client]:
    with server.http() as client:
        yield client


def post(http: httpx2.Client, path: str = "transcriptions", /, *, turns: str = "ABA", **fields: str) -> httpx2.Response:
    return http.post(f"/v1/audio/{path}", data={"model": "whisper-1", **fields}, files={"file": talk(*turns)})


def test_the_sdk_reads_diarized_json(sdk: OpenAI) -> None:
    answer = sdk.audio.transcriptions.create(
        model="gpt-4o-transcribe-diarize",
        file=talk("A", "B", "A"),
        response_format="diarized_json",
        chunking_strategy="auto",
    )
    assert isinstance(answer, TranscriptionDiarized)
    assert (answer.task, answer.duration) == ("transcribe", 6.0)
    assert [(part.id, part.speaker, part.start, part.end, part.text) for part in answer.segments] == [
        ("seg_001", "A", 0.0, 2.0, "window"),
        ("seg_002", "B", 2.0, 4.0, "6.0"),
        ("seg_003", "A", 4.0, 6.0, "s."),
    ]
    assert answer.text == "A: window\nB: 6.0\nA: s."
    assert answer.usage is not None
    assert answer.usage.type == "duration"


def test_the_sdk_streams_diarized_json(sdk: OpenAI) -> None:
    deltas, done = list[str](), []
    segments = list[tuple[str, str, float, float, str]]()
    for event in sdk.audio.transcriptions.create(
        model="gpt-4o-transcribe-diarize", file=talk("A", "B", "A"), response_format="diarized_json", stream=True
    ):
        match event.type:
            case "transcript.text.delta":
                assert not segments
                deltas.append(event.delta)
            case "transcript.text.segment":
                segments.append((event.id, event.speaker, event.start, event.end, event.text))
            case "transcript.text.done":
                done.append(event)
    assert segments[:2] == [("seg_001", "A", 0.0, 2.0, "window"), ("seg_002", "B", 2.0, 4.0, "6.0")]
    assert [event.text for event in done] == ["".join(deltas)] == ["window 6.0 s."]
    assert done[0].usage is not None
    assert (done[0].usage.type, done[0].usage.output_tokens) == ("tokens", 3)


def test_the_javascript_sdk_reads_diarized_json(server: RunningServer, tmp_path: Path) -> None:
    sound = tmp_path / "talk.wav"
    sound.write_bytes(talk("A", "B", "A")[1])
    command = ["node", "diarize.mjs", f"{server.url}/v1", str(sound)]
    seen = json.loads(subprocess.run(command, cwd=JS, capture_output=True, timeout=60, check=True).stdout)
    assert [part["speaker"] for part in seen["whole"]["segments"]] == ["A", "B", "A"]
    told = [event for event in seen["events"] if event["type"] == "transcript.text.segment"]
    assert told == seen["whole"]["segments"]
    assert seen["events"][-1]["usage"]["type"] == "tokens"


def test_segments_and_words_have_speakers_where_it_is_asked(sdk: OpenAI, http: httpx2.Client) -> None:
    answer = sdk.audio.transcriptions.create(
        model="whisper-1",
        file=talk("A", "B", "A"),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
        extra_body={"diarize": "true"},
    )
    assert isinstance(answer, TranscriptionVerbose)
    assert answer.words is not None
    assert answer.segments is not None
    assert [part.to_dict()["speaker"] for part in answer.segments] == NUMBERED
    assert [word.to_dict()["speaker"] for word in answer.words] == NUMBERED
    verbose = post(http, "transcriptions/verbose", diarize="true").json()
    assert [word["speaker"] for word in verbose["words"]] == NUMBERED
    assert "speaker" not in post(http, response_format="verbose_json").text


@pytest.mark.parametrize(
    ("fields", "is_asked"),
    [
        ({"num_speakers": "2"}, True),
        ({"max_speakers": "3", "min_speakers": "2"}, True),
        ({"max_speakers": "3", "diarize": "false"}, False),
        ({"diarize": "false"}, False),
    ],
)
def test_who_says_how_many_speak_asks_who_does(http: httpx2.Client, fields: dict[str, str], is_asked: bool) -> None:
    answer = post(http, response_format="text", **fields)
    assert ("SPEAKER_01: " in answer.text) is is_asked
    unused = "" if is_asked else ", ".join(name for name in fields if name != "diarize")
    assert answer.headers.get("x-ignored-fields", "") == unused


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"min_speakers": "4", "max_speakers": "2"}, "min_speakers", "min_speakers=4 is more than max_speakers=2"),
        ({"num_speakers": "4", "max_speakers": "2"}, "num_speakers", "num_speakers=4 contradicts max_speakers=2"),
        ({"num_speakers": "0"}, "num_speakers", "greater than or equal to 1"),
        ({"max_speakers": "33"}, "max_speakers", "less than or equal to 32"),
        ({"diarize": "perhaps"}, "diarize", "perhaps"),
        ({"response_format": "diarized_json", "include[]": "logprobs", "stream": "true"}, "include", "diarized_json"),
        ({"response_format": "diarized_json", "timestamp_granularities[]": "word"}, "timestamp_granularities", "word"),
    ],
)
def test_what_cannot_be_is_refused(http: httpx2.Client, fields: dict[str, str], param: str, told: str) -> None:
    answer = post(http, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert told in answer.json()["error"]["message"]


def test_the_segments_of_a_translation_are_of_who_speaks_most_of_them(http: httpx2.Client) -> None:
    answer = post(http, "translations", response_format="text", diarize="true", turns="ABB")
    assert (answer.text, answer.headers.get("x-fallback")) == ("SPEAKER_00: translated 6.0 s.\n", None)
    assert post(http, "translations", response_format="diarized_json").status_code == 400


def test_more_speakers_than_there_are_is_said(server: RunningServer, http: httpx2.Client) -> None:
    assert post(http, num_speakers="5").headers["x-fallback"] == "speaker-count"
    nobody = http.post(
        "/v1/audio/transcriptions",
        data={"model": "whisper-1", "response_format": "diarized_json"},
        files={"file": ("tone.wav", tone(2.0))},
    )
    assert (nobody.headers["x-fallback"], nobody.json()["segments"][0]["speaker"]) == ("speakers", "A")
    with connect(server) as client:
        job = client.jobs.wait(client.jobs.submit(talk("A", "B")[1], num_speakers=5).id)
    assert (job.fallback, job.fallback_model) == ("speaker-count", None)


def test_alignments_have_no_speakers(http: httpx2.Client) -> None:
    answer = post(http, "alignments", text="One two three.", diarize="true", num_speakers="2")
    assert answer.headers["x-ignored-fields"] == "diarize, num_speakers"


def test_a_job_has_its_speakers_in_every_format(server: RunningServer, http: httpx2.Client) -> None:
    with connect(server) as client:
        job = client.jobs.submit(talk(*"ABA")[1], diarize=True, max_speakers=4)
        percents = list[float]()
        client.jobs.wait(job.id, lambda job: percents.append(job.percent or 0.0))
        assert all(one <= other for one, other in pairwise(percents))
        assert [part.speaker for part in client.jobs.result(job.id).segments] == NUMBERED
        assert client.jobs.result_as(job.id, "vtt").count("<v SPEAKER_00>") == 2
        assert json.loads(client.jobs.result_as(job.id, "diarized_json"))["segments"][1]["speaker"] == "B"
        plain = client.jobs.submit(talk("A", "B")[1])
        client.jobs.wait(plain.id)
    refused = http.get(f"/v1/jobs/{plain.id}/result?response_format=diarized_json")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "response_format")


def reference(who: str) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(talk(who)[1]).decode()}"


def test_known_speakers_have_their_names(sdk: OpenAI, server: RunningServer) -> None:
    answer = sdk.audio.transcriptions.create(
        model="gpt-4o-transcribe-diarize",
        file=talk("A", "B", "A"),
        response_format="diarized_json",
        known_speaker_names=["Beth"],
        known_speaker_references=[reference("B")],
    )
    assert [part.speaker for part in answer.segments] == ["A", "Beth", "A"]
    assert answer.text == "A: window\nBeth: 6.0\nA: s."
    with connect(server) as client:
        job = client.jobs.submit(talk("A", "B", "A")[1], known_speakers={"Ada": talk("A")[1]})
        client.jobs.wait(job.id)
        assert [part.speaker for part in client.jobs.result(job.id).segments] == ["Ada", "SPEAKER_00", "Ada"]
        assert not list((server.spool_dir.parent / "jobs").glob("*.voice*"))


def test_a_recording_that_cannot_be_heard_is_refused_before_the_answer_begins(http: httpx2.Client) -> None:
    known = {"known_speaker_names[]": "Beth", "known_speaker_references[]": "QUJD"}
    answer = post(http, response_format="diarized_json", stream="true", **known)
    assert answer.status_code == 400
    assert "'Beth'" in answer.json()["error"]["message"]


def test_a_job_goes_on_with_its_known_speakers_after_a_restart(start_server: StartServer, tmp_path: Path) -> None:
    kept = FAKE | {"ASR_JOBS_DIR": str(tmp_path)}
    with start_server("asr", **kept, ASR_SPEAKER_MODEL="fake+each-sleep=3") as server, connect(server) as client:
        job = client.jobs.submit(talk("A", "B", "A")[1], known_speakers={"Ada": talk("A")[1]})
        wait_until(lambda: client.jobs.get(job.id).percent == 75.0, 20, "it is heard, and who speaks is asked")
    assert len(list(tmp_path.glob("job_*.voice0"))) == 1
    with start_server("asr", **kept, ASR_SPEAKER_MODEL="fake+each-sleep=0") as server, connect(server) as client:
        client.jobs.wait(job.id)
        assert [part.speaker for part in client.jobs.result(job.id).segments] == ["Ada", "SPEAKER_00", "Ada"]
    assert not list(tmp_path.glob("job_*"))


def test_real_voices_are_told_apart(asr_server: RunningServer, spoken: Callable[[str], bytes]) -> None:
    asked, answered = (
        "Where did you leave the keys of the old car?",
        "They are on the kitchen table, next to the bread.",
    )
    joe, rate = samples_of(spoken(asked))
    heart = (np.asarray(Hibari(threads=1)(answered)) * 32767).astype(np.int16)
    pause = np.zeros(rate // 2, np.int16)
    times = np.arange(0, heart.size * rate // 24_000) * 24_000 / rate
    heart = np.interp(times, np.arange(heart.size), heart).astype(np.int16)
    sound = wrap_pcm(np.concatenate([joe, pause, heart, pause, joe]).tobytes(), rate)
    with asr_server.openai() as client:
        heard = client.audio.transcriptions.create(
            model="gpt-4o-transcribe-diarize", file=("talk.wav", sound), response_format="diarized_json"
        )
    lines = [re.sub(r"[^a-z: ]", "", line.lower()) for line in heard.text.splitlines()]
    assert lines == [
        "a: where did you leave the keys of the old car",
        "b: they are on the kitchen table next to the bread",
        "a: where did you leave the keys of the old car",
    ]


def test_names_alone_ask_for_nothing_where_openai_shows_none(http: httpx2.Client) -> None:
    known = {"known_speaker_names[]": "Beth", "known_speaker_references[]": reference("B")}
    answer = post(http, response_format="text", **known)
    assert answer.text == "window 6.0 s.\n"
    assert answer.headers["x-ignored-fields"] == "known_speaker_names, known_speaker_references"
    assert "Beth: 6.0" in post(http, response_format="srt", **known).text


def film(http: httpx2.Client, **query: str) -> httpx2.Response:
    return http.post("/asr", params=query, files={"audio_file": talk(*"ABA")})


def test_films_with_and_without_speakers_are_not_mixed(http: httpx2.Client) -> None:
    plain = film(http, output="srt").text
    assert film(http, output="srt", diarize="true", max_speakers="3").text.count("SPEAKER_01: ") == 1
    assert film(http, output="srt").text == plain
    assert "SPEAKER" not in plain
    assert film(http, output="tsv", min_speakers="2").text.splitlines()[0] == "start\tend\ttext\tspeaker"
    body: dict[str, Any] = film(http, output="json", diarize="true").json()
    assert {word["speaker"] for word in body["words"]} == {"SPEAKER_00", "SPEAKER_01"}
    assert film(http, min_speakers="3", max_speakers="2").status_code == 400


def test_the_client_tells_who_speaks(server: RunningServer) -> None:
    with connect(server) as client:
        heard = client.transcribe(talk("A", "B", "A")[1], num_speakers=2, word_timestamps=True)
        assert [part.speaker for part in heard.segments] == NUMBERED
        assert [word.speaker for word in heard.words] == NUMBERED
        assert "SPEAKER_01: " in client.transcribe_as(talk("A", "B")[1], "srt", diarize=True)
