"""The stand-ins of providers that hear, held to the wires by the makers' own clients."""

import io
import wave
from collections.abc import Iterator

import pytest
from deepgram import DeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from elevenlabs import SpeechToTextChunkResponseModel
from elevenlabs.client import ElevenLabs
from openai import OpenAI

from providers.hearing_stand_ins import HearingStandIn, hearing_stand_in

KEY = "made-up"  # pragma: allowlist secret


@pytest.fixture(scope="module")
def stand_in() -> Iterator[HearingStandIn]:
    with hearing_stand_in() as running:
        yield running


def _wav(seconds: float) -> bytes:
    with io.BytesIO() as file:
        with wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(16_000)
            sound.writeframes(bytes(2 * round(16_000 * seconds)))
        return file.getvalue()


def test_openai(stand_in: HearingStandIn) -> None:
    client = OpenAI(base_url=f"{stand_in.url}/v1", api_key=KEY, max_retries=0)
    ask = client.audio.transcriptions.create
    verbose = ask(
        model="whisper-1",
        file=("a.wav", _wav(1.0)),
        response_format="verbose_json",
        timestamp_granularities=["segment", "word"],
    )
    assert verbose.text == "One two."
    assert verbose.segments is not None
    assert verbose.words is not None
    assert [(part.text, part.end) for part in verbose.segments] == [(" One two.", 0.95)]
    assert [(word.word, word.start) for word in verbose.words] == [("One", 0.0), ("two", 0.5)]
    told = ask(model="gpt-4o-transcribe", file=("a.wav", _wav(0.5)), response_format="json", include=["logprobs"])
    assert told.text == "One"
    assert told.logprobs is not None
    speakers = ask(
        model="gpt-4o-transcribe-diarize",
        file=("a.wav", _wav(2.0)),
        response_format="diarized_json",
        chunking_strategy="auto",
    )
    assert [(part.speaker, part.text) for part in speakers.segments] == [("A", "One two."), ("B", "Three four.")]
    assert stand_in.last.headers["authorization"] == f"Bearer {KEY}"


def test_elevenlabs(stand_in: HearingStandIn) -> None:
    client = ElevenLabs(base_url=stand_in.url, api_key=KEY)
    heard = client.speech_to_text.convert(
        model_id="scribe_v1", file=("a.wav", _wav(2.0)), diarize=True, keyterms=["Anna", "Bob"]
    )
    assert isinstance(heard, SpeechToTextChunkResponseModel)
    assert (heard.text, heard.language_code) == ("One two. Three four.", "eng")
    assert [(word.text, word.type) for word in heard.words][:3] == [("One", "word"), (" ", "spacing"), ("two.", "word")]
    assert {word.speaker_id for word in heard.words} == {"speaker_0", "speaker_1"}
    assert stand_in.last.fields["keyterms"] == ["Anna", "Bob"]
    assert stand_in.last.headers["xi-api-key"] == KEY


def test_deepgram(stand_in: HearingStandIn) -> None:
    ws = stand_in.url.replace("http", "ws")
    environment = DeepgramClientEnvironment(base=stand_in.url, production=ws, agent=ws, agent_rest=stand_in.url)
    client = DeepgramClient(api_key=KEY, environment=environment)
    heard = client.listen.v1.media.transcribe_file(
        request=_wav(2.0), model="nova-3", smart_format=True, diarize=True, keyterm=["Anna", "Bob"]
    )
    best = heard.results.channels[0].alternatives[0]
    assert best.transcript == "One two. Three four."
    assert [(word.punctuated_word, word.speaker) for word in best.words][-1] == ("four.", 1)
    assert heard.metadata.duration == pytest.approx(2.0)
    assert stand_in.last.fields["keyterm"] == ["Anna", "Bob"]
    assert stand_in.last.headers["authorization"].lower() == f"token {KEY}"
