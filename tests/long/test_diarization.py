"""`POST /v1/audio/diarization` with the embedded model: two synthetic voices take turns."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx2
import numpy as np
import pytest
import soxr
from hibari import Hibari
from numpy.typing import NDArray

from conftest import StartServer
from e2e.sound import samples_of, tone, wrap_pcm

RATE = 16_000
TEXTS = {
    "joe": ("The old harbour wakes before the town does.", "At five the first boats come back with the night's catch."),
    "heart": (
        "Nobody remembers who planted the tall pear tree.",
        "Every autumn the children come and shake its branches.",
    ),
}
TURNS = [("joe", 0), ("heart", 0), ("joe", 1), ("heart", 1)]
SLACK_S = 0.6
NAMES, REFERENCES = "known_speaker_names[]", "known_speaker_references[]"


@dataclass(frozen=True)
class Talk:
    """A conversation of two, when each of its turns ends, and another recording of each of them."""

    sound: bytes
    ends_s: list[float]
    joe: bytes
    heart: bytes


@pytest.fixture(scope="module")
def talk(spoken: Callable[[str], bytes]) -> Talk:
    heart = Hibari(voice="heart", threads=1)

    def speak(who: str, text: str) -> NDArray[np.float32]:
        if who == "joe":
            samples, rate = samples_of(spoken(text))
            return np.asarray(soxr.resample(samples / np.float32(32768), rate, RATE), np.float32)
        return np.asarray(soxr.resample(np.asarray(heart(text, seed=1)), 24_000, RATE), np.float32)

    def pack(samples: NDArray[np.float32], repeats: int = 1) -> bytes:
        return wrap_pcm((np.repeat(samples, repeats) * 32767).astype("<i2").tobytes(), repeats * RATE)

    turns = [speak(who, TEXTS[who][number]) for who, number in TURNS]
    ends_s = (np.cumsum([turn.size for turn in turns]) / RATE).tolist()
    other = "Where the road bends, a small house with a green door looks over the river."
    return Talk(pack(np.concatenate(turns)), ends_s, pack(speak("joe", other)), pack(speak("heart", other), 12))


def data_url(sound: bytes) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(sound).decode()}"


@pytest.fixture(scope="module")
def client(start_server: StartServer) -> Iterator[httpx2.Client]:
    """Of a server whose texts come from the fake engine, in windows of two seconds."""
    with start_server("asr", ASR_ENGINE="fake", ASR_MODEL="fake", ASR_WINDOW_S="2") as server, server.http() as client:
        yield client
        server.expect_no_uploads()


def ask(client: httpx2.Client, sound: bytes, *parts: tuple[str, object], **fields: object) -> httpx2.Response:
    """Send a file, `fields`, and further parts: a tuple is a file, text is a field."""
    text = [(name, (None, str(value))) for name, value in fields.items()]
    more = [(name, value if isinstance(value, tuple) else (None, value)) for name, value in parts]
    files = [*text, *more, ("file", ("a talk.wav", sound))]
    return client.post("/v1/audio/diarization", files=files)


def told(answer: httpx2.Response) -> list[tuple[str, float, float]]:
    assert answer.status_code == 200, answer.text
    return [(turn["speaker"], turn["start"], turn["end"]) for turn in answer.json()["segments"]]


def expect_talk(talk: Talk, turns: list[tuple[str, float, float]], joe: str, heart: str) -> None:
    """The conversation, with its speakers under these names."""
    joined = [turns[0]]
    for name, start_s, end_s in turns[1:]:
        goes_on = name == joined[-1][0]
        joined[-1:] = [(name, joined[-1][1], end_s)] if goes_on else [joined[-1], (name, start_s, end_s)]
    assert [name for name, _, _ in joined] == [joe, heart, joe, heart], turns
    for (_, start_s, end_s), *edges in zip(joined, [0.0, *talk.ends_s], talk.ends_s, strict=False):
        assert [start_s, end_s] == pytest.approx(edges, abs=SLACK_S), turns


def test_who_speaks_when_as_localai_and_speaches_tell_it(client: httpx2.Client, talk: Talk) -> None:
    answer = ask(client, talk.sound, model="whisper-1", response_format="verbose_json", clustering_threshold=0.5)
    expect_talk(talk, told(answer), "SPEAKER_00", "SPEAKER_01")
    assert answer.headers["x-ignored-fields"] == "clustering_threshold"
    body = answer.json()
    expected = {"task": "diarize", "duration": pytest.approx(talk.ends_s[-1], abs=0.01), "num_speakers": 2}
    assert {name: body[name] for name in expected} == expected
    fields = [set(turn) for turn in body["segments"]]
    assert fields == [{"id", "speaker", "label", "start", "end"}] * len(fields)
    assert [(one["id"], one["label"]) for one in body["speakers"]] == [("SPEAKER_00", "0"), ("SPEAKER_01", "1")]
    for one in body["speakers"]:
        own = [turn["end"] - turn["start"] for turn in body["segments"] if turn["speaker"] == one["id"]]
        assert (one["total_speech_duration"], one["segment_count"]) == (pytest.approx(sum(own), abs=0.01), len(own))


def test_who_is_known_has_a_name(client: httpx2.Client, talk: Talk) -> None:
    """One recording comes as a file, one as a data URL that is more than all other fields of a form may hold."""
    joe = (NAMES, "Joe Miller"), (REFERENCES, ("joe.wav", talk.joe))
    answer = ask(client, talk.sound, *joe, num_speakers=2)
    expect_talk(talk, told(answer), "Joe Miller", "SPEAKER_01")
    named = {turn["label"]: (turn.get("name"), turn.get("name_score", 1) > 0.5) for turn in answer.json()["segments"]}
    assert named == {"0": ("Joe Miller", True), "1": (None, True)}
    assert len(data_url(talk.heart)) > 1 << 20
    heart = (REFERENCES, data_url(talk.heart)), (NAMES, "Heart")
    answer = ask(client, talk.sound, *joe, *heart, num_speakers=2, response_format="rttm")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = [line.split(" ") for line in answer.text.splitlines()]
    fixed = {(*line[:3], *line[5:7], *line[8:]) for line in lines}
    assert fixed == {("SPEAKER", "a_talk", "1", "<NA>", "<NA>", "<NA>", "<NA>")}
    turns = [(line[7], float(line[3]), float(line[3]) + float(line[4])) for line in lines]
    expect_talk(talk, turns, "Joe_Miller", "Heart")


def test_the_text_of_each_turn(client: httpx2.Client, talk: Talk) -> None:
    answer = ask(client, talk.sound, num_speakers=2, include_text="true", min_duration_off=3, model="fake")
    turns, whole = answer.json()["segments"], answer.json()["text"]
    assert [turn["speaker"] for turn in turns] == ["SPEAKER_00", "SPEAKER_01"] * 2
    assert " ".join(turn["text"] for turn in turns) == whole
    assert all(turn["text"] for turn in turns)


def test_where_nobody_speaks_there_is_nobody(client: httpx2.Client) -> None:
    answer = ask(client, wrap_pcm(bytes(2 * RATE * 3), RATE), response_format="verbose_json")
    assert told(answer) == []
    assert (answer.json()["num_speakers"], answer.json()["speakers"]) == (0, [])
    assert ask(client, wrap_pcm(bytes(2 * RATE), RATE), response_format="rttm").content == b""


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"num_speakers": -1}, "num_speakers", "-1"),
        ({"num_speakers": "two"}, "num_speakers", "two"),
        ({"max_speakers": 65}, "max_speakers", "65"),
        ({"min_speakers": 3, "max_speakers": 2}, "min_speakers", "more than"),
        ({"num_speakers": 5, "max_speakers": 2}, "num_speakers", "contradict"),
        ({"min_duration_on": "nan"}, "min_duration_on", "nan"),
        ({"min_duration_off": 1e9}, "min_duration_off", "1000000000"),
        ({"include_text": "perhaps"}, "include_text", "perhaps"),
        ({"include_text": "true", "language": "klingon"}, "language", "klingon"),
        ({"response_format": "srt"}, "response_format", "rttm"),
        ({"model": "gpt-9"}, "model", "gpt-9"),
        ({"audio_track": "9"}, None, "track"),
        ({NAMES: "Ada"}, REFERENCES, "1 names and 0 recordings"),
        ({REFERENCES: data_url(tone(2.0))}, "known_speaker_names", "0 names and 1 recordings"),
        ({NAMES: "Ada", REFERENCES: "https://example.com/ada.wav"}, REFERENCES, "an address is not fetched"),
        ({NAMES: "Ada", REFERENCES: data_url(b"no sound at all")}, REFERENCES, "'Ada'"),
        ({NAMES: "Ada", REFERENCES: data_url(tone(3.0))}, REFERENCES, "'Ada' holds no speech"),
        ({NAMES: "Ada", REFERENCES: data_url(tone(31.0))}, REFERENCES, "'Ada'"),
        ({NAMES: "../etc", REFERENCES: data_url(tone(2.0))}, "known_speaker_names", "../etc"),
    ],
)
def test_what_cannot_be_is_refused(
    client: httpx2.Client, fields: dict[str, object], param: str | None, message: str
) -> None:
    answer = ask(client, tone(0.5), **fields)
    assert answer.status_code in {400, 404}, answer.text
    error = answer.json()["error"]
    assert message in error["message"], error
    assert param is None or param.removesuffix("[]") == error["param"]


@pytest.mark.parametrize(
    ("sound", "message"), [(b"", "empty"), (b"no sound", "could not be decoded"), (tone(0.05), "short")]
)
def test_a_file_without_sound_is_refused_as_in_transcriptions(
    client: httpx2.Client, sound: bytes, message: str
) -> None:
    answers = [
        ask(client, sound),
        client.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files={"file": ("a talk.wav", sound)}),
    ]
    (diarized, transcribed) = [(answer.status_code, answer.json()["error"]) for answer in answers]
    assert diarized == transcribed
    assert diarized[0] == 400
    assert message in diarized[1]["message"]
