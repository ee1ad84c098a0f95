"""Speech requests of every kind, bounded: an answer, or an error in OpenAI's form; never a 500."""

import json
from collections.abc import Iterator

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from running_server import RunningServer

URL = "/v1/audio/speech"
FIELDS = (
    "model", "input", "voice", "response_format", "speed", "stream_format", "instructions", "language", "stream",
    "timestamps", "name", "__class__",
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
VALUES = JSON | st.sampled_from(
    ["", "mp3", "pcm", "opus", "sse", "audio", "alloy", "tts-1", "fake", "en", "xx", "../../etc/passwd", "\0",
     "a" * 5000, {"id": "nova"}, {"id": {}}, 0, 1, 4, 0.25, -1, 10**400, 1e308, "1.5", True, "None"]
)  # fmt: skip
# Words in which the fake engine sees no command.
TEXTS = st.text(st.characters(exclude_characters="="), max_size=30) | st.sampled_from(
    ["Hello there.", "[pause:500ms] Hello", "[pause:9999999h] Hi", "[voice:nova] Hi", "[voice:] Hi", "[[", "<speak>",
     "[voice:../../x] Hi [voice:alloy]", "1.5e999 km", "$10^100", "XIV MMMM", "31.2.2024 25:61", "http://", "a@b"]
)  # fmt: skip
BOUNDED = settings(max_examples=100, deadline=None, derandomize=True)


@pytest.fixture(scope="module")
def client(fake_tts: RunningServer) -> Iterator[httpx2.Client]:
    with fake_tts.http() as opened:
        yield opened
        assert opened.get("/health").status_code == 200
    assert "Traceback" not in fake_tts.log.read_text()


def check(answer: httpx2.Response) -> None:
    assert answer.status_code in {200, 400, 404, 413}, answer.text
    if answer.status_code != 200:
        assert json.loads(answer.text)["error"]["message"]
    elif answer.headers["content-type"].startswith("audio/"):
        assert answer.content


@BOUNDED
@given(TEXTS, st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3))
def test_any_value_in_any_field(client: httpx2.Client, text: str, fields: dict[str, object]) -> None:
    body = {"model": "tts-1", "input": text, "voice": "alloy", **fields}
    # Escaped, so that halves of surrogate pairs can be sent too.
    check(client.post(URL, content=json.dumps(body), headers={"content-type": "application/json"}))


@BOUNDED
@given(TEXTS, st.sampled_from(["mp3", "opus", "aac", "flac", "wav", "pcm"]), st.floats(0.25, 4), st.booleans())
def test_any_text(client: httpx2.Client, text: str, audio_format: str, speed: float, streams: bool) -> None:
    body = {"model": "tts-1", "input": text, "response_format": audio_format, "speed": speed, "stream": streams}
    check(client.post(URL, content=json.dumps(body), headers={"content-type": "application/json"}))


@BOUNDED
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body(client: httpx2.Client, body: bytes) -> None:
    answer = client.post(URL, content=body)
    check(answer)
    assert answer.status_code != 200
