"""Nemotron 3 Diarization by the library's own code, on a small model with random weights: all but who really speaks."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pytorch_nemotron.nemotron_weights import SPEAKERS, make_nemotron
from voice_stack.asr.app import create_service
from voice_stack.asr.engine_factory import load_speaker_engine
from voice_stack.asr.request import (
    AudioFile,
    DiarizationRequest,
    EngineOptions,
    KnownVoice,
    SpeakerChoice,
    SpeakersWorkerConfig,
)
from voice_stack.asr.settings import AsrSettings
from voice_stack.asr.speakers.base import Diarized, VoiceTurn
from voice_stack.asr.speakers.naming import tidy_turns
from voice_stack.asr.speakers.nemotron import LEAST_PAUSE_S, LEAST_TURN_S, NemotronEngine
from voice_stack.core.errors import ModelLoadError
from voice_stack.utils.audio.decode import decode_blocks

RATE = 16_000
VOICE = Path("voices", "alder.flac").absolute()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> NemotronEngine:
    return load(make_nemotron(tmp_path_factory.mktemp("nemotron") / "small"))


@pytest.fixture(scope="module")
def talk() -> NDArray[np.float32]:
    """Three voices, one after another."""
    files = (Path("voices", f"{name}.flac") for name in ("alder", "birch", "clover"))
    return np.concatenate([block for file in files for block in decode_blocks(file, sample_rate=RATE)])


def load(folder: Path) -> NemotronEngine:
    """As the server's process does that tells speakers apart."""
    options = EngineOptions(device="cpu", threads=1)
    config = SpeakersWorkerConfig("nemotron", str(folder), folder.parent, True, options, True, 3600.0)
    engine = load_speaker_engine(config)
    assert isinstance(engine, NemotronEngine)
    return engine


def pieces(samples: NDArray[np.float32], size: int) -> Iterator[NDArray[np.float32]]:
    return (samples[at : at + size] for at in range(0, samples.size, size))


def hear(engine: NemotronEngine, samples: NDArray[np.float32], size: int = 10 * RATE) -> Diarized:
    recording = engine.open()
    for piece in pieces(samples, size):
        recording.add(piece)
    recording.add(samples[:0], is_last=True)
    return recording.diarize(SpeakerChoice())


def test_it_gives_turns_in_order_without_flicker(engine: NemotronEngine, talk: NDArray[np.float32]) -> None:
    found = hear(engine, talk)
    assert found.turns
    assert found.voices.shape[0] == 0
    assert not engine.knows_voices
    assert [turn.start_s for turn in found.turns] == sorted(turn.start_s for turn in found.turns)
    for turn in found.turns:
        assert 0 <= turn.start_s < turn.end_s <= talk.size / RATE
        assert turn.end_s - turn.start_s >= LEAST_TURN_S
        assert 0 <= turn.voice < SPEAKERS
    for voice in {turn.voice for turn in found.turns}:
        own = [turn for turn in found.turns if turn.voice == voice]
        gaps = [after.start_s - before.end_s for before, after in pairwise(own)]
        assert all(gap >= LEAST_PAUSE_S for gap in gaps)


def test_how_the_sound_is_cut_changes_nothing(engine: NemotronEngine, talk: NDArray[np.float32]) -> None:
    whole = hear(engine, talk, talk.size)
    assert hear(engine, talk, 5_000).turns == whole.turns
    recording = engine.open()
    recording.add(talk, is_last=True)
    assert recording.diarize(SpeakerChoice(count=2)).turns == whole.turns


def test_it_is_the_models_own_streaming(engine: NemotronEngine, talk: NDArray[np.float32]) -> None:
    """The same turns as those of the library's loop over chunks."""
    p, model, logits, cache, cursor = engine.processor, engine.model, [], None, 0
    while True:
        start = p.audio_chunk_start(cursor) if cursor else 0
        size = p.num_samples_per_audio_chunk if cursor else p.num_samples_first_audio_chunk
        is_last = start + size >= talk.size
        chunk = talk[start:] if is_last else talk[start : start + size]
        flags = {"is_streaming": True, "is_first_audio_chunk": not cursor, "is_last_audio_chunk": is_last}
        with torch.inference_mode():
            inputs = p(chunk, sampling_rate=RATE, return_tensors="pt", **flags)
            output = model(**inputs, speaker_cache=cache)
        logits.append(output.logits)
        cache, cursor = output.speaker_cache, cursor + p.num_mel_frames_per_step
        if is_last:
            break
    entries = p.extract_speaker_dict(torch.cat(logits, 1))[0]
    raw = [VoiceTurn(entry["Start"], entry["End"], entry["Speaker"]) for entry in entries]
    expected = tidy_turns(raw, LEAST_PAUSE_S, LEAST_TURN_S)
    found = hear(engine, talk).turns
    assert len(raw) > len(expected), "it flickers"
    assert [turn.voice for turn in found] == [turn.voice for turn in expected]
    assert np.allclose([turn.start_s for turn in found], [turn.start_s for turn in expected])
    assert np.allclose([turn.end_s for turn in found], [turn.end_s for turn in expected], atol=0.08)


@pytest.mark.parametrize("samples", [0, 1, 160, 4_000, 20_000, 12 * RATE])
def test_nobody_speaks_in_silence(engine: NemotronEngine, samples: int) -> None:
    assert hear(engine, np.zeros(samples, np.float32)).turns == ()


def test_only_who_spoke_is_kept_of_what_was_heard(engine: NemotronEngine, talk: NDArray[np.float32]) -> None:
    recording = engine.open()
    for _ in range(5):
        recording.add(talk)
    kept = recording._rest.nbytes + sum(array.nbytes for array in recording._speaking)  # type: ignore[attr-defined]
    assert recording.diarize(SpeakerChoice()).turns
    assert kept < 0.1 * talk.nbytes


async def test_what_cannot_be_asked_of_it_is_told(engine: NemotronEngine) -> None:
    """The server's own way, in a process of its own."""
    settings = AsrSettings.read(
        engine="fake", speaker_model=str(engine.model_dir), vad_enabled=False, offline=True, device="cpu"
    )
    service = create_service(settings)
    assert not service.can_follow_speakers()
    choice = SpeakerChoice(count=SPEAKERS + 1, known=(KnownVoice("Ada", VOICE),))
    heard = await (await service.diarize(DiarizationRequest(AudioFile(VOICE), choice))).gather()
    await service.pool.close()
    assert heard.turns
    assert {turn.speaker.label.partition("_")[0] for turn in heard.turns} == {"SPEAKER"}
    assert heard.fallbacks == ("speaker-count", "known-speakers")


def test_a_folder_without_a_model_does_not_load(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="does not load"):
        load(tmp_path)
