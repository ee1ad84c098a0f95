"""Damaged uploads of every kind, bounded: an answer that names the reason, never a 500, never a file left behind."""

import json
from collections.abc import Iterator

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2e.sound import tone, transcode
from running_server import RunningServer

URL = "/v1/audio/transcriptions"
SOUND = tone(0.4)
SEEDS = {
    "wav": SOUND,
    "mp3": transcode(SOUND, "mp3", "libmp3lame", 16_000, "mono"),
    "ogg": transcode(SOUND, "ogg", "libopus", 48_000, "mono"),
    "mp4": transcode(SOUND, "mp4", "aac", 16_000, "mono"),
    "flac": transcode(SOUND, "flac", "flac", 16_000, "mono"),
    "mka": transcode(SOUND, "matroska", "pcm_s16le", 16_000, "mono"),
}
FORM = (
    b'--BB\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--BB\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    + SOUND[:4000]
    + b"\r\n--BB--\r\n"
)
FIELDS = (
    "language", "languages[]", "keywords", "prompt", "response_format", "temperature", "timestamp_granularities[]",
    "include[]", "stream", "chunking_strategy", "chunking_strategy[type]", "chunking_strategy[threshold]", "beam_size",
    "vad_filter", "vad_threshold", "vad_parameters", "speech_pad_ms", "min_silence_duration_ms", "max_lines",
    "max_line_width", "audio_track", "hotwords", "word_timestamps", "model", "file", "known_speaker_names[]",
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(["", "0", "1", "-1", "nan", "1e999", "true", "auto", "server_vad", "word", "json", "[]", "{}",
                     "null", '["a"]', '{"type":"server_vad"}', '{"threshold":{}}', '"', "[" * 2000, "0" * 5000, "\0"]),
    st.text(max_size=30),
)  # fmt: skip
BOUNDED = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@pytest.fixture(scope="module")
def client(fake_asr: RunningServer) -> Iterator[httpx2.Client]:
    with fake_asr.http() as opened:
        yield opened
        assert opened.get("/health").status_code == 200
    fake_asr.expect_no_uploads()
    assert "Traceback" not in fake_asr.log.read_text()


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes of it overwritten, a piece doubled or cut out, or the end missing."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(["overwrite", "cut", "double", "truncate"]))
        length = draw(st.sampled_from([1, 4, 40, 400]))
        if kind == "overwrite":
            data[at : at + length] = draw(st.binary(min_size=1, max_size=8)) * (length // 4 or 1)
        elif kind == "cut":
            del data[at : at + length]
        elif kind == "double":
            data[at:at] = data[at : at + length]
        else:
            del data[at:]
    return bytes(data)


def check(response: httpx2.Response) -> None:
    assert response.status_code in {200, 400, 404, 413}, response.text
    if response.status_code != 200:
        assert json.loads(response.text)["error"]["message"]


@BOUNDED
@given(st.sampled_from(sorted(SEEDS)).flatmap(lambda name: damaged(SEEDS[name])))
def test_damaged_sound(client: httpx2.Client, data: bytes) -> None:
    check(client.post(URL, data={"model": "whisper-1"}, files={"file": ("a", data)}))


@BOUNDED
@given(damaged(FORM), st.sampled_from(["BB", "B", "-", '"BB"', "BB; charset=x"]))
def test_damaged_forms(client: httpx2.Client, body: bytes, boundary: str) -> None:
    check(client.post(URL, content=body, headers={"content-type": f"multipart/form-data; boundary={boundary}"}))


@BOUNDED
@given(st.dictionaries(st.sampled_from(FIELDS), st.lists(VALUES, min_size=1, max_size=3), max_size=4))
def test_any_value_in_any_field(client: httpx2.Client, fields: dict[str, list[str]]) -> None:
    sent = {"model": ["whisper-1"], **fields}
    files = [("file", ("a.wav", SOUND)), *((name, (None, value)) for name, values in sent.items() for value in values)]
    check(client.post(URL, files=files))


@BOUNDED
@given(
    st.binary(max_size=6000),
    st.sampled_from(["audio/pcm", "audio/L16", "audio/wav", "application/json", "application/octet-stream"]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20),
)
def test_any_bytes_as_a_body(client: httpx2.Client, body: bytes, content_type: str, parameters: str) -> None:
    check(
        client.post(
            f"{URL}?model=whisper-1", content=body, headers={"content-type": f"{content_type};{parameters}".strip()}
        )
    )
