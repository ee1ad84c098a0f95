"""OpenAI's Python SDK and speech: every format, whole and streamed, from synchronous and asynchronous programs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_type_hints

import openai
import pytest
from openai import OpenAI
from openai.types.audio import SpeechCreateParams

from e2e.sound import duration_s, wrap_pcm
from running_server import RunningServer

Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
TEXT = "Snow fell in the night. In the morning the whole valley was white, and no bus came up the hill."


@pytest.fixture(scope="module")
def client(fake_tts: RunningServer) -> Iterator[OpenAI]:
    with fake_tts.openai() as opened:
        yield opened


@pytest.fixture(scope="module")
def hum_s(client: OpenAI) -> float:
    """Length of the text in the fake voice."""
    return length_s(
        client.audio.speech.create(model="tts-1", voice="ash", input=TEXT, response_format="pcm").content, "pcm"
    )


def length_s(sound: bytes, audio_format: Format) -> float:
    return duration_s(wrap_pcm(sound) if audio_format == "pcm" else sound)


def test_the_sdk_has_no_other_formats() -> None:
    assert set(get_args(Format)) == set(get_args(get_type_hints(SpeechCreateParams)["response_format"]))


@pytest.mark.parametrize("audio_format", get_args(Format))
def test_whole_and_streamed_to_a_file(client: OpenAI, hum_s: float, tmp_path: Path, audio_format: Format) -> None:
    path = tmp_path / f"speech.{audio_format}"
    whole = client.audio.speech.create(model="tts-1", voice="ash", input=TEXT, response_format=audio_format)
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="ash", input=TEXT, response_format=audio_format
    ) as streamed:
        streamed.stream_to_file(path)
    assert length_s(whole.content, audio_format) == pytest.approx(hum_s, abs=0.15)
    # The second comes from the cache, with its length in the header: players then leave out the codec's padding.
    assert length_s(path.read_bytes(), audio_format) == pytest.approx(length_s(whole.content, audio_format), abs=0.07)


@pytest.mark.parametrize("audio_format", get_args(Format))
async def test_whole_and_streamed_in_async_programs(
    fake_tts: RunningServer, hum_s: float, audio_format: Format
) -> None:
    async with fake_tts.async_openai() as client:
        whole = await client.audio.speech.create(model="tts-1", voice="ash", input=TEXT, response_format=audio_format)
        async with client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="ash", input=TEXT, response_format=audio_format
        ) as streamed:
            sound = b"".join([chunk async for chunk in streamed.iter_bytes()])
    assert length_s(whole.content, audio_format) == pytest.approx(hum_s, abs=0.15)
    # MP3 that is sent while it is made cannot tell how much of its last frame is filling.
    assert length_s(sound, audio_format) == pytest.approx(length_s(whole.content, audio_format), abs=0.06)


def test_a_refusal_reads_as_one_also_where_a_stream_was_asked_for(client: OpenAI) -> None:
    with (
        pytest.raises(openai.BadRequestError) as caught,
        client.audio.speech.with_streaming_response.create(model="tts-1", voice="nobody", input=TEXT),
    ):
        pass
    assert (caught.value.param, caught.value.code) == ("voice", "unsupported_value")


def test_every_optional_field_at_once(client: OpenAI) -> None:
    answer = client.audio.speech.create(
        model="gpt-4o-mini-tts",
        voice={"id": "cedar"},
        input="Hello.",
        instructions="Whisper.",
        response_format="wav",
        speed=2.0,
        stream_format="audio",
    )
    assert 0.1 < duration_s(answer.content) < 0.5
