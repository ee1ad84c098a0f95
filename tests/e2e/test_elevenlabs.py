"""ElevenLabs' own SDK on the TTS server."""

import asyncio
import base64
import io

import av
import httpx
import httpx2
import pytest
from elevenlabs import VoiceSettings
from elevenlabs.client import AsyncElevenLabs, ElevenLabs
from elevenlabs.core import ApiError

from running_server import RunningServer
from voice_stack.tts.app import create_app
from voice_stack.tts.settings import TtsSettings

TEXT = "Hi there, you.  And then\nsome more: words!\n"
KEY = "vs-of-the-house"


@pytest.fixture(scope="module")
def client(fake_tts: RunningServer) -> ElevenLabs:
    return ElevenLabs(base_url=fake_tts.url, api_key="unused")


def length_s(sound: bytes, name: str) -> float:
    """Of a file, or of what only its name describes."""
    codec, rate = name.split("_")[0], int(name.split("_")[1])
    if codec in {"pcm", "ulaw", "alaw"}:
        return len(sound) / (rate * (2 if codec == "pcm" else 1))
    with av.open(io.BytesIO(sound)) as file:
        (stream,) = file.streams.audio
        assert stream.rate == rate
        return sum(frame.samples for frame in file.decode(stream)) / stream.rate


@pytest.mark.parametrize(
    "name",
    [
        "mp3_44100_128",
        "mp3_22050_32",
        "mp3_24000_48",
        "opus_48000_64",
        "pcm_16000",
        "wav_48000",
        "ulaw_8000",
        "alaw_8000",
    ],
)
def test_speech_comes_in_the_format_that_its_name_tells(client: ElevenLabs, name: str) -> None:
    faster = VoiceSettings(stability=0.5, similarity_boost=0.75, speed=1.2)
    whole, streamed, fast = (
        length_s(b"".join(pieces), name)
        for pieces in (
            client.text_to_speech.convert("alloy", text=TEXT, model_id="eleven_multilingual_v2", output_format=name),
            client.text_to_speech.stream("alloy", text=TEXT, output_format=name),
            client.text_to_speech.convert("alloy", text=TEXT, output_format=name, voice_settings=faster),
        )
    )
    assert whole == pytest.approx(3.2, abs=0.1)
    assert streamed == pytest.approx(whole, abs=0.1)
    assert fast < whole - 0.25


@pytest.mark.parametrize("text", [TEXT, "One. Two, **three**.", 'Say "hello"; go!'])
def test_each_character_has_its_time(fake_tts: RunningServer, text: str) -> None:
    async def ask() -> list[tuple[str | None, object]]:
        async with httpx.AsyncClient(timeout=60) as http:
            client = AsyncElevenLabs(base_url=fake_tts.url, api_key="unused", httpx_client=http)
            whole = await client.text_to_speech.convert_with_timestamps("alloy", text=text, output_format="pcm_16000")
            lines = client.text_to_speech.stream_with_timestamps("alloy", text=text, output_format="pcm_16000")
            return [(one.audio_base_64, one.alignment) for one in [whole, *[line async for line in lines]]]

    (audio, whole), *lines = asyncio.run(ask())
    spoken_s = len(base64.b64decode(audio)) / 32_000
    said = "".join(whole.characters)
    assert said == text if "*" not in text else "three" in said
    times = list(zip(whole.character_start_times_seconds, whole.character_end_times_seconds, strict=True))
    assert len(times) == len(whole.characters)
    assert all(start <= end for start, end in times)
    assert [start for start, _ in times] == sorted(start for start, _ in times)
    assert times[-1][1] == pytest.approx(spoken_s, abs=0.05)
    aligned = [alignment for _, alignment in lines if alignment is not None]
    assert "".join("".join(alignment.characters) for alignment in aligned) == said
    assert [end for alignment in aligned for end in alignment.character_end_times_seconds] == [end for _, end in times]
    assert sum(len(base64.b64decode(piece)) for piece, _ in lines) == pytest.approx(spoken_s * 32_000, abs=3200)


