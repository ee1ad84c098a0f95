"""Providers that hear, under a load and with long files: what a real one shows only on a bad day."""

import asyncio
import os
import signal
import threading
import wave
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from providers.hearing_stand_ins import HearingStandIn, hearing_stand_in, words_of
from running_server import list_uploads, wait_until
from voice_stack.asr.app import create_service
from voice_stack.asr.request import AudioFile, TranscriptionRequest
from voice_stack.asr.service import AsrService
from voice_stack.asr.settings import AsrSettings
from voice_stack.core.errors import InvalidAudioError

WHISPER, NOVA = "openai/whisper-1", "deepgram/nova-3"
Work = Callable[[AsrService], Coroutine[object, object, None]]


@pytest.fixture(scope="module")
def stand_in() -> Iterator[HearingStandIn]:
    with hearing_stand_in() as running:
        yield running


def _run(stand_in: HearingStandIn, folder: Path, work: Work) -> None:
    async def serve() -> None:
        urls = {f"provider_{name}_url": stand_in.url for name in ("openai", "deepgram")}
        own = {"engine": "fake", "model": "fake", "providers": "openai,deepgram", "spool_dir": folder}
        service = create_service(AsrSettings.model_validate({**own, **urls}))
        try:
            await work(service)
        finally:
            await service.pool.close()

    asyncio.run(serve())


def _speech(path: Path, minutes: float) -> Path:
    """Noise with pauses: FLAC makes of it what it makes of speech."""
    noise = np.random.default_rng(0).normal(0, 300, 16_000 * 10)
    noise[80_000:] = 0
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        for _ in range(round(minutes * 6)):
            sound.writeframes(noise.astype("<i2").tobytes())
    return path


async def _hear(service: AsrService, model: str, path: Path) -> str:
    transcription = await service.begin(model, TranscriptionRequest(AudioFile(path), times="segments"))
    return (await transcription.gather()).text


def test_a_hundred_wait_for_a_provider_without_a_thread_each(stand_in: HearingStandIn, tmp_path: Path) -> None:
    path = _speech(tmp_path / "clip.wav", 1 / 6)
    lags = list[float]()

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        while True:
            began_at = loop.time()
            await asyncio.sleep(0.01)
            lags.append(loop.time() - began_at - 0.01)

    async def work(service: AsrService) -> None:
        await _hear(service, NOVA, path)
        stand_in.delay_s, before = 60.0, threading.active_count()
        watching = asyncio.create_task(watch())
        askers = [asyncio.create_task(_hear(service, NOVA, path)) for _ in range(100)]
        try:
            await asyncio.to_thread(wait_until, lambda: stand_in.at_once == 100, 60, "all wait for the provider")
            # Those of the stand-in, which decodes, and of the executor are the same for any number.
            assert threading.active_count() - before < 40
        finally:
            stand_in.delay_s = 0.0
        texts = await asyncio.gather(*askers)
        watching.cancel()
        assert set(texts) == {" ".join(word for word, _, _ in words_of(10.0))}

    _run(stand_in, tmp_path, work)
    assert list_uploads(tmp_path) == [path]


def test_a_long_file_is_sent_small_and_not_held_in_memory(stand_in: HearingStandIn, tmp_path: Path) -> None:
    path = _speech(tmp_path / "film.wav", 50)

    async def work(service: AsrService) -> None:
        process, most = psutil.Process(), list[int]()

        async def watch() -> None:
            while True:
                most.append(process.memory_info().rss)
                await asyncio.sleep(0.05)

        before = process.memory_info().rss
        watching = asyncio.create_task(watch())
        text = await _hear(service, WHISPER, path)
        watching.cancel()
        assert len(text.split()) == 50 * 60 * 2
        assert stand_in.last.media_type == "audio/ogg"
        assert stand_in.last.size < 12_000_000
        assert stand_in.last.sound_s == pytest.approx(3000, abs=0.1)
        # The stand-in holds the file it is sent, and its answer of 6000 words, in this process.
        assert max(most) - before < 150 << 20

    _run(stand_in, tmp_path, work)
    assert list_uploads(tmp_path) == [path]


def test_a_decoder_that_dies_of_another_file_costs_nothing(stand_in: HearingStandIn, tmp_path: Path) -> None:
    long, clip = _speech(tmp_path / "long.wav", 20), _speech(tmp_path / "clip.wav", 1 / 6)

    async def kill_decoders(times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(0.4)
            for child in psutil.Process().children():
                if "spawn_main" in " ".join(child.cmdline()):
                    os.kill(child.pid, signal.SIGKILL)

    async def work(service: AsrService) -> None:
        await _hear(service, NOVA, clip)
        hearing = asyncio.create_task(_hear(service, NOVA, long))
        await kill_decoders(1)
        assert len((await hearing).split()) == 2400
        hearing = asyncio.create_task(_hear(service, NOVA, long))
        killing = asyncio.create_task(kill_decoders(40))
        with pytest.raises(InvalidAudioError, match="could not be decoded"):
            await hearing
        killing.cancel()
        assert await _hear(service, NOVA, clip)

    _run(stand_in, tmp_path, work)
