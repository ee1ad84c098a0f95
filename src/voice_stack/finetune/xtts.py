"""XTTS-v2 learns a person's manner of speaking, by coqui's own trainer; the result is a checkpoint with that speaker.

The recipe is coqui's: the GPT alone learns, from codes that its frozen encoder (dvae.pth) makes of the clips.
"""

import json
import logging
import shutil
import time
import wave
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from trainer import Trainer, TrainerArgs
from TTS.tts.configs.xtts_config import XttsAudioConfig, XttsConfig
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
from TTS.tts.layers.xtts.trainer import dataset
from TTS.tts.layers.xtts.trainer.gpt_trainer import GPTArgs, GPTTrainer, GPTTrainerConfig

from voice_stack.core.errors import ConfigurationError, EngineError, InvalidRequestError, UnsupportedValueError
from voice_stack.core.system.device import choose_device
from voice_stack.core.system.files import write_whole
from voice_stack.finetune.clips import Clip, read_sounds
from voice_stack.finetune.folders import LeftOut
from voice_stack.finetune.plan import Progress, XttsPlan
from voice_stack.tts.engine.xtts_input import MODEL_CODES
from voice_stack.tts.engine.xtts_model import CLONE_RATE, load_model
from voice_stack.utils.audio.pcm import Samples, to_int16

MODEL_FILES = ("config.json", "model.pth", "vocab.json")
TRAINING_FILES = ("dvae.pth", "mel_stats.pth")
"""What only training needs: the encoder of clips, and the scale of its spectra. The hub has them beside the model."""
MIN_CLIP_S, MAX_CLIP_S = 0.5, 11.6
"""What the trainer takes; its own answer to other clips is to take another one in silence."""
MAX_TEXT_TOKENS = 200
BATCH, BATCHES_TOGETHER = 3, 84
"""Coqui's recipe: 252 clips in one step of the optimiser, three of them in the memory of the GPU at a time."""
CHECKPOINTS = "checkpoints"
REFERENCE_CLIPS = 4
"""So many of the longest clips are what the voice is taken from."""


@dataclass(frozen=True, slots=True)
class XttsResult:
    """What came of a run.

    Attributes:
        model_dir: The tuned checkpoint, complete, with the new speaker first.
        loss_before: Of the base on the held-out clips.
        loss_after: Of the tuned model on them.
        left_out: Clips that the trainer cannot take.
        refusal: Why the model is not to be used, a sentence; None: it got better.
        settings: What it was trained with, for the record.
    """

    model_dir: Path
    loss_before: float
    loss_after: float
    left_out: tuple[LeftOut, ...]
    refusal: str | None
    settings: dict[str, str | int | float]


def train_xtts(plan: XttsPlan, tell: Callable[[Progress], None]) -> XttsResult:
    """Train, keep the state with the least loss on the held-out clips, and write it as a checkpoint.

    Where the run was interrupted it goes on from its last checkpoint.

    Raises:
        ConfigurationError: There is no GPU, or a file is missing.
        InvalidRequestError: Too few clips can be used.
        UnsupportedValueError: The model does not speak the language.
        EngineError: The trainer failed; its log is in the run's folder.
    """
    check_device(plan.device)
    for folder, names in ((plan.base_dir, MODEL_FILES), (plan.training_dir, TRAINING_FILES)):
        _require_files(folder, names)
    base = XttsConfig()
    base.load_json(str(plan.base_dir / "config.json"))
    code = MODEL_CODES.get(plan.language, plan.language)
    if code not in base.languages:
        raise UnsupportedValueError(f"language {plan.language!r} is not one of {', '.join(base.languages)}")
    clips = _Clips(plan, base, code)
    train, held_out = clips.cut(plan.train, "train", tell), clips.cut(plan.held_out, "held-out", tell)
    if len(train) < 2 or not held_out:
        reasons = "".join(f"; {one.place}: {one.reason}" for one in clips.left_out[:3])
        message = f"{len(train)} clips to train on and {len(held_out)} to measure with are not enough: 2 and 1 at least"
        raise InvalidRequestError(f"{message}{reasons}")
    trainer, losses = _train(plan, base, train, held_out, tell)
    model_dir = _export(plan, trainer, train)
    before, after = losses[0], min(losses[1:], default=losses[0])
    refusal = None
    if not after < before:
        refusal = f"The loss on the held-out clips did not fall: {before:.3f} before, {after:.3f} after."
    settings: dict[str, str | int | float] = {
        "epochs": plan.epochs,
        "learning_rate": trainer.config.lr,
        "clips_a_step": BATCH * trainer.grad_accum_steps,
        "language": plan.language,
    }
    return XttsResult(model_dir, before, after, tuple(clips.left_out), refusal, settings)


