"""`voice-stack speakers`."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hibari import Hibari

from chaos.live import to_pcm
from cli.commands import assert_one_line, doctor, run
from tts.voices.sounds import BIRCH, CLOVER, music, wav
from voice_stack.asr.models import SPEAKER_CATALOGUE
from voice_stack.core.models.store import ModelStore


def test_people_are_kept_listed_and_forgotten(environment: dict[str, str], tmp_path: Path) -> None:
    assert_one_line(run(environment, "speakers", "list"), "ASR_SPEAKERS_DIR")
    folder = tmp_path / "people"
    environment["ASR_SPEAKERS_DIR"] = str(folder)
    assert run(environment, "speakers", "add", "Anna", str(BIRCH)).returncode == 0
    (folder / "Ben.wav").write_bytes(b"no sound")
    anna, ben = json.loads(run(environment, "speakers", "list", "--json").stdout)
    assert (anna["name"], ben["name"]) == ("Anna", "Ben")
    assert 9 < anna["duration_s"] < 10
    assert "cannot be heard" in ben["problem"]
    assert "another recording" in run(environment, "speakers", "add", "Anna", str(CLOVER)).stdout
    row = doctor(environment)[1]["ASR_SPEAKERS_DIR"]
    assert row["status"] == "OK"
    assert "2 people" in row["detail"]
    assert run(environment, "speakers", "rm", "Anna").returncode == 0
    assert_one_line(run(environment, "speakers", "rm", "Anna"), "'Anna'", "Ben")


def test_a_recording_nobody_is_known_by_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    environment["ASR_SPEAKERS_DIR"] = str(tmp_path / "people")
    (tmp_path / "chords.wav").write_bytes(wav(music(5)))
    assert_one_line(run(environment, "speakers", "add", "Anna", str(tmp_path / "chords.wav")), "no speech")
    assert_one_line(run(environment, "speakers", "add", "../Anna", str(BIRCH)), "'/'")
    assert not (tmp_path / "people").exists()


def test_nobody_is_known_by_two_voices(
    environment: dict[str, str], model_dir: Path, tmp_path: Path, spoken: Callable[[str], bytes]
) -> None:
    ModelStore(SPEAKER_CATALOGUE, model_dir, offline=False).resolve("diarization")
    environment["ASR_SPEAKERS_DIR"] = str(tmp_path / "people")
    joe = np.frombuffer(to_pcm(spoken("Where did you leave the keys of the old car?")), "<i2") / 32768
    heart = np.asarray(Hibari(threads=1)("They are on the kitchen table, next to the bread."))
    (tmp_path / "heart.wav").write_bytes(wav(heart))
    assert run(environment, "speakers", "add", "Anna", str(tmp_path / "heart.wav")).returncode == 0
    (tmp_path / "both.wav").write_bytes(wav(np.concatenate([heart, joe])))
    assert_one_line(run(environment, "speakers", "add", "Ben", str(tmp_path / "both.wav")), "2 people speak")
    assert [path.name for path in (tmp_path / "people").glob("*.wav")] == ["Anna.wav"]
