"""A text that is spoken while a language model writes it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import pairwise

import numpy as np
import pytest
from wyoming.event import Event
from wyoming.tts import SynthesizeChunk, SynthesizeStart, SynthesizeVoice

from home_assistant.assist import Answer, ask_info, connected, read_until, speak, speak_stream
from home_assistant.conftest import WyomingServer
from running_server import RunningServer, free_port, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]

TEXT = "The lamp in the kitchen is on. It has been on since seven, and nobody is there. Shall I turn it off?"
BETWEEN_SOUNDS_S = 4.5
"""Satellites give up after 5 s."""


def _in_tokens(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def _expect_one_sound(answer: Answer) -> None:
    assert answer.types == ["audio-start", "audio-chunk", "audio-stop", "synthesize-stopped"]
    assert {(e.data["rate"], e.data["width"], e.data["channels"]) for e in answer.events[:-2]} == {(24_000, 2, 1)}


def _count_sounding(answer: Answer) -> int:
    """Samples that are not the silence which keeps a satellite awake, of which a busy machine sends more."""
    return int(np.count_nonzero(np.frombuffer(answer.pcm, np.int16)))


async def test_streams_are_announced(tts_server_wyoming: WyomingServer) -> None:
    assert (await ask_info(tts_server_wyoming.port)).tts[0].supports_synthesize_streaming


@pytest.mark.parametrize("size", [1, 3, 7, 200])
async def test_all_of_the_text_is_spoken_once(tts_server_wyoming: WyomingServer, size: int) -> None:
    answer = await speak_stream(tts_server_wyoming.port, _in_tokens(TEXT, size))
    _expect_one_sound(answer)
    whole = await speak(tts_server_wyoming.port, TEXT)
    assert _count_sounding(answer) == pytest.approx(_count_sounding(whole), rel=0.1)


async def test_sound_flows_while_the_model_thinks(tts_server_wyoming: WyomingServer) -> None:
    answer = await speak_stream(tts_server_wyoming.port, ["The lamp is on. And it ", 8.0, "is late. Good night."])
    _expect_one_sound(answer)
    assert max(later - sooner for sooner, later in pairwise(answer.at_s)) < BETWEEN_SOUNDS_S


async def test_the_first_sentence_is_heard_before_the_second_is_written(tts_server_wyoming: WyomingServer) -> None:
    async with connected(tts_server_wyoming.port) as client:
        await client.write_event(SynthesizeStart().event())
        await client.write_event(SynthesizeChunk("The lamp in the kitchen is on. And it has").event())
        answer = await read_until(client, "audio-chunk")
        # What is only there to keep the satellite awake is silence.
        while not any(answer.events[-1].payload or b""):
            answer = await read_until(client, "audio-chunk")


@pytest.mark.parametrize("pieces", [[], [" "], ["\n", "  "]])
async def test_no_text_is_no_sound_and_ends(tts_server_wyoming: WyomingServer, pieces: list[str | float]) -> None:
    answer = await speak_stream(tts_server_wyoming.port, pieces)
    assert answer.types[-1] == "synthesize-stopped"
    assert answer.pcm == b""


@pytest.mark.parametrize(
    ("voice", "pieces"),
    [(SynthesizeVoice(name="nobody"), ["Hello."]), (None, ["a" * 100_000, "b" * 100_001])],
)
async def test_errors_end_a_stream_too(
    tts_server_wyoming: WyomingServer, voice: SynthesizeVoice | None, pieces: list[str | float]
) -> None:
    answer = await speak_stream(tts_server_wyoming.port, pieces, voice)
    assert answer.types[-2:] == ["error", "synthesize-stopped"]


async def test_an_engine_that_fails_ends_a_stream_too(fake_wyoming: WyomingServer) -> None:
    answer = await speak_stream(fake_wyoming.port, ["One. ", "Now fail please. ", "Three."])
    assert answer.types[-2:] == ["error", "synthesize-stopped"]


async def test_a_server_that_stops_ends_a_stream_too(start_server: StartServer) -> None:
    port = free_port()
    settings = {"TTS_ENGINE": "fake", "TTS_MODEL": "fake", "TTS_SHUTDOWN_GRACE_S": "0.3", "TTS_WYOMING_PORT": str(port)}
    with start_server("tts", **settings) as server:
        async with connected(port) as client:
            await client.write_event(SynthesizeStart().event())
            await client.write_event(SynthesizeChunk("One sentence. And").event())
            await read_until(client, "audio-chunk")
            server.process.terminate()
            answer = await read_until(client)
    assert answer.types[-2:] == ["error", "synthesize-stopped"]
    assert answer.error.code == "shutting_down"


async def test_a_chunk_that_is_no_text_ends_a_stream_too(fake_wyoming: WyomingServer) -> None:
    async with connected(fake_wyoming.port) as client:
        await client.write_event(SynthesizeStart().event())
        await client.write_event(Event("synthesize-chunk", {"text": ["a"]}))
        answer = await read_until(client, "synthesize-stopped")
    assert answer.types[-2:] == ["error", "synthesize-stopped"]


async def test_who_leaves_a_stream_is_not_worked_for(fake_wyoming: WyomingServer) -> None:
    async with connected(fake_wyoming.port) as client:
        await client.write_event(SynthesizeStart().event())
        await client.write_event(SynthesizeChunk("A clause, sleep=0.2. " * 50).event())
        await read_until(client, "audio-chunk")
    await asyncio.to_thread(wait_until, lambda: sum(fake_wyoming.http.count_jobs()) == 0, 5, "the job is gone")


async def test_streams_may_follow_each_other(fake_wyoming: WyomingServer) -> None:
    answers = [await speak_stream(fake_wyoming.port, ["One ", "two."]) for _ in range(2)]
    for answer in answers:
        _expect_one_sound(answer)
