"""The whole server on sounds in which nobody speaks, and on speech that must not be lost for it."""

from collections.abc import Callable, Iterator

import jiwer
import numpy as np
import pytest
from benchmarks.sounds import SOUNDS, make_band, make_pink_noise, make_silence, mix
from numpy.typing import NDArray
from openai import OpenAI
from whisper_normalizer.english import EnglishTextNormalizer

from conftest import StartServer
from e2e.realtime import live
from e2e.sound import wrap_pcm
from piper_speech import speak
from running_server import RunningServer
from utils.audio.test_vad import whisper

RATE = 16_000
TEXT = "The old harbour wakes before the town does. At five in the morning the first boats come back."
_normalize = EnglishTextNormalizer()


@pytest.fixture(scope="module")
def guarded(asr_server: RunningServer) -> Iterator[OpenAI]:
    """The server as it is by default."""
    with asr_server.openai() as client:
        yield client


@pytest.fixture(scope="module")
def without_vad(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server("asr", ASR_VAD_ENABLED="false") as server:
        yield server


def hear(client: OpenAI, samples: NDArray[np.float32], **options: str) -> str:
    file = ("sound.wav", wrap_pcm((samples * 32767).astype("<i2").tobytes(), RATE))
    return client.audio.transcriptions.create(model="whisper-1", file=file, extra_body=options).text


@pytest.mark.parametrize("name", SOUNDS)
def test_nobody_speaks_in_sounds(guarded: OpenAI, name: str) -> None:
    assert hear(guarded, SOUNDS[name](30)) == ""


@pytest.mark.parametrize("name", ["silence", "white noise", "pink noise", "hum", "band"])
def test_nor_where_the_vad_is_switched_off(without_vad: RunningServer, name: str) -> None:
    with without_vad.openai() as client:
        assert hear(client, SOUNDS[name](10), language="en") == ""
    assert "text dropped" in without_vad.log.read_text()


@pytest.mark.parametrize("rules", [{"type": "server_vad"}, None], ids=["server_vad", "commits"])
async def test_nor_in_a_live_session(asr_server: RunningServer, rules: dict[str, str] | None) -> None:
    async with live(asr_server) as session:
        await session.set(turn_detection=rules, format={"type": "audio/pcm", "rate": RATE})
        for make in SOUNDS.values():
            await session.say((make(10) * 32767).astype("<i2").tobytes(), step=32_000)
            await session.send("input_audio_buffer.commit")
        await session.drain()
        while len(session.texts) < len(session.of("committed")):
            await session.next()
    assert len(session.texts) >= len(SOUNDS)
    assert set(session.texts) == {""}
    assert not session.of(".delta")


def test_a_step_is_a_switch_and_streams_agree(start_server: StartServer) -> None:
    silence = wrap_pcm((make_silence(5) * 32767).astype("<i2").tobytes(), RATE)
    heard: dict[str, str] = {}
    for steps in ("none", "silence"):
        with start_server("asr", ASR_VAD_ENABLED="false", ASR_SUPPRESS=steps) as server, server.openai() as client:
            create = client.audio.transcriptions.create
            heard[steps] = create(model="whisper-1", file=("a.wav", silence), language="en").text
            events = create(model="whisper-1", file=("a.wav", silence), language="en", stream=True)
            deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
            assert "".join(deltas) == heard[steps]
    # Whisper says something of nothing.
    assert heard["none"].split()
    assert heard["silence"] == ""


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    return 0.5 * speak(TEXT)


CONDITIONS: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "as it is": lambda speech: speech,
    "30 dB quieter": lambda speech: speech * 10**-1.5,
    "whispered": lambda speech: 0.1 * whisper(speech / np.abs(speech).max()),
    "music at 10 dB": lambda speech: mix(speech, make_band(speech.size / RATE), 10),
    "music at 0 dB": lambda speech: mix(speech, make_band(speech.size / RATE), 0),
    "noise at 10 dB": lambda speech: mix(speech, make_pink_noise(speech.size / RATE), 10),
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_speech_is_not_lost(guarded: OpenAI, speech: NDArray[np.float32], condition: str) -> None:
    text = hear(guarded, CONDITIONS[condition](speech), language="en")
    said = _normalize(TEXT)
    assert jiwer.wer(said, _normalize(text)) <= 0.25
    assert len(_normalize(text).split()) >= 0.9 * len(said.split())


def test_thank_you_is_heard_when_it_is_said(guarded: OpenAI, without_vad: RunningServer) -> None:
    samples = np.concatenate([make_silence(1), 0.5 * speak("Thank you very much."), make_silence(1)])
    with without_vad.openai() as client:
        for server in (guarded, client):
            assert "thank you" in hear(server, samples, language="en").lower()
