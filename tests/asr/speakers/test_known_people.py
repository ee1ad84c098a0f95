"""People of `ASR_SPEAKERS_DIR` in diarizations: by name in every file, and damage costs one name alone."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asr.speakers.test_workload import hear, talk
from voice_stack.asr.app import create_service
from voice_stack.asr.request import KnownVoice, SpeakerChoice, SpeakersHeard
from voice_stack.asr.service import AsrService
from voice_stack.asr.settings import AsrSettings


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[AsrService]:
    """It knows Anna, of level -0.3."""
    (tmp_path / "people").mkdir()
    talk(tmp_path / "people" / "Anna.wav", (-0.3, 3))
    settings = AsrSettings.read(engine="fake", speaker_model="fake", vad_enabled=False, offline=True)
    service = create_service(settings.model_copy(update={"speakers_dir": tmp_path / "people"}))
    yield service
    await service.pool.close()


def labels(heard: SpeakersHeard) -> list[str]:
    return [turn.speaker.label for turn in heard.turns]


async def test_somebody_known_has_the_name_in_every_file_and_damage_costs_one_name(
    service: AsrService, tmp_path: Path
) -> None:
    one = talk(tmp_path / "one.wav", (0.3, 4), (-0.3, 4))
    other = talk(tmp_path / "other.wav", (-0.3, 4), (0.5, 4))
    assert labels(await hear(service, one, SpeakerChoice())) == ["SPEAKER_00", "Anna"]
    (tmp_path / "people" / "Zoë.wav").write_bytes(b"no sound")
    heard = await hear(service, other, SpeakerChoice())
    assert labels(heard) == ["Anna", "SPEAKER_01"]
    (warning,) = heard.warnings
    assert "Zo" in warning
    assert warning.isascii()
    assert str(tmp_path) not in warning
    talk(tmp_path / "people" / "Ben.wav", (0.5, 3))
    assert labels(await hear(service, other, SpeakerChoice())) == ["Anna", "Ben"], "seen without a restart"
    own = KnownVoice("Anna", talk(tmp_path / "own.wav", (0.3, 3)))
    assert labels(await hear(service, one, SpeakerChoice(known=(own,)))) == ["Anna", "SPEAKER_01"], (
        "the request's counts"
    )


async def test_what_was_made_of_a_recording_outlives_the_process(service: AsrService, tmp_path: Path) -> None:
    file = talk(tmp_path / "one.wav", (0.3, 4), (-0.3, 4))
    await hear(service, file, SpeakerChoice())
    place = tmp_path / "people" / ".voiceprints" / "Anna.json"
    assert place.stat().st_mode & 0o777 == 0o600
    kept = json.loads(place.read_text())
    moved = kept["voice"][-6:] + kept["voice"][:-6]  # as if she spoke at level 0.3
    await service.pool.close()
    for voice, found in ((moved, ["Anna", "SPEAKER_01"]), ([1.0], ["SPEAKER_00", "SPEAKER_01"])):
        place.write_text(json.dumps({**kept, "voice": voice}))
        fresh = create_service(service.settings)
        assert labels(await hear(fresh, file, SpeakerChoice())) == found
        await fresh.pool.close()
