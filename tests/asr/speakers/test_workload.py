"""Diarizations in a process of their own: what is told of a file, known voices, a killed process."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from e2e.sound import wrap_pcm
from running_server import wait_until
from voice_stack.asr.app import create_service
from voice_stack.asr.request import AudioFile, DiarizationRequest, KnownVoice, SpeakerChoice, SpeakersHeard
from voice_stack.asr.service import AsrService
from voice_stack.asr.settings import AsrSettings
from voice_stack.core.errors import ConfigurationError, InvalidRequestError, ModelNotFoundError, UnsupportedValueError

RATE = 16_000


def talk(path: Path, *levels: tuple[float, int]) -> Path:
    """A file in which each speaker is a distance from zero; see `FakeSpeakers`."""
    sound = np.concatenate([np.full(seconds * RATE, level, np.float32) for level, seconds in levels])
    path.write_bytes(wrap_pcm((sound * 32767).astype("<i2").tobytes(), RATE))
    return path


@pytest.fixture
async def service() -> AsyncIterator[AsrService]:
    """Each piece of ten seconds takes a fifth of one."""
    settings = AsrSettings.read(engine="fake", speaker_model="fake+each-sleep=0.2", vad_enabled=False, offline=True)
    service = create_service(settings)
    yield service
    await service.pool.close()


async def hear(service: AsrService, file: Path, choice: SpeakerChoice) -> SpeakersHeard:
    return await (await service.diarize(DiarizationRequest(AudioFile(file), choice))).gather()


async def test_who_speaks_when_in_a_file_and_who_is_known(service: AsrService, tmp_path: Path) -> None:
    file = talk(tmp_path / "talk.wav", (0.3, 4), (0.0, 2), (-0.3, 9), (0.3, 7))
    known = KnownVoice("Ada", talk(tmp_path / "ada.wav", (-0.3, 3))), KnownVoice("Bob", talk(tmp_path / "b", (0.7, 3)))
    heard = await hear(service, file, SpeakerChoice(known=known))
    told = [(turn.start_s, turn.end_s, turn.speaker.label) for turn in heard.turns]
    assert told == [(0, 4, "SPEAKER_00"), (6, 15, "Ada"), (15, 22, "SPEAKER_00")]
    assert heard.total_s == 22
    assert heard.fallbacks == ()
    heard = await hear(service, file, SpeakerChoice(count=3))
    assert heard.fallbacks == ("speaker-count",), "two were found where three were asked for"
    long = KnownVoice("Cid", talk(tmp_path / "cid.wav", (0.3, 31)))
    with pytest.raises(InvalidRequestError, match=r"'Cid'.*30"):
        await hear(service, file, SpeakerChoice(known=(long,)))


async def test_a_killed_process_costs_time_alone(service: AsrService, tmp_path: Path) -> None:
    file = talk(tmp_path / "talk.wav", (0.3, 30), (-0.3, 30), (0.3, 30))
    diarization = await service.diarize(DiarizationRequest(AudioFile(file)))
    waiting = asyncio.create_task(diarization.gather())
    await asyncio.to_thread(wait_until, lambda: diarization.heard.heard_s >= 20, 20, "a part is heard")
    (engine,) = service.pool.status()
    os.kill(int(str(engine["pid"])), signal.SIGKILL)
    heard = await waiting
    assert [(turn.start_s, turn.end_s) for turn in heard.turns] == [(0, 30), (30, 60), (60, 90)]
    assert diarization.handle.job.attempt == 1


async def test_what_is_not_there_says_what_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = talk(tmp_path / "talk.wav", (0.3, 1))
    monkeypatch.setitem(sys.modules, "moonshine_voice", None)  # as if it were not installed
    absent = create_service(AsrSettings.read(engine="fake", model_dir=tmp_path, offline=True))
    with pytest.raises(ModelNotFoundError, match="voice-stack models pull diarization"):
        await hear(absent, file, SpeakerChoice())
    with pytest.raises(UnsupportedValueError, match="ASR_SPEAKER_MODEL=off"):
        await hear(create_service(AsrSettings.read(engine="fake", speaker_model="off")), file, SpeakerChoice())
    with pytest.raises(ConfigurationError, match=r"'community-2'.*community-1, nvidia/Nemotron"):
        create_service(AsrSettings.read(engine="fake", speaker_model="community-2"))
