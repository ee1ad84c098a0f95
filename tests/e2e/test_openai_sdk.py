"""The official SDK, unchanged but for its base URL."""

import http.client
import json
import re
import wave
from collections.abc import Callable, Iterator
from io import BytesIO

import pytest
from openai import OpenAI
from openai.types.audio import Transcription, TranscriptionVerbose

from e2e.sound import duration_s, tone
from running_server import RunningServer

TEXT = "Please water the plants in the kitchen before you leave. Then lock the front door."
SPOKEN_S = 4.2
"""Piper draws its pace anew each time: sixty draws of this text took 3.9 to 4.6 s."""
Spoken = Callable[[str], bytes]
MAGIC = {"mp3": rb"\xff[\xf2\xf3\xfa\xfb]", "opus": b"OggS", "aac": rb"\xff[\xf0\xf1\xf8\xf9]", "flac": b"fLaC"}
VOICES = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
)  # fmt: skip


@pytest.fixture(scope="module")
def asr(asr_server: RunningServer) -> Iterator[OpenAI]:
    with asr_server.openai() as client:
        yield client


@pytest.fixture(scope="module")
def tts(tts_server: RunningServer) -> Iterator[OpenAI]:
    with tts_server.openai() as client:
        yield client


def test_formats_carry_the_same_words(asr: OpenAI, spoken: Spoken) -> None:
    file = ("plants.wav", spoken(TEXT))
    text = asr.audio.transcriptions.create(model="whisper-1", file=file).text
    assert "water the plants" in text.lower()
    create = asr.audio.transcriptions.create
    assert create(model="whisper-1", file=file, response_format="text").strip() == text
    verbose = create(
        model="whisper-1", file=file, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert isinstance(verbose, TranscriptionVerbose)
    assert verbose.text == text
    assert verbose.words is not None
    assert [word.word for word in verbose.words] == text.split()
    for subtitles in (
        create(model="whisper-1", file=file, response_format="srt"),
        create(model="whisper-1", file=file, response_format="vtt"),
    ):
        lines = [line for line in subtitles.splitlines() if line and "-->" not in line and not line.isdecimal()]
        assert " ".join(line for line in lines if line != "WEBVTT") == text


def test_streamed_text_is_the_text(asr: OpenAI, spoken: Spoken) -> None:
    file = ("plants.wav", spoken(TEXT))
    deltas, done = [], []
    for event in asr.audio.transcriptions.create(model="gpt-4o-transcribe", file=file, stream=True):
        if event.type == "transcript.text.delta":
            deltas.append(event.delta)
        elif event.type == "transcript.text.done":
            done.append(event.text)
    assert done == ["".join(deltas)]
    assert done == [asr.audio.transcriptions.create(model="whisper-1", file=file).text]


async def test_the_async_sdk(asr_server: RunningServer, tts_server: RunningServer) -> None:
    async with tts_server.async_openai() as client:
        answer = await client.audio.speech.create(model="tts-1", voice="nova", input=TEXT, response_format="flac")
    assert duration_s(answer.content) == pytest.approx(SPOKEN_S, rel=0.2)
    async with asr_server.async_openai() as client:
        text = (await client.audio.transcriptions.create(model="whisper-1", file=("a.flac", answer.content))).text
        stream = await client.audio.transcriptions.create(
            model="whisper-1", file=("a.flac", answer.content), stream=True
        )
        deltas = [event.delta async for event in stream if event.type == "transcript.text.delta"]
    assert "front door" in text.lower()
    assert "".join(deltas) == text


def test_what_only_newer_models_take(asr: OpenAI, spoken: Spoken) -> None:
    answer = asr.audio.transcriptions.create(
        model="gpt-transcribe",
        file=spoken(TEXT),
        include=["logprobs"],
        languages=["de", "en"],
        keywords=["plants"],
        chunking_strategy={"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 700},
    )
    assert isinstance(answer, Transcription)
    assert "water the plants" in answer.text.lower()
    assert answer.languages is not None
    assert [language.code for language in answer.languages] == ["en"]
    assert answer.usage is not None
    assert answer.usage.type == "tokens"
    assert answer.logprobs is not None
    assert bytes(int(byte) for token in answer.logprobs for byte in token.bytes or ()).decode().strip() == answer.text


def test_translation_of_english_is_english(asr: OpenAI, spoken: Spoken) -> None:
    file = ("plants.wav", spoken(TEXT))
    assert "plants" in asr.audio.translations.create(model="whisper-1", file=file).text.lower()
    verbose = asr.audio.translations.create(model="whisper-1", file=file, response_format="verbose_json")
    assert verbose.language == "english"
    assert verbose.duration == pytest.approx(duration_s(spoken(TEXT)), abs=0.05)


@pytest.mark.parametrize(("kind", "names"), [("asr", {"whisper-1", "base"}), ("tts", {"tts-1", "gpt-4o-mini-tts"})])
def test_models(request: pytest.FixtureRequest, kind: str, names: set[str]) -> None:
    client: OpenAI = request.getfixturevalue(kind)
    models = {model.id: model for model in client.models.list()}
    assert names <= models.keys()
    for name in names:
        assert client.models.retrieve(name) == models[name]
        assert models[name].object == "model"


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "aac", "flac"])
def test_compressed_speech(tts: OpenAI, audio_format: str) -> None:
    sound = tts.audio.speech.create(
        model="tts-1",
        voice="alloy",
        input=TEXT,
        response_format=audio_format,  # type: ignore[arg-type]
    ).content
    assert re.match(MAGIC[audio_format], sound)
    # Piper speaks a text a little differently each time.
    assert duration_s(sound) == pytest.approx(SPOKEN_S, rel=0.2)


