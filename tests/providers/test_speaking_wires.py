"""The stand-ins of providers that speak, held to the wires by the makers' own clients."""

import base64
from collections.abc import Iterator

import pytest
from deepgram import DeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from elevenlabs.client import ElevenLabs
from openai import AuthenticationError, OpenAI

from providers.speaking_stand_ins import (
    DEEPGRAM_VOICES,
    ELEVENLABS_VOICES,
    KEY,
    SpeakingStandIn,
    run_speaking_stand_in,
    tone,
)


@pytest.fixture(scope="module")
def stand_in() -> Iterator[SpeakingStandIn]:
    with run_speaking_stand_in() as running:
        yield running


def test_openai(stand_in: SpeakingStandIn) -> None:
    client = OpenAI(base_url=f"{stand_in.url}/v1", api_key=KEY, max_retries=0)
    spoken = client.audio.speech.create(model="tts-1", voice="alloy", input="Hi there.", response_format="pcm")
    assert spoken.content == tone("Hi there.", "alloy")
    with pytest.raises(AuthenticationError):
        client.with_options(api_key="wrong").audio.speech.create(
            model="tts-1", voice="alloy", input="Hi.", response_format="pcm"
        )


def test_elevenlabs(stand_in: SpeakingStandIn) -> None:
    client = ElevenLabs(base_url=stand_in.url, api_key=KEY)
    (rachel, *_) = ELEVENLABS_VOICES
    spoken = client.text_to_speech.convert_with_timestamps(
        rachel, text="Hi there.", model_id="eleven_flash_v2_5", output_format="pcm_24000", previous_text="Well."
    )
    assert base64.b64decode(spoken.audio_base_64) == tone("Hi there.", rachel)
    assert spoken.alignment is not None
    assert "".join(spoken.alignment.characters) == "Hi there."
    first, second = client.voices.search(page_size=1), client.voices.search(page_size=1, next_page_token="1")
    assert [voice.voice_id for page in (first, second) for voice in page.voices] == list(ELEVENLABS_VOICES)
    assert (first.has_more, second.has_more) == (True, False)


def test_deepgram(stand_in: SpeakingStandIn) -> None:
    socket = stand_in.url.replace("http", "ws", 1)
    environment = DeepgramClientEnvironment(base=stand_in.url, production=socket, agent=socket, agent_rest=stand_in.url)
    client = DeepgramClient(api_key=KEY, environment=environment)
    sound = client.speak.v1.audio.generate(
        text="Hi there.", model="aura-2-luna-en", encoding="linear16", container="none", sample_rate=24_000
    )
    assert b"".join(sound) == tone("Hi there.", "aura-2-luna-en")
    listed = client.manage.v1.models.list().tts or []
    assert [model.canonical_name for model in listed] == list(DEEPGRAM_VOICES)
