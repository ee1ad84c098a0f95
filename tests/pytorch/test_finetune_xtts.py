"""XTTS learns a person's speech by coqui's own trainer, on a checkpoint of random weights: everything but the sound."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from TTS.tts.layers.xtts.dvae import DiscreteVAE

from piper_speech import speak_wav
from pytorch.xtts_weights import CODES
from voice_stack.cli.finetune import finetune
from voice_stack.core.errors import ConfigurationError, EngineError, InvalidRequestError, UnsupportedValueError
from voice_stack.core.models.store import ModelStore
from voice_stack.finetune.clips import Clip
from voice_stack.finetune.plan import Progress, XttsPlan
from voice_stack.finetune.xtts import XttsResult, train_xtts
from voice_stack.tts.engine.base import EngineVoice, VoiceOptions
from voice_stack.tts.engine.coqui import XttsEngine
from voice_stack.tts.engine.xtts_model import load_model
from voice_stack.tts.models import TTS_CATALOGUE

TEXTS = (
    "The train to the coast leaves at nine.",
    "Please do not be late.",
    "Bring the big umbrella.",
    "It may rain in the evening.",
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("clips")
    for number, text in enumerate(TEXTS):
        (folder / f"{number}.wav").write_bytes(speak_wav(text))
    return [Clip(folder / f"{number}.wav", 0.0, None, text) for number, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def training_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoder of clips, with random weights, and a scale of spectra."""
    folder = tmp_path_factory.mktemp("training")
    torch.manual_seed(0)
    encoder = DiscreteVAE(
        channels=80,
        normalization=None,
        positional_dims=1,
        num_tokens=CODES,
        codebook_dim=512,
        hidden_dim=512,
        num_resnet_blocks=3,
        kernel_size=3,
        num_layers=2,
        use_transposed_convs=False,
    )
    torch.save(encoder.state_dict(), folder / "dvae.pth")
    torch.save(torch.ones(80), folder / "mel_stats.pth")
    return folder


def make_plan(
    run_dir: Path, base_dir: Path, training_dir: Path, clips: list[Clip], *, epochs: int = 1, language: str = "en"
) -> XttsPlan:
    run_dir.mkdir(exist_ok=True)
    return XttsPlan(run_dir, base_dir, training_dir, clips[1:], clips[:1], "anna", language, epochs, "cpu")


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, xtts_checkpoint: Path, training_dir: Path, clips: list[Clip]
) -> tuple[XttsResult, list[Progress]]:
    """A run with a clip that cannot be used; it breaks off in its second epoch and is gone on with."""
    told: list[Progress] = []
    clips = [*clips, Clip(clips[0].path, 0.0, 0.3, "The train.")]
    plan = make_plan(tmp_path_factory.mktemp("run"), xtts_checkpoint, training_dir, clips, epochs=3)

    def break_off(progress: Progress) -> None:
        if progress.stage == "train" and progress.done == 2:
            raise RuntimeError("the power is gone")

    with pytest.raises(EngineError, match=r"training\.log says why"):
        train_xtts(plan, break_off)
    return train_xtts(plan, told.append), told


def test_the_tuned_checkpoint_speaks_as_the_new_speaker(run: tuple[XttsResult, list[Progress]]) -> None:
    engine = XttsEngine(run[0].model_dir, device="cpu", threads=1)

    spoken = list(engine.synthesize(TEXTS[1], VoiceOptions(EngineVoice("anna", options=(("max_retries", 0),)), "en")))

    assert np.concatenate([part.samples for part in spoken]).size > 0
    with pytest.raises(UnsupportedValueError, match="anna"):
        list(engine.synthesize(TEXTS[1], VoiceOptions(EngineVoice("Damien Black"), "en")))


def test_it_has_learned_and_says_how_much(run: tuple[XttsResult, list[Progress]], xtts_checkpoint: Path) -> None:
    result = run[0]
    before, after = (
        torch.load(d / "model.pth", weights_only=True)["model"] for d in (xtts_checkpoint, result.model_dir)
    )

    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before if key.startswith("gpt."))
    assert (result.refusal is None) == (result.loss_after < result.loss_before)


def test_a_run_goes_on_where_it_ended(run: tuple[XttsResult, list[Progress]]) -> None:
    steps = [progress.done for progress in run[1] if progress.stage == "train"]

    assert min(steps) > 1  # the first one was made before
    assert max(steps) == 3


def test_what_the_trainer_would_replace_in_silence_is_left_out_and_told(run: tuple[XttsResult, list[Progress]]) -> None:
    (left_out,) = run[0].left_out

    assert "0.3 s long: 0.5 to 2.1 s can be" in left_out.reason


@pytest.mark.parametrize(
    ("missing", "language", "usable", "error", "message"),
    [
        ("dvae.pth", "en", 3, ConfigurationError, "hf download coqui/XTTS-v2 dvae.pth"),
        ("", "sw", 3, UnsupportedValueError, "'sw' is not one of"),
        ("", "en", 1, InvalidRequestError, "1 clips to train on and 1 to measure with are not enough"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    tmp_path: Path,
    xtts_checkpoint: Path,
    training_dir: Path,
    clips: list[Clip],
    missing: str,
    language: str,
    usable: int,
    error: type[Exception],
    message: str,
) -> None:
    files = tmp_path / "training"
    files.mkdir()
    for file in training_dir.iterdir():
        if file.name != missing:
            (files / file.name).symlink_to(file)

    with pytest.raises(error, match=message):
        train_xtts(
            make_plan(tmp_path / "run", xtts_checkpoint, files, clips[: 1 + usable], language=language), lambda _: None
        )


def test_the_command_registers_what_a_server_then_speaks_with(
    tmp_path: Path, xtts_checkpoint: Path, training_dir: Path, clips: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    for clip in clips:
        (tmp_path / "data").mkdir(exist_ok=True)
        shutil.copy(clip.path, tmp_path / "data")
        (tmp_path / "data" / f"{clip.path.stem}.txt").write_text(clip.text)
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("TTS_ACCEPT_CPML", "true")
    files = ["--base", str(xtts_checkpoint), "--training-files", str(training_dir), "--data", str(tmp_path / "data")]
    how = ["--device", "cpu", "--epochs", "1", "--force", "--consent", "Anna agreed."]

    trained = CliRunner().invoke(finetune, ["tts", "--name", "anna", *files, *how, "--json"])

    assert trained.exit_code == 0, trained.output
    record = json.loads(trained.stdout)
    assert (record["consent"], record["base"]) == ("Anna agreed.", xtts_checkpoint.name)
    assert record["scores"].keys() == {"loss_before", "loss_after"}
    store = ModelStore(TTS_CATALOGUE, tmp_path / "models", offline=True)
    assert list(load_model(store.resolve("anna"), "cpu").speakers()) == ["anna"]
