"""A speech and when each word of it is said: as events, and as files beside the sound."""

import json
import re

import numpy as np
import pytest

from e2e.sound import duration_s
from running_server import RunningServer

TEXT = (
    "The old lighthouse stands on a rocky island, two miles from the harbor. "
    "Every evening a small boat brings fresh bread, and the keeper lights the lamp."
)
Body = dict[str, object]


@pytest.fixture(scope="module")
def server(tts_server: RunningServer) -> RunningServer:
    """Speaks with the embedded voice."""
    return tts_server


def ask(server: RunningServer, text: str = TEXT, **fields: object) -> tuple[bytes, str | None]:
    """The sound, and where its captions are."""
    with server.http() as client:
        answer = client.post(
            "/v1/audio/speech", json={"model": "tts-1", "input": text, "response_format": "wav", **fields}
        )
    assert answer.status_code == 200, answer.text
    return answer.content, answer.headers.get("x-captions")


def fetch(server: RunningServer, path: str | None, name: str = "json") -> str:
    assert path is not None
    with server.http() as client:
        answer = client.get(path, params={"format": name})
    assert answer.status_code == 200, answer.text
    media_type = {"json": "application/json", "srt": "application/x-subrip", "vtt": "text/vtt"}[name]
    assert answer.headers["content-type"].startswith(media_type)
    return answer.text


def read_events(server: RunningServer, **fields: object) -> list[Body]:
    body, _ = ask(server, stream_format="sse", **fields)
    return [json.loads(line.removeprefix("data: ")) for line in body.decode().splitlines() if line]


def words_of(captions: Body) -> list[Body]:
    sentences = captions["sentences"]
    assert isinstance(sentences, list)
    return [word for sentence in sentences for word in sentence["words"]]


def check_times(spans: list[Body], length_s: float) -> None:
    times = [float(str(span[name])) for span in spans for name in ("start", "end")]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= length_s + 0.001


def test_captions_lie_beside_the_sound(server: RunningServer) -> None:
    sound, path = ask(server, stream=False, timestamps=True)
    captions = json.loads(fetch(server, path))
    assert (captions["status"], captions["language"]) == ("completed", "en")
    assert captions["duration"] == pytest.approx(duration_s(sound), abs=0.002)
    assert " ".join(sentence["text"] for sentence in captions["sentences"]) == TEXT
    assert " ".join(str(word["word"]) for word in words_of(captions)) == TEXT
    check_times(captions["sentences"], captions["duration"])
    check_times(words_of(captions), captions["duration"])


@pytest.mark.parametrize("speed", [0.6, 1.8])
def test_words_are_where_the_asr_server_hears_them(
    server: RunningServer, asr_server: RunningServer, speed: float
) -> None:
    sound, path = ask(server, stream=False, timestamps="word", speed=speed)
    with asr_server.http() as client:
        fields = {"model": "whisper-1", "response_format": "verbose_json", "timestamp_granularities[]": "word"}
        heard = client.post("/v1/audio/transcriptions", data=fields, files={"file": ("a.wav", sound)}).json()["words"]
    told = {_key(word["word"]): word for word in reversed(words_of(json.loads(fetch(server, path))))}
    matched = [(told[_key(word["word"])], word) for word in reversed(heard) if _key(word["word"]) in told]
    assert len({_key(word["word"]) for _, word in matched}) >= 18
    errors_s = [abs(float(str(ours["end"])) - word["end"]) for ours, word in matched if _is_unique(ours, heard)]
    # Whisper itself ends words some 80 ms early.
    assert np.median(errors_s) < 0.2 / min(speed, 1.0)


def _key(word: object) -> str:
    return re.sub(r"\W", "", str(word)).casefold()


def _is_unique(word: Body, heard: list[Body]) -> bool:
    return sum(_key(other["word"]) == _key(word["word"]) for other in heard) == 1


def test_each_sentence_is_told_before_its_sound(server: RunningServer) -> None:
    events = read_events(server, timestamps=True)
    kinds = [event["type"] for event in events]
    assert kinds[0] == "speech.timestamps"
    assert kinds[-1] == "speech.audio.done"
    assert kinds.count("speech.timestamps") >= 2
    told = [event for event in events if event["type"] == "speech.timestamps"]
    assert " ".join(str(event["text"]) for event in told) == TEXT
    check_times(words_of({"sentences": told}), 60)
    # Not all at once: sound goes out between them.
    second = kinds.index("speech.timestamps", 1)
    assert "speech.audio.delta" in kinds[1:second]


def test_the_same_speech_again_has_its_captions(server: RunningServer) -> None:
    text = "This one is kept. It is asked for twice."
    first = read_events(server, text=text, timestamps=True)
    again = read_events(server, text=text, timestamps=True)
    times = [[event for event in events if event["type"] == "speech.timestamps"] for events in (first, again)]
    assert times[0] == times[1] != []
    _, path = ask(server, text, timestamps=True)
    assert json.loads(fetch(server, path))["sentences"] == [
        {key: value for key, value in event.items() if key != "type"} for event in times[0]
    ]


def test_sentences_alone(server: RunningServer) -> None:
    told = [event for event in read_events(server, timestamps="sentence") if event["type"] == "speech.timestamps"]
    assert told
    assert all("words" not in event for event in told)
    _, path = ask(server, timestamps="sentence")
    assert all("words" not in sentence for sentence in json.loads(fetch(server, path))["sentences"])


@pytest.mark.parametrize(("name", "clock"), [("srt", r"(\d\d:\d\d:\d\d,\d{3})"), ("vtt", r"(\d\d:\d\d:\d\d\.\d{3})")])
def test_subtitle_files(server: RunningServer, name: str, clock: str) -> None:
    _, path = ask(server, timestamps=True)
    subtitles = fetch(server, path, name)
    assert subtitles.startswith("1\n" if name == "srt" else "WEBVTT\n\n")
    times = re.findall(f"^{clock} --> {clock}$", subtitles, re.MULTILINE)
    assert len(times) >= 2
    assert [time for span in times for time in span] == sorted(time for span in times for time in span)
    text = re.sub(r"^(?:WEBVTT|\d+|.* --> .*)$", "", subtitles, flags=re.MULTILINE)
    assert " ".join(text.split()) == TEXT


def test_who_does_not_ask_gets_none(server: RunningServer) -> None:
    assert ask(server)[1] is None
    assert ask(server, timestamps=False)[1] is None
    assert all(event["type"] != "speech.timestamps" for event in read_events(server))


def test_an_engine_that_does_not_know_is_listened_to(fake_tts: RunningServer) -> None:
    sound, path = ask(fake_tts, "One two three. Four five.", timestamps=True)
    captions = json.loads(fetch(fake_tts, path))
    assert [word["word"] for word in words_of(captions)] == ["One", "two", "three.", "Four", "five."]
    check_times(words_of(captions), duration_s(sound))


@pytest.mark.parametrize("value", ["phoneme", 3, ["word"]])
def test_other_values_are_refused(server: RunningServer, value: object) -> None:
    with server.http() as client:
        answer = client.post("/v1/audio/speech", json={"model": "tts-1", "input": "Hi.", "timestamps": value})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "timestamps"
    assert "'word' or 'sentence'" in answer.json()["error"]["message"]


def test_unknown_captions_and_formats(server: RunningServer) -> None:
    _, path = ask(server, timestamps=True)
    with server.http() as client:
        assert client.get("/v1/audio/speech/speech_0/captions").status_code == 404
        refused = client.get(str(path), params={"format": "ass"})
    assert refused.status_code == 400
    assert "json, srt, vtt" in refused.json()["error"]["message"]
