"""Speech as each client asks for it: the request as that program sends it, and what it needs back."""

import asyncio
import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import openai
import pytest

from e2e.sound import duration_s, samples_of, wrap_pcm
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]
URL = "/v1/audio/speech"
TEXT = "The kettle is on. Supper will be ready in ten minutes, so please lay the table and call the others."
CONTENT_TYPES = {
    "mp3": "audio/mpeg", "opus": "audio/opus", "aac": "audio/aac",
    "flac": "audio/flac", "wav": "audio/wav", "pcm": "audio/pcm",
}  # fmt: skip
LIVEKIT_TYPES = {
    f"audio/{name}"
    for name in ("mpeg", "mp3", "x-mpeg", "aac", "x-aac", "flac", "x-flac", "wav", "wave", "x-wav", "opus", "ogg",
                 "webm", "mp4", "pcm")
}  # fmt: skip
VOICES = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
)  # fmt: skip


@pytest.fixture(scope="module")
def http(fake_tts: RunningServer) -> Iterator[httpx2.Client]:
    with fake_tts.http() as client:
        yield client
    assert "Traceback" not in fake_tts.log.read_text()


@pytest.fixture(scope="module")
def hum_s(http: httpx2.Client) -> float:
    """Length of the text in the fake voice."""
    body = {"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": "wav", "stream": False}
    return duration_s(http.post(URL, json=body).content)


def is_openai_error(response: httpx2.Response) -> bool:
    error: dict[str, object] = response.json()["error"]
    return error.keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize(("audio_format", "content_type"), CONTENT_TYPES.items())
def test_open_webui_reads_the_whole_body(
    http: httpx2.Client, hum_s: float, audio_format: str, content_type: str
) -> None:
    # What the admin has written as further parameters stands beside the fields of its own.
    body = {"model": "tts-1-hd", "input": TEXT, "voice": "nova", "response_format": audio_format, "speed": 1}
    answer = http.post(URL, json=body, headers={"Authorization": "Bearer sk-none"})
    assert answer.status_code == 200
    # It hands the type to its transcoder as it is: a parameter behind it would be one too much.
    assert answer.headers["content-type"] == content_type
    sound = wrap_pcm(answer.content) if audio_format == "pcm" else answer.content
    assert duration_s(sound) == pytest.approx(hum_s, abs=0.15)


def test_open_webui_asks_for_mp3_by_saying_nothing(http: httpx2.Client, hum_s: float) -> None:
    answer = http.post(URL, json={"model": "tts-1", "input": TEXT, "voice": "alloy"})
    assert answer.headers["content-type"] == "audio/mpeg"
    assert duration_s(answer.content) == pytest.approx(hum_s, abs=0.15)


def test_open_webui_pickers(http: httpx2.Client) -> None:
    models = http.get("/v1/audio/models").json()
    assert {"id": "tts-1"} in models["models"]
    voices = http.get("/v1/audio/voices").json()["voices"]
    assert all(voice["id"] and voice["name"] for voice in voices)
    assert set(VOICES) <= {voice["id"] for voice in voices}
    # Whatever is picked speaks.
    picked = {"model": models["models"][0]["id"], "input": "Hello."}
    for voice in voices:
        assert http.post(URL, json={**picked, "voice": voice["id"]}).status_code == 200, voice


def test_open_webui_pickers_where_keys_are_set(start_server: StartServer) -> None:
    with start_server("tts", TTS_ENGINE="fake", TTS_MODEL="fake", API_KEYS="sk-one") as server, server.http() as client:
        for path in ("/v1/audio/models", "/v1/audio/voices"):
            # The pickers send no key; names of voices are for those who have one.
            closed = client.get(path)
            assert closed.status_code == 401
            assert is_openai_error(closed)
            assert client.get(path, headers={"Authorization": "Bearer sk-one"}).status_code == 200


async def test_home_assistant(fake_tts: RunningServer, hum_s: float) -> None:
    async with fake_tts.async_openai() as client:
        # Its users choose ogg; without instructions it sends the word None.
        request = client.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts", voice="marin", input=TEXT, instructions="None", speed=1.0, response_format="opus"
        )
        async with request as answer:
            sound = b"".join([chunk async for chunk in answer.iter_bytes()])
    assert sound.startswith(b"OggS")
    assert duration_s(sound) == pytest.approx(hum_s, abs=0.15)