def check_device(device: str) -> None:
    """Do nothing if it can be trained there.

    Raises:
        ConfigurationError: It cannot.
    """
    has_gpu = torch.cuda.is_available()
    if device == "cpu" and has_gpu:
        raise ConfigurationError("device cpu: the trainer takes every GPU it sees; hide them: CUDA_VISIBLE_DEVICES=''")
    if device == "auto" and not has_gpu:
        raise ConfigurationError(
            "there is no GPU: XTTS learns on one with 12 GB in an hour, and on a CPU in weeks; --device cpu tries it"
        )
    choose_device(device, torch.cuda.device_count())


def _require_files(folder: Path, names: Sequence[str]) -> None:
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ConfigurationError(
            f"{' and '.join(missing)}: not in {folder}. Fetch them: "
            f"hf download coqui/XTTS-v2 {' '.join(missing)} --local-dir {folder}"
        )


class _Clips:
    """Clips as the trainer reads them: WAV files of 22,050 Hz in the run's folder."""

    def __init__(self, plan: XttsPlan, base: XttsConfig, code: str) -> None:
        self._folder, self._code, self._name = plan.run_dir / "clips", code, plan.name
        self._tokenizer = VoiceBpeTokenizer(str(plan.base_dir / "vocab.json"))
        # Of the real model 28 s; the last token stands for the end.
        longest_s = (base.model_args.gpt_max_audio_tokens - 1) * base.model_args.gpt_code_stride_len / CLONE_RATE
        self._max_s = min(MAX_CLIP_S, longest_s)
        self.left_out: list[LeftOut] = []

    def cut(self, clips: Sequence[Clip], part: str, tell: Callable[[Progress], None]) -> list[dict[str, str]]:
        """Write the clips that can be used; returns the trainer's records of them."""
        folder = self._folder / part
        folder.mkdir(parents=True, exist_ok=True)
        records = []
        for number, (clip, samples) in enumerate(read_sounds(clips, CLONE_RATE), 1):
            reason = self._problem(clip, samples)
            if reason is None:
                path = folder / f"{number:06}.wav"
                _write_wav(path, samples)
                records.append(self._record(path, clip))
            else:
                self.left_out.append(LeftOut(clip.place, reason))
            tell(Progress("cut", number, len(clips)))
        return records

    def _record(self, path: Path, clip: Clip) -> dict[str, str]:
        return {
            "text": clip.text,
            "audio_file": str(path),
            "audio_unique_name": path.stem,
            "root_path": str(self._folder),
            "speaker_name": self._name,
            "language": self._code,
        }

    def _problem(self, clip: Clip, samples: Samples) -> str | None:
        duration_s = samples.size / CLONE_RATE
        if not MIN_CLIP_S <= duration_s <= self._max_s:
            return f"{duration_s:.1f} s long: {MIN_CLIP_S:g} to {self._max_s:.1f} s can be"
        tokens = self._tokenizer.encode(clip.text, self._code)
        if not 0 < len(tokens) <= MAX_TEXT_TOKENS:
            return f"its text has {len(tokens)} tokens: 1 to {MAX_TEXT_TOKENS} can be"
        if 0 in tokens or 1 in tokens:
            return "its text has characters that the model does not know"
        return None


def _write_wav(path: Path, samples: Samples) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(CLONE_RATE)
        file.writeframes(to_int16(samples).tobytes())


def _read_wav(path: str, _sample_rate: int) -> torch.Tensor:
    with wave.open(path) as file:
        content = file.readframes(file.getnframes())
    return torch.from_numpy(np.frombuffer(content, np.int16).astype(np.float32) / 32768)[None]


class _Losses:
    """On the held-out clips: of the base, and after each epoch; kept on the disk for a run that goes on later."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.values: list[float] = json.loads(path.read_bytes()) if path.is_file() else []

    def add(self, loss: float) -> None:
        self.values.append(loss)
        write_whole(self._path, json.dumps(self.values).encode())


def _find_interrupted(run_dir: Path) -> str:
    """The trainer's folder with the newest checkpoint; empty where it has not got so far."""
    checkpoints = sorted((run_dir / CHECKPOINTS).glob("*/*.pth"), key=lambda path: path.stat().st_mtime)
    return str(checkpoints[-1].parent) if checkpoints else ""