@pytest.mark.parametrize("streams", [False, True])
def test_wav_and_its_header(tts: OpenAI, streams: bool) -> None:
    sound = tts.audio.speech.create(
        model="tts-1", voice="alloy", input=TEXT, response_format="wav", extra_body={"stream": streams}
    ).content
    assert sound[:4] == b"RIFF"
    if not streams:
        assert int.from_bytes(sound[4:8], "little") == len(sound) - 8
        with wave.open(BytesIO(sound)) as header:
            assert (header.getnchannels(), header.getsampwidth(), header.getframerate()) == (1, 2, 24_000)
            assert len(header.readframes(10**9)) == header.getnframes() * 2 == len(sound) - 44
    assert duration_s(sound) > 3


def test_pcm_is_raw_samples(tts: OpenAI) -> None:
    sound = tts.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="pcm").content
    assert len(sound) / 48_000 == pytest.approx(SPOKEN_S, rel=0.2)


def test_long_speech_arrives_in_pieces(tts: OpenAI, tts_server: RunningServer) -> None:
    with tts.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=TEXT * 4, response_format="pcm"
    ) as response:
        chunks = response.iter_bytes()
        heard_bytes = len(next(chunks))
        assert tts_server.count_jobs() == (1, 0), "the first piece came only when all was done"
        rest = list(chunks)
    assert len(rest) >= 3
    assert heard_bytes < sum(map(len, rest))


@pytest.mark.parametrize("voice", VOICES)
def test_every_voice_name_speaks(tts: OpenAI, voice: str) -> None:
    sound = tts.audio.speech.create(model="tts-1", voice=voice, input="Good morning.", response_format="wav").content
    assert 0.4 < duration_s(sound) < 3


def test_speed_changes_the_length(tts: OpenAI) -> None:
    def speak(speed: float) -> float:
        text = "The train to the coast leaves at nine."
        options = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "wav"}
        return duration_s(tts.audio.speech.create(**options, speed=speed).content)  # type: ignore[arg-type]

    slow_s, usual_s, fast_s = speak(0.25), speak(1.0), speak(4.0)
    assert slow_s > 2 * usual_s
    # Direction only: the embedded voice comes nowhere near a quarter of the length at four times the speed.
    assert fast_s < 0.7 * usual_s


def test_an_upload_without_a_length(fake_asr: RunningServer) -> None:
    boundary = "frontier"
    fields = f'--{boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = fields.encode() + head.encode() + tone(1.0) + f"\r\n--{boundary}--\r\n".encode()
    connection = http.client.HTTPConnection("127.0.0.1", fake_asr.port, timeout=30)
    connection.request(
        "POST",
        "/v1/audio/transcriptions",
        (body[at : at + 1000] for at in range(0, len(body), 1000)),
        {"Content-Type": f"multipart/form-data; boundary={boundary}", "Transfer-Encoding": "chunked"},
        encode_chunked=True,
    )
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    assert response.status == 200, answer
    assert answer["text"] == "window 1.0 s."
