"""A run: from a plan to a model that hears better, or is refused.

On a CPU only the decoder learns, from what the encoder has made of each clip once: a step takes a seventh of the time,
and names and words need no more. On a GPU the encoder learns, too.
"""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from faster_whisper.feature_extractor import FeatureExtractor
from tokenizers import Tokenizer

from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine
from voice_stack.asr.request import EngineOptions
from voice_stack.core.errors import ConfigurationError, StorageFullError
from voice_stack.core.system.cpus import available_cpus
from voice_stack.core.system.device import choose_device
from voice_stack.core.system.files import is_full
from voice_stack.finetune.clips import MAX_CLIP_S, Clip, read_sounds
from voice_stack.finetune.examples import Preparation, Spelling
from voice_stack.finetune.plan import AsrPlan, Progress, RunResult, Stage
from voice_stack.finetune.scoring import (
    Heard,
    choose_normaliser,
    find_refusal,
    find_worst,
    hear,
    score,
    score_terms,
)
from voice_stack.finetune.weights import describe_shape, read_variables, replace_weights, write_model
from voice_stack.utils.audio.vad import SAMPLE_RATE

if TYPE_CHECKING:
    from voice_stack.finetune.learner import Recipe

_ASKED = 5
"""Clips that are listened to for the language."""


def train_asr(plan: AsrPlan, tell: Callable[[Progress], None]) -> RunResult:
    """Train a model, and hear what became of it.

    A run that was stopped, by Ctrl-C or any other way, goes on where it was: the same plan is given again, as
    `load_plan` has it. PyTorch is loaded.

    Args:
        plan: What to train.
        tell: Is told how far the run is.

    Raises:
        ConfigurationError: There is nothing to learn from or to measure with, the base does not know the language,
            there is no such device, or the folder is another run's.
        ModelLoadError: The base is no Whisper model in CTranslate2's format.
        EngineError: The model failed.
        InvalidAudioError: A file holds no sound that can be decoded.
        StorageFullError: The disk is full; the run can go on when there is room.
        OSError: A file cannot be read or written.
    """
    if not plan.train or not plan.held_out:
        raise ConfigurationError(
            f"{len(plan.train)} clips to learn from and {len(plan.held_out)} to measure with: one of each is needed."
        )
    try:
        plan.save()
        return _Run(plan, tell).result()
    except OSError as error:
        if not is_full(error):
            raise
        raise StorageFullError(f"The disk has no room for {plan.run_dir}; with more, the run can go on.") from None