def _train(
    plan: XttsPlan,
    base: XttsConfig,
    train: list[dict[str, str]],
    held_out: list[dict[str, str]],
    tell: Callable[[Progress], None],
) -> tuple[Trainer, list[float]]:
    """Run the trainer; returns it with the losses on the held-out clips: of the base, and after each epoch."""
    # The library reads through torchaudio, which needs FFmpeg installed; these files were written above.
    dataset.load_audio = _read_wav
    log, losses = plan.run_dir / "training.log", _Losses(plan.run_dir / "losses.json")
    batches = -(-len(train) // BATCH)
    began = time.monotonic()
    arguments = TrainerArgs(
        continue_path=_find_interrupted(plan.run_dir),
        start_with_eval=not losses.values,
        grad_accum_steps=min(BATCHES_TOGETHER, batches),
    )

    def note_step(trainer: Trainer) -> None:
        done, total = min(trainer.total_steps_done, plan.epochs * batches), plan.epochs * batches
        eta_s = (time.monotonic() - began) / max(1, done) * (total - done)
        tell(Progress("train", done, total, eta_s, float(trainer.keep_avg_train["avg_loss"])))

    with log.open("a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        # The library logs to standard error as it was when it was imported.
        logging.getLogger("trainer").handlers[:] = [logging.StreamHandler(file)]
        config = _configure(plan, base)
        trainer = Trainer(
            arguments,
            config,
            output_path=str(plan.run_dir / CHECKPOINTS),
            model=GPTTrainer(config),
            train_samples=train,
            eval_samples=held_out,
            callbacks={
                "on_train_step_end": note_step,
                "on_epoch_end": lambda trainer: losses.add(float(trainer.keep_avg_eval["avg_loss"])),
            },
        )
        try:
            trainer.fit()
        except SystemExit as error:
            raise EngineError(f"The trainer failed; {log} says why.") from error
    return trainer, losses.values


def _configure(plan: XttsPlan, base: XttsConfig) -> GPTTrainerConfig:
    shape: Mapping[str, object] = {
        field.name: getattr(base.model_args, field.name) for field in fields(base.model_args)
    }
    files = {
        "tokenizer_file": plan.base_dir / "vocab.json",
        "xtts_checkpoint": plan.base_dir / "model.pth",
        "dvae_checkpoint": plan.training_dir / "dvae.pth",
        "mel_norm_file": plan.training_dir / "mel_stats.pth",
    }
    arguments = GPTArgs(**{**shape, **{name: str(path) for name, path in files.items()}})
    arguments.max_wav_length, arguments.max_text_length = round(MAX_CLIP_S * CLONE_RATE), MAX_TEXT_TOKENS
    return GPTTrainerConfig(
        epochs=plan.epochs + 1,  # the first one only measures the base
        output_path=str(plan.run_dir / "checkpoints"),
        run_name=plan.name,
        model_args=arguments,
        audio=XttsAudioConfig(
            sample_rate=CLONE_RATE, dvae_sample_rate=CLONE_RATE, output_sample_rate=base.audio.output_sample_rate
        ),
        languages=base.languages,
        batch_size=BATCH,
        eval_batch_size=BATCH,
        num_loader_workers=0,
        num_eval_loader_workers=0,
        save_step=1000,
        save_n_checkpoints=1,
        optimizer="AdamW",
        optimizer_wd_only_on_weights=True,
        optimizer_params={"betas": [0.9, 0.96], "eps": 1e-8, "weight_decay": 1e-2},
        lr=5e-6,
        lr_scheduler="MultiStepLR",
        lr_scheduler_params={"milestones": [900_000, 2_700_000, 5_400_000], "gamma": 0.5, "last_epoch": -1},
        test_sentences=[],
    )


def _export(plan: XttsPlan, trainer: Trainer, train: list[dict[str, str]]) -> Path:
    """Write the best state as a checkpoint whose only speaker is the new one.

    The base's own speakers are left out: what they are made of was computed by an encoder that has learned meanwhile.
    """
    model_dir = plan.run_dir / "model"
    model_dir.mkdir(exist_ok=True)
    best = torch.load(Path(trainer.output_path) / "best_model.pth", map_location="cpu", weights_only=True)
    own = "xtts."
    state = {key.removeprefix(own): value for key, value in best["model"].items() if key.startswith(own)}
    torch.save({"model": state}, model_dir / "model.pth")
    for name in ("config.json", "vocab.json"):
        shutil.copyfile(plan.base_dir / name, model_dir / name)
    clips = sorted((Path(record["audio_file"]) for record in train), key=lambda path: path.stat().st_size)
    latents = load_model(model_dir, "cpu").clone(tuple(clips[-REFERENCE_CLIPS:]))
    torch.save({plan.name: latents}, model_dir / "speakers_xtts.pth")
    return model_dir
