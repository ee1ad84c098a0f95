"""Commands that are spoken: words while they are said, the text at the end, and nothing of it lost."""

import asyncio
import io
from collections.abc import Callable
from contextlib import AbstractContextManager

import jiwer
import pytest
from whisper_normalizer.basic import BasicTextNormalizer
from wyoming.asr import Transcribe
from wyoming.audio import AudioStop

from home_assistant.assist import RATE, Answer, ask_info, connected, listen, read_until, send_sound
from home_assistant.conftest import WyomingServer
from piper_speech import speak as speak_samples
from running_server import RunningServer, free_port, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]

COMMAND = "Turn on the light in the kitchen, please."
LONG_TALK = (
    "Turn on the light in the kitchen, and then tell me what the weather will be like tomorrow morning.",
    "The museum opens at ten, and the tickets are sold until noon.",
    "My sister has planted three apple trees behind the old house.",
    "On the way home we stopped at the bakery and bought a loaf of bread.",
    "The train to the mountains leaves from the second platform.",
    "Please remind me to water the flowers before I go to bed.",
    "He put his umbrella beside the door and hung his coat on the wall.",
)
normalize = BasicTextNormalizer()


def _pcm(text: str) -> bytes:
    """A spoken text that ends with its last sound."""
    samples = speak_samples(text)
    loud = (abs(samples) > 0.02).nonzero()[0]
    return (samples[: loud[-1] + 1] * 30_000).astype("<i2").tobytes()


def _expect_command(answer: Answer) -> None:
    assert answer.types[0] == "transcript-start"
    assert answer.types[-2:] == ["transcript", "transcript-stop"]
    assert normalize(answer.transcript.text).split() == normalize(COMMAND).split()


async def test_the_last_word_is_heard(asr_server_wyoming: WyomingServer) -> None:
    answer = await listen(asr_server_wyoming.port, _pcm(COMMAND), Transcribe(language="en"), pace=1.0)
    _expect_command(answer)
    assert normalize(answer.shown).split() == normalize(COMMAND).split()


async def test_words_come_while_they_are_spoken(asr_server_wyoming: WyomingServer) -> None:
    """Whoever speaks waits for a word, however slow the machine is, and says the next sentence meanwhile."""
    said, answer = list[str](), Answer()
    async with connected(asr_server_wyoming.port) as client:
        reading = asyncio.create_task(read_until(client, "transcript-stop", "error", into=answer))
        await client.write_event(Transcribe(language="en").event())
        for sentence in LONG_TALK:
            said.append(sentence)
            await send_sound(client, _pcm(sentence) + bytes(RATE), pace=1.0)
            if answer.shown:
                break
        assert answer.shown, "of all these sentences no word was told before their end"
        await client.write_event(AudioStop().event())
        await reading
    assert jiwer.wer(normalize(" ".join(said)), normalize(answer.transcript.text)) <= 0.15
    assert jiwer.wer(normalize(answer.transcript.text), normalize(answer.shown)) <= 0.1


async def test_words_come_before_a_turn_is_over(start_server: StartServer) -> None:
    port = free_port()
    fake = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_WYOMING_PORT": str(port)}
    with start_server("asr", **fake):
        async with connected(port) as client:
            answer = Answer()
            reading = asyncio.create_task(read_until(client, "transcript-stop", "error", into=answer))
            for sentence in LONG_TALK[:3]:
                await send_sound(client, _pcm(sentence), pace=1.0)  # no pause that would end the turn
                if answer.shown:
                    break
            assert "window" in answer.shown
            await client.write_event(AudioStop().event())
            await reading


@pytest.mark.parametrize("chunk_bytes", [333, 640, 32_000, 500_000])
async def test_the_size_of_chunks_changes_nothing(asr_server_wyoming: WyomingServer, chunk_bytes: int) -> None:
    answer = await listen(asr_server_wyoming.port, _pcm(COMMAND), Transcribe(language="en-US"), chunk_bytes)
    _expect_command(answer)


async def test_two_commands_may_follow_each_other(asr_server_wyoming: WyomingServer) -> None:
    pcm = _pcm(COMMAND)
    async with connected(asr_server_wyoming.port) as client:
        for _ in range(2):
            await send_sound(client, pcm)
            await client.write_event(AudioStop().event())
            _expect_command(await read_until(client, "transcript-stop", "error"))


@pytest.mark.parametrize("pcm", [b"", bytes(200), bytes(2 * RATE * 4)], ids=["nothing", "a moment", "silence"])
async def test_silence_is_no_text(asr_server_wyoming: WyomingServer, pcm: bytes) -> None:
    answer = await listen(asr_server_wyoming.port, pcm, Transcribe(language="en"))
    assert answer.types == ["transcript-start", "transcript", "transcript-stop"]
    assert answer.transcript.text == ""


async def test_names_are_expected(asr_server_wyoming: WyomingServer) -> None:
    names = ["Kitchen", "Living room", "Anna's lamp", "Heating", *(["Garage door"] * 300)]
    asked = Transcribe(language="en", transcript_names=names, transcript_terms=["lux", "", " "])
    _expect_command(await listen(asr_server_wyoming.port, _pcm(COMMAND), asked))


async def test_a_pause_does_not_end_a_command(asr_server_wyoming: WyomingServer) -> None:
    pcm = _pcm("Turn on the light, please.") + bytes(2 * int(1.5 * RATE)) + _pcm("And the radio in the kitchen.")
    answer = await listen(asr_server_wyoming.port, pcm, Transcribe(language="en"), pace=1.0)
    assert {"light", "radio", "kitchen"} <= set(normalize(answer.transcript.text).split())


async def test_who_leaves_while_speaking_is_forgotten(asr_server_wyoming: WyomingServer) -> None:
    async with connected(asr_server_wyoming.port) as client:
        await client.write_event(Transcribe(language="en").event())
        await send_sound(client, _pcm(COMMAND))
        await ask_info(asr_server_wyoming.port)
    await asyncio.to_thread(wait_until, lambda: sum(asr_server_wyoming.http.count_jobs()) == 0, 10, "the job is gone")


def test_the_text_is_that_of_a_file(asr_server_wyoming: WyomingServer, spoken: Callable[[str], bytes]) -> None:
    with asr_server_wyoming.http.openai() as client:
        upload = io.BytesIO(spoken(COMMAND))
        upload.name = "a.wav"
        whole = client.audio.transcriptions.create(model="whisper-1", file=upload, language="en").text
    answer = asyncio.run(listen(asr_server_wyoming.port, _pcm(COMMAND), Transcribe(language="en")))
    assert normalize(answer.transcript.text) == normalize(whole)