class _Run:
    def __init__(self, plan: AsrPlan, tell: Callable[[Progress], None]) -> None:
        self._plan, self._tell = plan, tell
        self._began_at = time.monotonic()
        self._scoring_s = 0.0
        """How long the base has taken to hear all clips, which the tuned model will take as well."""

    def result(self) -> RunResult:
        plan, model_dir, adapter_dir = self._plan, self._plan.run_dir / "model", self._plan.run_dir / "adapter"
        engine = _open(plan.base_dir, plan.device)
        language = _choose_language(engine, plan)
        before, general_before = self._hear(engine, language, "score before")
        examples, recipe = self._prepare(engine, language)
        del engine  # its memory is wanted
        self._learn(list(examples.values()), recipe, model_dir, adapter_dir)
        after, general_after = self._hear(_open(model_dir, plan.device), language, "score after")
        normalise = choose_normaliser(language)
        scores = score(before, normalise), score(after, normalise)
        general = [score(heard, normalise) if heard else None for heard in (general_before, general_after)]
        return RunResult(
            model_dir=model_dir,
            adapter_dir=adapter_dir if recipe.rank else None,
            before=scores[0],
            after=scores[1],
            general_before=general[0],
            general_after=general[1],
            terms=score_terms(plan.terms, before, after, normalise),
            worst=find_worst(before, after, normalise),
            left_out=tuple(clip.place for clip in plan.train if clip not in examples),
            refusal=find_refusal(*scores, *general),
            language=language,
            settings=asdict(recipe),
            duration_s=time.monotonic() - self._began_at,
        )

    def _hear(self, engine: FasterWhisperEngine, language: str, stage: Stage) -> tuple[Heard, Heard]:
        """What a model hears in the held-out clips and in the general ones."""
        began_at, first = time.monotonic(), len(self._plan.held_out)
        tell = self._teller(stage, first + len(self._plan.general))
        held_out = hear(engine, self._plan.held_out, language, tell)
        general = hear(engine, self._plan.general, language, lambda done: tell(first + done))
        self._scoring_s = time.monotonic() - began_at
        return held_out, general

    def _prepare(self, engine: FasterWhisperEngine, language: str) -> tuple[dict[Clip, Path], "Recipe"]:
        """The examples that the model learns from, and how."""
        import torch

        from voice_stack.finetune.learner import choose_recipe

        plan, base = self._plan, self._plan.base_dir
        trains_encoder = choose_device(plan.device, torch.cuda.device_count()).kind == "cuda"
        shape = describe_shape(read_variables(base), tokenizer := _read_tokenizer(base))
        preparation = Preparation(
            engine,
            Spelling(tokenizer, language if engine.capabilities.language_detection else None),
            language,
            FeatureExtractor(feature_size=shape["num_mel_bins"]) if trains_encoder else None,
            shape["max_target_positions"],
        )
        tell = self._teller("encode", len(plan.train))
        examples = preparation.prepare(plan.train, plan.run_dir / "examples", tell)
        if not examples:
            raise ConfigurationError("No clip can be learned from: each holds no sound, or more than fits in 30 s.")
        return examples, choose_recipe(plan.mode, plan.steps, len(examples), trains_encoder=trains_encoder)

    def _learn(self, examples: list[Path], recipe: "Recipe", model_dir: Path, adapter_dir: Path) -> None:
        """Train, and write the tuned model; nothing is left to do where that is there."""
        import torch

        from voice_stack.finetune.learner import Learner

        if model_dir.exists():
            return
        plan, variables = self._plan, read_variables(self._plan.base_dir)
        device = choose_device(plan.device, torch.cuda.device_count())
        learner = Learner(variables, _read_tokenizer(plan.base_dir), recipe, device)
        learner.train(examples, plan.run_dir / "checkpoint.pt", self._teller("train", recipe.steps))
        tell = self._teller("export", 1)
        if recipe.rank:
            learner.save_adapter(adapter_dir)
        draft = model_dir.with_suffix(".new")
        write_model(plan.base_dir, replace_weights(variables, learner.weights()), draft)
        draft.replace(model_dir)
        tell(1)

    def _teller(self, stage: Stage, total: int) -> "_Teller":
        """What is told of a stage; while the model learns, and after, it is known what is left."""
        later_s = {"train": self._scoring_s, "export": self._scoring_s, "score after": 0.0}.get(stage)
        return _Teller(self._tell, stage, total, later_s)


class _Teller:
    """Tells how far a stage is, and how long it and what follows take."""

    def __init__(self, tell: Callable[[Progress], None], stage: Stage, total: int, later_s: float | None) -> None:
        self._tell, self._stage, self._total, self._later_s = tell, stage, total, later_s
        self._began_at, self._first = time.monotonic(), 0
        tell(Progress(stage, 0, total))

    def __call__(self, done: int, loss: float | None = None) -> None:
        """So many are done; a run that goes on may begin with more than one."""
        self._first = self._first or done - 1
        per_one_s = (time.monotonic() - self._began_at) / max(1, done - self._first)
        eta_s = None if self._later_s is None else per_one_s * (self._total - done) + self._later_s
        self._tell(Progress(self._stage, done, self._total, eta_s, loss))


def _open(model_dir: Path, device: str) -> FasterWhisperEngine:
    """The engine as it serves a crowd: each thread has a clip of its own, and does not wait for the others."""
    try:
        return FasterWhisperEngine(model_dir, EngineOptions(device=device, threads=available_cpus(), is_for_crowd=True))
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _read_tokenizer(model_dir: Path) -> Tokenizer:
    return Tokenizer.from_file(str(model_dir / "tokenizer.json"))


def _choose_language(engine: FasterWhisperEngine, plan: AsrPlan) -> str:
    """The language of the plan, or what most of the first clips are heard to be in."""
    known = engine.capabilities.languages
    if plan.language is not None or len(known) == 1:
        language = plan.language or known[0]
        if language not in known:
            raise ConfigurationError(f"The base does not know language {language!r}; it knows {', '.join(known)}.")
        return language
    votes = dict.fromkeys(known, 0.0)
    for _, sound in read_sounds(plan.train[:_ASKED]):
        if 0 < sound.size <= MAX_CLIP_S * SAMPLE_RATE:
            for code, probability in engine.detect_language(sound).items():
                votes[code] += probability
    return max(votes, key=lambda code: votes[code])