def test_voices_and_models_are_listed(client: ElevenLabs, fake_tts: RunningServer) -> None:
    voices = client.voices.get_all().voices
    assert "alloy" in [voice.voice_id for voice in voices]
    assert client.voices.get("alloy").name == "alloy"
    first = client.voices.search(page_size=3)
    second = client.voices.search(page_size=3, next_page_token=first.next_page_token)
    assert [voice.voice_id for voice in (*first.voices, *second.voices)] == [voice.voice_id for voice in voices[:6]]
    assert first.has_more
    assert first.total_count == len(voices)
    assert [voice.voice_id for voice in client.voices.search(search="SHIM").voices] == ["shimmer"]
    assert "fake" in [model.model_id for model in client.models.list() if model.can_do_text_to_speech]
    assert fake_tts.openai().models.list().data[0].object == "model"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"voice_id": "21m00Tcm4TlvDq8ikWAM", "text": "Hello."}, "voice_not_found"),
        ({"voice_id": "alloy", "text": "Hello.", "model_id": "sonic"}, "model_not_found"),
        ({"voice_id": "alloy", "text": " "}, "nothing_to_speak"),
        ({"voice_id": "alloy", "text": "a" * 200_001}, "max_character_limit_exceeded"),
        ({"voice_id": "alloy", "text": "Hello.", "output_format": "mp3_1"}, "unsupported_value"),
        ({"voice_id": "alloy", "text": "Hello.", "voice_settings": VoiceSettings(speed=9)}, "invalid_request_error"),
        ({"voice_id": "alloy", "text": "fail"}, "server_error"),
    ],
)
def test_errors_are_those_of_the_sdk(client: ElevenLabs, sent: dict[str, str], status: str) -> None:
    for call in (client.text_to_speech.convert, client.text_to_speech.stream_with_timestamps):
        with pytest.raises(ApiError) as failed:
            list(call(**sent))
        assert failed.value.body["detail"]["status"] == status
        assert failed.value.body["detail"]["message"]
        assert failed.value.headers["request-id"]


def test_what_means_nothing_is_named(fake_tts: RunningServer) -> None:
    settings = {"stability": 0.5, "speed": 1.0}
    body = {"text": "Hello.", "voice_settings": settings, "seed": 1, "apply_text_normalization": "auto"}
    with fake_tts.http() as http:
        answer = http.post("/v1/text-to-speech/alloy?optimize_streaming_latency=3&enable_logging=false", json=body)
    assert answer.status_code == 200
    assert answer.headers["x-ignored-fields"] == "seed, voice_settings[stability], optimize_streaming_latency"
    assert answer.headers["x-cache"] == "off"


def test_the_key_of_elevenlabs_opens_its_routes_alone_and_is_off_unless_asked_for() -> None:
    async def ask(path: str, *, is_on: bool, **headers: str) -> tuple[int, object]:
        settings = TtsSettings(_env_file=None, engine="fake", model="fake", api_elevenlabs=is_on, api_keys=[KEY])
        transport = httpx2.ASGITransport(app=create_app(settings))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            answer = await http.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            return answer.status_code, answer.json()

    async def check() -> None:
        for path in ("/v1/voices", "/v2/voices", "/v1/models"):
            assert (await ask(path, is_on=True, xi_api_key=KEY))[0] == 200, path
            assert (await ask(path, is_on=True, authorization=f"Bearer {KEY}"))[0] == 200, path
            status, body = await ask(path, is_on=True, xi_api_key="wrong")
            assert (status, body["detail"]["status"]) == (401, "invalid_api_key")
        assert (await ask("/v1/audio/voices", is_on=True, xi_api_key=KEY))[0] == 401
        assert (await ask("/v1/models", is_on=False, xi_api_key=KEY))[0] == 401
        status, body = await ask("/v1/voices", is_on=False, authorization=f"Bearer {KEY}")
        assert (status, body["error"]["type"]) == (404, "invalid_request_error")

    asyncio.run(check())
