"""The ways in which audio arrives besides the usual form: bare samples, bare files, JSON, several tracks."""

import base64
import io
import json
import wave
from collections.abc import Callable, Iterator

import av
import httpx2
import numpy as np
import pytest

from e2e.sound import PCM_RATE, samples_of, tone, transcode, wrap_pcm
from running_server import RunningServer

URL = "/v1/audio/transcriptions"
TEXT = "Please water the plants in the kitchen before you leave."
MODEL = {"model": "whisper-1"}
Spoken = Callable[[str], bytes]


@pytest.fixture(scope="module")
def asr(asr_server: RunningServer) -> Iterator[httpx2.Client]:
    with asr_server.http() as client:
        yield client
    asr_server.expect_no_uploads()


@pytest.fixture(scope="module")
def fake(fake_asr: RunningServer) -> Iterator[httpx2.Client]:
    with fake_asr.http() as client:
        yield client
    fake_asr.expect_no_uploads()


def pcm(data: bytes, order: str = "<", channels: int = 1) -> tuple[bytes, int]:
    """The bare samples of a WAV file, each repeated for every channel, and their rate."""
    samples, rate = samples_of(data)
    return np.repeat(samples, channels).astype(f"{order}i2").tobytes(), rate


def text_of(response: httpx2.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["text"])


@pytest.mark.parametrize(
    ("order", "channels", "content_type"),
    [("<", 1, "audio/pcm;rate={}"), ("<", 2, "audio/pcm; rate={}; channels=2"), (">", 1, "audio/L16; rate={}")],
)
def test_bare_samples_are_heard(
    asr: httpx2.Client, spoken: Spoken, order: str, channels: int, content_type: str
) -> None:
    data, rate = pcm(spoken(TEXT), order, channels)
    part = ("audio", data, content_type.format(rate))
    assert "water the plants" in text_of(asr.post(URL, data=MODEL, files={"file": part})).lower()


def test_bare_samples_are_16_khz_mono_little_endian(fake: httpx2.Client) -> None:
    data, rate = pcm(tone(1.0))
    assert rate == 16_000
    assert text_of(fake.post(URL, data=MODEL, files={"file": ("a", data, "audio/pcm")})) == "window 1.0 s."
    # Half a sample at the end is no reason to refuse the others.
    assert text_of(fake.post(URL, data=MODEL, files={"file": ("a", data[:-1], "audio/pcm")})) == "window 1.0 s."


def test_the_body_may_be_the_file(asr: httpx2.Client, spoken: Spoken) -> None:
    response = asr.post(
        f"{URL}?model=whisper-1&response_format=verbose_json&timestamp_granularities[]=word&colour=red",
        content=spoken(TEXT),
        headers={"content-type": "audio/wav"},
    )
    assert "water the plants" in text_of(response).lower()
    assert response.json()["words"]
    assert response.headers["x-ignored-fields"] == "colour"


def test_a_body_of_bare_samples(fake: httpx2.Client) -> None:
    data, _ = pcm(tone(1.5))
    response = fake.post(f"{URL}?model=whisper-1", content=data, headers={"content-type": "audio/pcm"})
    assert text_of(response) == "window 1.5 s."


@pytest.mark.parametrize("prefix", ["", "data:audio/wav;base64,"])
def test_json_with_base64(fake: httpx2.Client, prefix: str) -> None:
    audio = {"data": prefix + base64.b64encode(tone(1.0)).decode(), "format": "wav"}
    response = fake.post(URL, json={"model": "whisper-1", "language": None, "temperature": 0, "input_audio": audio})
    assert text_of(response) == "window 1.0 s."
    assert "x-ignored-fields" not in response.headers


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ([], None),
        ({"model": "whisper-1"}, "input_audio"),
        ({"model": "whisper-1", "input_audio": {"data": 3}}, "input_audio"),
        ({"model": "whisper-1", "input_audio": {"data": "***", "format": "wav"}}, "input_audio"),
        ({"model": "whisper-1", "input_audio": {"data": "é", "format": "wav"}}, "input_audio"),
        ({"model": "whisper-1", "input_audio": {"data": "", "format": "wav"}}, "file"),
        ({"input_audio": {"data": base64.b64encode(tone(1.0)).decode()}}, "model"),
    ],
)
def test_json_that_holds_no_audio(fake: httpx2.Client, body: object, param: str | None) -> None:
    response = fake.post(URL, json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param), response.text


def test_an_upload_that_does_not_say_what_it_is(fake: httpx2.Client) -> None:
    body = (
        b'--BB\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n' + tone(1.0) + b"\r\n"
        b'--BB\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--BB--\r\n'
    )
    response = fake.post(URL, content=body, headers={"content-type": "multipart/form-data; boundary=BB"})
    assert text_of(response) == "window 1.0 s."