async def test_livekit_by_events(fake_tts: RunningServer, hum_s: float) -> None:
    async with fake_tts.async_openai() as client:
        request = client.audio.speech.with_streaming_response.create(
            input=TEXT, model="gpt-4o-mini-tts", voice="ash", response_format="mp3", speed=1.0, stream_format="sse"
        )
        async with request as answer:
            # Only this very type makes LiveKit read events; otherwise it would decode them as sound.
            assert answer.headers["content-type"].split(";")[0] == "text/event-stream"
            lines = [line async for line in answer.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    *deltas, done = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert len(deltas) > 1
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"]
    # It looks for `delta` before `audio`.
    assert all("delta" not in event for event in deltas)
    sound = b"".join(base64.b64decode(event["audio"], validate=True) for event in deltas)
    assert duration_s(sound) == pytest.approx(hum_s, abs=0.15)


@pytest.mark.parametrize("audio_format", CONTENT_TYPES)
def test_livekit_by_bytes(http: httpx2.Client, audio_format: str) -> None:
    body = {"input": TEXT, "model": "tts-1", "voice": "ash", "response_format": audio_format, "speed": 1.0}
    answer = http.post(URL, json={**body, "stream_format": "audio"})
    assert answer.headers["content-type"] in LIVEKIT_TYPES


async def test_livekit_warms_its_connection_up(fake_tts: RunningServer) -> None:
    async with fake_tts.async_openai() as client:
        try:
            answer = await client.get("/", cast_to=httpx2.Response)
        except openai.APIStatusError as error:
            answer = error.response
            assert is_openai_error(answer)
    assert answer.status_code < 500
    # A warm connection is what it is for.
    assert answer.headers.get("connection", "keep-alive") != "close"


@pytest.mark.parametrize("voice", VOICES)
async def test_pipecat(fake_tts: RunningServer, hum_s: float, voice: str) -> None:
    async with fake_tts.async_openai() as client:
        request = client.audio.speech.with_streaming_response.create(
            input=TEXT, model="gpt-4o-mini-tts", voice=voice, response_format="pcm"
        )
        async with request as answer:
            assert answer.status_code == 200
            chunks = [chunk async for chunk in answer.iter_bytes(9600)]
    sound = b"".join(chunks)
    # Raw 16-bit samples at 24 kHz: half a sample would turn all that follows into noise.
    assert len(sound) % 2 == 0
    assert len(sound) / 48_000 == pytest.approx(hum_s, abs=0.05)


async def test_openai_agents(fake_tts: RunningServer, hum_s: float) -> None:
    async with fake_tts.async_openai() as client:
        request = client.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts",
            voice="ash",
            input=TEXT,
            response_format="pcm",
            extra_body={"instructions": None},
        )
        async with request as answer:
            chunks = [chunk async for chunk in answer.iter_bytes(chunk_size=1024)]
    assert {len(chunk) for chunk in chunks[:-1]} == {1024}
    samples, rate = samples_of(wrap_pcm(b"".join(chunks)))
    assert samples.size / rate == pytest.approx(hum_s, abs=0.05)
    assert abs(samples).max() > 1000


def _curl(server: RunningServer, output: Path, *arguments: str) -> str:
    """Run curl as the manual says; its answer's content type."""
    command = ["curl", "--fail", "--silent", "--show-error", "--noproxy", "*", f"{server.url}{URL}", *arguments]
    done = subprocess.run(
        [*command, "--output", str(output), "--write-out", "%{content_type}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("headers", [("-H", "Content-Type: application/json"), ()], ids=["labelled", "unlabelled"])
async def test_curl(fake_tts: RunningServer, hum_s: float, tmp_path: Path, headers: tuple[str, ...]) -> None:
    # Without the header curl calls the body a form; what it is shows in the body.
    body = json.dumps({"model": "gpt-4o-mini-tts", "input": TEXT, "voice": "coral"})
    arguments = ("-H", "Authorization: Bearer $OPENAI_API_KEY", *headers, "-d", body)
    content_type = await asyncio.to_thread(_curl, fake_tts, tmp_path / "speech.mp3", *arguments)
    assert content_type == "audio/mpeg"
    assert duration_s((tmp_path / "speech.mp3").read_bytes()) == pytest.approx(hum_s, abs=0.15)


@pytest.mark.parametrize(
    ("extra", "ignored"),
    [
        ({}, None),
        ({"instructions": "Speak like a pirate."}, "instructions"),
        ({"instructions": None, "pitch": None}, None),
        ({"pitch": 2, "response_format": "pcm"}, "pitch"),
        ({"voice_settings": {"a": 1}, "größe": 1}, "voice_settings, gr%C3%B6%C3%9Fe"),
    ],
    ids=["none", "instructions", "nulls", "one", "two"],
)
def test_fields_that_mean_nothing_are_named(http: httpx2.Client, extra: dict[str, object], ignored: str | None) -> None:
    answer = http.post(URL, json={"model": "tts-1", "input": "Hello.", "voice": "alloy", **extra})
    assert answer.status_code == 200
    assert answer.headers.get("x-ignored-fields") == ignored
