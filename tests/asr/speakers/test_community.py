"""Community-1 on recordings of people: who speaks when, and how many they are."""

from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from benchmarks.diarization import Errors, Turn, compare, read_sample
from numpy.typing import NDArray

from voice_stack.asr.models import SPEAKER_CATALOGUE
from voice_stack.asr.request import EngineOptions, SpeakerChoice
from voice_stack.asr.speakers.base import SAMPLE_RATE, Diarized, Recording
from voice_stack.asr.speakers.community import CommunityEngine
from voice_stack.core.errors import ModelLoadError
from voice_stack.core.models.store import ModelStore
from voice_stack.utils.audio.decode import decode_excerpt

SILENCE = np.zeros(12 * SAMPLE_RATE, np.float32)
NOISE = np.random.default_rng(1).normal(0, 0.05, 12 * SAMPLE_RATE).astype(np.float32)


@pytest.fixture(scope="module")
def engine(model_dir: Path) -> CommunityEngine:
    return CommunityEngine(ModelStore(SPEAKER_CATALOGUE, model_dir, offline=False).resolve("diarization"), OPTIONS)


OPTIONS = EngineOptions(device="cpu")


@pytest.fixture(scope="module")
def telephone(engine: CommunityEngine) -> Recording:
    recording = engine.open()
    recording.add(read_sample()[0], is_last=True)
    return recording


def hear(engine: CommunityEngine, samples: NDArray[np.float32]) -> Diarized:
    recording = engine.open()
    recording.add(samples, is_last=True)
    return recording.diarize(SpeakerChoice())


def test_two_people_on_the_telephone_are_told_apart(telephone: Recording) -> None:
    found = telephone.diarize(SpeakerChoice())
    turns = [Turn(turn.start_s, turn.end_s, str(turn.voice)) for turn in found.turns]
    assert compare(read_sample()[1], turns).percent < 8
    assert np.allclose(np.linalg.norm(found.voices, axis=1), 1)
    assert float(found.voices[0] @ found.voices[1]) < 0.5


@pytest.mark.parametrize("count", [1, 2, 3])
def test_as_many_are_found_as_are_asked_for(telephone: Recording, count: int) -> None:
    assert len(telephone.diarize(SpeakerChoice(count=count)).voices) == count


def test_in_pieces_it_is_heard_as_whole_and_answers_meanwhile(engine: CommunityEngine, telephone: Recording) -> None:
    samples, _ = read_sample()
    recording = engine.open()
    for start in range(0, 30 * SAMPLE_RATE, SAMPLE_RATE):
        recording.add(samples[start : start + SAMPLE_RATE], is_last=start == 29 * SAMPLE_RATE)
        if start == 11 * SAMPLE_RATE:
            early = recording.diarize(SpeakerChoice())
    late = recording.diarize(SpeakerChoice())
    assert 11 < max(turn.end_s for turn in early.turns) <= 12
    assert np.diag(early.voices @ late.voices.T).min() > 0.7  # each keeps their number
    assert late.turns == telephone.diarize(SpeakerChoice()).turns


def test_a_reader_is_one_person(engine: CommunityEngine) -> None:
    assets = Path(str(distribution("moonshine-voice").locate_file("moonshine_voice/assets")))
    found = hear(engine, decode_excerpt(assets / "two_cities.wav", 0.0, 60.0))
    assert len(found.voices) == 1


@pytest.mark.parametrize(
    "samples", [SILENCE, NOISE, SILENCE[:0], SILENCE[:800]], ids=["silence", "noise", "nothing", "a click"]
)
def test_nobody_speaks_where_there_is_no_speech(engine: CommunityEngine, samples: NDArray[np.float32]) -> None:
    found = hear(engine, samples)
    assert not found.turns
    assert len(found.voices) == 0


def test_eight_bits_hear_the_same_voice(engine: CommunityEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, _ = read_sample()
    voices = []
    for flags in ("flags : avx2", "flags : avx2 avx512_vnni"):
        monkeypatch.setattr("voice_stack.asr.speakers.features.cpu_features", lambda flags=flags: flags)
        voices.append(CommunityEngine(engine.model_dir, OPTIONS).voice(samples[22 * SAMPLE_RATE : 27 * SAMPLE_RATE]))
    assert 0.95 < float(voices[0] @ voices[1]) < 0.99999


def test_a_damaged_model_says_so(engine: CommunityEngine, tmp_path: Path) -> None:
    for file in engine.model_dir.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "embedding.ort").write_bytes(b"\0" * 64)
    with pytest.raises(ModelLoadError, match=r"embedding\.ort is no model"):
        CommunityEngine(tmp_path, OPTIONS)


@pytest.mark.parametrize(
    ("found", "errors"),
    [
        ([Turn(0, 10, "x"), Turn(8, 12, "y")], (0, 0, 0, 14)),
        ([Turn(0, 10, "x")], (4, 0, 0, 14)),
        ([Turn(0, 12, "x")], (2, 0, 2, 14)),
        ([Turn(0, 10, "x"), Turn(8, 14, "y"), Turn(13, 14, "z")], (0, 3, 0, 14)),
        ([], (14, 0, 0, 14)),
    ],
)
def test_the_error_is_what_is_worked_out_by_hand(found: list[Turn], errors: tuple[float, ...]) -> None:
    reference = [Turn(0, 10, "a"), Turn(8, 12, "b")]
    assert compare(reference, found) == pytest.approx(Errors(*errors))