@pytest.mark.parametrize(
    ("data", "content_type", "code", "told"),
    [
        (b"", "audio/pcm", None, "empty"),
        (b"\0" * 1600, "audio/pcm", "audio_too_short", "0.1 seconds"),
        (tone(0.05), "audio/wav", "audio_too_short", "0.1 seconds"),
        (b"", "audio/wav", None, "empty"),
    ],
)
def test_hardly_any_audio(fake: httpx2.Client, data: bytes, content_type: str, code: str | None, told: str) -> None:
    for response in (
        fake.post(URL, data=MODEL, files={"file": ("a", data, content_type)}),
        fake.post(f"{URL}?model=whisper-1", content=data, headers={"content-type": content_type}),
    ):
        error = response.json()["error"]
        assert (response.status_code, error["param"], error["code"]) == (400, "file", code)
        assert told in error["message"]


@pytest.mark.parametrize("stream", ["false", "true"])
def test_silence_is_an_empty_text(asr: httpx2.Client, stream: str) -> None:
    response = asr.post(URL, data={**MODEL, "stream": stream}, files={"file": wrap_pcm(bytes(PCM_RATE * 4))})
    assert response.status_code == 200
    if stream == "true":
        assert response.text.startswith('data: {"type":"transcript.text.done","text":"",')
    else:
        assert response.json()["text"] == ""


def two_tracks(*spoken: bytes) -> bytes:
    """A film with one audio track for each sound, the first French by its label, the second English."""
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as film:
        streams = []
        for sound, language in zip(spoken, ("fre", "eng"), strict=True):
            with wave.open(io.BytesIO(sound)) as source:
                rate, data = source.getframerate(), source.readframes(source.getnframes())
            stream = film.add_stream("pcm_s16le", rate, layout="mono")
            assert isinstance(stream, av.AudioStream)
            stream.metadata["language"] = language
            streams.append((stream, rate, data))
        for stream, rate, data in streams:
            samples = np.frombuffer(data, "<i2")[np.newaxis]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate = rate
            film.mux(stream.encode(frame))
            film.mux(stream.encode(None))
    return target.getvalue()


def test_several_tracks(fake: httpx2.Client) -> None:
    film = ("film.mkv", two_tracks(tone(1.0), tone(1.5)))

    def hear(track: str) -> httpx2.Response:
        return fake.post(URL, data={**MODEL, "audio_track": track}, files={"file": film})

    assert {track: text_of(hear(track)) for track in ("0", "1", "en", "French", "fra")} == {
        "0": "window 1.0 s.",
        "1": "window 1.5 s.",
        "en": "window 1.5 s.",
        "French": "window 1.0 s.",
        "fra": "window 1.0 s.",
    }
    for track in ("2", "de", "klingon"):
        error = hear(track).json()["error"]
        assert error["param"] == "audio_track"
        assert "0 (fre), 1 (eng)" in error["message"]


def test_what_of_a_file_is_not_heard_is_said(fake: httpx2.Client) -> None:
    content = bytes(512) + tone(1.0) + b"junk" * 1000
    said = ["512 bytes (1.4 %) in front of the sound not read", "4000 bytes (11 %) at the end not read"]
    files = {"file": ("a.wav", content)}
    for name in ("json", "text", "srt", "verbose_json", "vtt", "tsv", "jsonl", "lrc"):
        answer = fake.post(URL, data={**MODEL, "response_format": name}, files=files)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-warnings"] == "; ".join(said)
    assert fake.post(f"{URL}/verbose", data=MODEL, files=files).json()["warnings"] == said
    events = fake.post(URL, data={**MODEL, "stream": "true"}, files=files).text.split("\n\n")
    done = next(json.loads(event[6:]) for event in events if "transcript.text.done" in event)
    assert done["warnings"] == said
    whole = fake.post(URL, data=MODEL, files={"file": ("a.wav", tone(1.0))})
    assert "x-warnings" not in whole.headers


def test_files_joined_end_to_end_are_all_heard(fake: httpx2.Client) -> None:
    answer = fake.post(URL, data={**MODEL, "response_format": "verbose_json"}, files={"file": ("a", tone(1.0) * 3)})
    assert answer.json()["duration"] == 3.0
    cut = tone(1.0) + transcode(tone(1.0), "mp4", "aac", 16_000, "mono")[:1500]
    refused = fake.post(URL, data=MODEL, files={"file": ("a", cut)})
    assert refused.status_code == 400
    assert "1500 bytes (4.5 %) cannot be read" in refused.json()["error"]["message"]
