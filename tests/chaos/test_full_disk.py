"""Disks without room and folders that nobody may write, while clients come and go."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractContextManager

from chaos.dose import Dose
from chaos.footprint import await_idle, measure
from chaos.listening import FAKE_ASR, LISTENING, URL, form
from chaos.load import Fate, Journal, Load
from chaos.speaking import FAKE_TTS, TEXTS, Speaking, ask
from chaos.speaking import URL as SPEECH_URL
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]
ROUNDS = 3
NO_ROOM_S = 2.0
ROOM_S = 1.0
SMALL_BYTES = 100_000
"""Sounds of up to two seconds fit, longer ones do not."""
UNWRITABLE = "/proc/voice-stack"
"""Where not even root can make a folder."""


async def _fill_again_and_again(server: RunningServer, rng: random.Random) -> None:
    for _ in range(ROUNDS):
        with server.file_limit(SMALL_BYTES):
            await asyncio.sleep(NO_ROOM_S * rng.uniform(0.5, 1.5))
        await asyncio.sleep(ROOM_S)


async def _run_while_full(server: RunningServer, load: Load) -> Journal:
    journal = Journal()
    filling = asyncio.create_task(_fill_again_and_again(server, random.Random(1)))
    await load.run(filling.done, journal)
    await filling
    return journal


def test_uploads_without_room_under_load(start_server: StartServer, dose: Dose) -> None:
    with start_server("asr", **FAKE_ASR) as server, server.http() as client:
        client.post(URL, **form(1.0))  # type: ignore[arg-type]
        before = measure(server)
        journal = asyncio.run(_run_while_full(server, Load(server.url, LISTENING, dose.callers, leaving=0.1)))
        print(journal.summary())
        assert journal.count(Fate.WRONG, Fate.LOST, Fate.BROKEN) == 0, journal.notes(Fate.WRONG, Fate.LOST, Fate.BROKEN)
        assert set(journal.statuses()) == {507}, journal.notes(Fate.REFUSED)
        await_idle(server)
        after = measure(server)
        assert (after.processes, after.files) == (before.processes, 0)
        assert after.descriptors <= before.descriptors + 4
        assert client.post(URL, **form(20.0)).status_code == 200  # type: ignore[arg-type]
        assert "Traceback (most" not in server.log.read_text()


def test_speech_without_room_is_right_all_the_same(start_server: StartServer, dose: Dose) -> None:
    with start_server("tts", **FAKE_TTS) as server, server.http() as client:
        speaking = Speaking.learn(client)
        load = Load(server.url, speaking.visits(), dose.callers, leaving=0.1)
        journal = asyncio.run(_run_while_full(server, load))
        print(journal.summary())
        # The cache alone needs the disk: without it everything is spoken anew.
        assert {record.fate for record in journal.records} <= {Fate.RIGHT, Fate.LEFT}, journal.summary()
        await_idle(server)
        assert client.post(SPEECH_URL, json=ask(TEXTS[3])).content == speaking.known[TEXTS[3]]
        assert "Traceback (most" not in server.log.read_text()


def test_folders_that_cannot_be_written(start_server: StartServer) -> None:
    folders = {"TTS_CACHE_DIR": f"{UNWRITABLE}/cache", "TTS_VOICE_DIR": f"{UNWRITABLE}/voices"}
    with start_server("tts", **FAKE_TTS, **folders) as server, server.http() as client:
        speaking = Speaking.learn(client)
        for text in TEXTS:
            assert client.post(SPEECH_URL, json=ask(text)).content == speaking.known[text]
        assert "not cached" in server.log.read_text()
    with start_server("asr", **FAKE_ASR, ASR_JOBS_DIR=f"{UNWRITABLE}/jobs") as server, server.http() as client:
        assert client.post(URL, **form(1.0)).status_code == 200  # type: ignore[arg-type]
        refused = client.post(URL, **form(1.0, background="true"))  # type: ignore[arg-type]
        assert refused.status_code == 500
        assert "ASR_JOBS_DIR" in refused.json()["error"]["message"]
        assert server.count_jobs() == (0, 0)
        server.expect_no_uploads()
