"""The part that learns: Whisper in PyTorch, one update of its weights after the other, and checkpoints of them."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import WhisperConfig, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from voice_stack.core.system.device import Device
from voice_stack.core.system.files import sync_folder
from voice_stack.finetune.examples import load_example
from voice_stack.finetune.plan import Mode
from voice_stack.finetune.weights import FloatArrays, Variables, describe_shape, find_token, name_weights

_DROPOUT = 0.05
_WARM_UP = 0.1
"""Of the steps, in which the learning rate rises; after them it falls to nothing along a cosine."""
_MOST_GRADIENT = 1.0
_NO_TARGET = -100
_SEED = 1
_SHARE = 0.75
"""Of what LoRA has learned is added to the base: nearly all of the names are there, and other speech is heard as before
(Wortsman et al. 2021, arXiv:2109.01903)."""
_SAVING_SHARE = 0.05
"""Of the time goes into checkpoints at most."""
_FEWEST_STEPS, _MOST_PASSES, _FEWEST_PASSES, _CLIPS_SEEN = 60, 12, 3, 3600
"""Each clip is shown 12 times where there are 300 or fewer, less often where there are more, 3 times at least."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained.

    Attributes:
        mode: Of the plan.
        steps: Updates of the weights.
        batch: Clips of each.
        learning_rate: The highest.
        rank: Of the matrices of LoRA; 0 in the mode `full`.
        trains_encoder: The encoder learns, too.
    """

    mode: Mode
    steps: int
    batch: int
    learning_rate: float
    rank: int
    trains_encoder: bool


def choose_recipe(mode: Mode, steps: int | None, clips: int, *, trains_encoder: bool) -> Recipe:
    """What is usual for so many clips.

    Learning rates and ranks are those of Hu et al. 2021 (arXiv:2106.09685) for LoRA, and for all weights a twentieth of
    what Radford et al. 2022 (arXiv:2212.04356, appendix F) trained with.
    """
    batch = 16 if trains_encoder else 6
    passes = min(max(_CLIPS_SEEN / clips, _FEWEST_PASSES), _MOST_PASSES)
    steps = steps or max(_FEWEST_STEPS, math.ceil(clips * passes / batch))
    if mode == "full":
        return Recipe(mode, steps, batch, 1e-5 if trains_encoder else 5e-5, 0, trains_encoder)
    return Recipe(mode, steps, batch, 1e-3, 32 if trains_encoder else 8, trains_encoder)


class Learner:
    """A model that is trained.

    Args:
        variables: Weights of the base.
        tokenizer: Of the base.
        recipe: How.
        device: Where.
    """

    def __init__(self, variables: Variables, tokenizer: Tokenizer, recipe: Recipe, device: Device) -> None:
        self._recipe, self._device = recipe, torch.device(str(device))
        torch.manual_seed(_SEED)
        model = _load(variables, tokenizer, recipe)
        if recipe.mode == "lora":
            side = "" if recipe.trains_encoder else "decoder"
            wanted = LoraConfig(
                r=recipe.rank,
                lora_alpha=2 * recipe.rank,
                lora_dropout=_DROPOUT,
                target_modules=rf".*{side}.*\.(q_proj|k_proj|v_proj|out_proj|fc1|fc2)",
            )
            model = get_peft_model(model, wanted)
        elif not recipe.trains_encoder:
            model.model.encoder.requires_grad_(False)
        self._model = model.to(self._device).train()
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        # Small weights may not be pulled to zero: what LoRA adds is small by itself.
        self._optimizer = torch.optim.AdamW(self._trained.values(), lr=recipe.learning_rate, weight_decay=0.0)
        self._done = 0
        self._first_time = find_token(tokenizer, "<|notimestamps|>") + 1

    def train(self, files: Sequence[Path], checkpoint: Path, tell: Callable[[int, float], None]) -> None:
        """Do all steps, from the last checkpoint on if there is one.

        Args:
            files: The examples.
            checkpoint: File that the run goes on from after it was stopped.
            tell: Is told after each step how many are done, and its loss.

        Raises:
            OSError: The disk is full.
        """
        if checkpoint.exists():
            self._restore(checkpoint)
        saved_at, saving_s = time.monotonic(), 0.0
        while self._done < self._recipe.steps:
            loss = self._step(files)
            self._done += 1
            now = time.monotonic()
            if now - saved_at > saving_s / _SAVING_SHARE or self._done == self._recipe.steps:
                self._save(checkpoint)
                saved_at, saving_s = time.monotonic(), time.monotonic() - now
            tell(self._done, loss)
        with torch.no_grad():
            for name, weight in self._trained.items():
                if "lora_B" in name:
                    weight.mul_(_SHARE)

    def _step(self, files: Sequence[Path]) -> float:
        torch.manual_seed(_SEED + self._done)  # a run that goes on draws what it would have drawn
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.learning_rate * find_pace(self._done, self._recipe.steps)
        shown = [
            _Shown(example.sound, *example.tokens(is_timed=is_timed))
            for number, is_timed in choose_clips(self._done, len(files), self._recipe.batch)
            for example in [load_example(files[number])]
        ]
        targets = sum(len(one.tokens) - one.given for one in shown)
        total = 0.0
        # Clips of one width at a time: the decoder would listen to what others are filled up with.
        for _, alike in groupby(sorted(shown, key=_width), key=_width):
            loss = self._loss(list(alike)) / targets
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(self._trained.values(), _MOST_GRADIENT)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return total

    def _loss(self, shown: Sequence["_Shown"]) -> torch.Tensor:
        """Summed over all tokens that are to be found.

        Of those that the base finds by itself, and of times, LoRA is to change little: with the cross-entropy of all
        it would become surer of the few sentences that it is shown, and hear other speech worse.
        """
        longest = max(len(one.tokens) for one in shown)
        given = np.zeros((len(shown), longest - 1), np.int64)
        wanted = np.full((len(shown), longest - 1), _NO_TARGET, np.int64)
        for row, one in enumerate(shown):
            given[row, : len(one.tokens) - 1] = one.tokens[:-1]
            wanted[row, one.given - 1 : len(one.tokens) - 1] = one.tokens[one.given :]
        sound = torch.from_numpy(np.stack([one.sound for one in shown])).to(self._device, torch.float32)
        targets = torch.from_numpy(wanted).to(self._device).flatten()
        decoder_input = torch.from_numpy(given).to(self._device)
        found = self._find(sound, decoder_input)
        losses = functional.cross_entropy(found, targets, ignore_index=_NO_TARGET, reduction="none")
        if self._recipe.mode == "lora":
            with torch.no_grad(), self._model.disable_adapter():
                before = self._find(sound, decoder_input)
            is_known = (before.argmax(-1) == targets) | (targets >= self._first_time)
            losses = torch.where(is_known, (_difference(before, found) + losses) / 2, losses)
        return losses.sum()

    def _find(self, sound: torch.Tensor, decoder_input: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of all tokens, without a limit to their sum, for all places of all clips."""
        if self._recipe.trains_encoder:
            source = {"input_features": sound}
        else:
            source = {"encoder_outputs": BaseModelOutput(last_hidden_state=sound)}
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            logits: torch.Tensor = self._model(**source, decoder_input_ids=decoder_input, use_cache=False).logits
        return logits.float().flatten(0, 1)

    def _save(self, file: Path) -> None:
        draft = file.with_suffix(".new")
        weights = {name: weight.detach() for name, weight in self._trained.items()}
        with draft.open("wb") as opened:
            state = {"done": self._done, "weights": weights, "optimizer": self._optimizer.state_dict()}
            torch.save(state, opened)
        draft.replace(file)
        sync_folder(file.parent)

    def _restore(self, file: Path) -> None:
        state = torch.load(file, map_location=self._device, weights_only=True)
        with torch.no_grad():
            for name, weight in state["weights"].items():
                self._trained[name].copy_(weight)
        self._optimizer.load_state_dict(state["optimizer"])
        self._done = int(state["done"])

    def save_adapter(self, folder: Path) -> None:
        """Keep what LoRA has learned, as peft does."""
        self._model.save_pretrained(folder)

    def weights(self) -> FloatArrays:
        """The weights as `name_weights` has them; nothing can be trained any more."""
        model = self._model.merge_and_unload() if self._recipe.mode == "lora" else self._model
        return {name: weight.float().cpu().numpy() for name, weight in model.state_dict().items()}


@dataclass(frozen=True, slots=True)
class _Shown:
    """A clip in one step: its sound, its tokens, and how many of them are given."""

    sound: NDArray[np.float16]
    tokens: NDArray[np.int64]
    given: int


def _difference(before: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of what is found now from what the base finds, for each place."""
    expected, now = before.log_softmax(-1), found.log_softmax(-1)
    return functional.kl_div(now, expected, log_target=True, reduction="none").sum(-1)


def _width(shown: _Shown) -> int:
    return len(shown.sound)


def choose_clips(step: int, count: int, batch: int) -> list[tuple[int, bool]]:
    """Which clips a step shows, and whether each is shown with times: in one pass it is, in the next it is not.

    A model that is shown no times forgets them. It depends on nothing else, so that a run that goes on does the same.
    """
    chosen = []
    for place in range(step * batch, (step + 1) * batch):
        number_of_pass, n = divmod(place, count)
        order = list(range(count))
        random.Random(_SEED + number_of_pass).shuffle(order)  # noqa: S311 - an order, no secret
        chosen.append((order[n], (order[n] + number_of_pass) % 2 == 0))
    return chosen


def find_pace(step: int, steps: int) -> float:
    """The share of the learning rate that a step has: it rises, then falls along a cosine."""
    rise = max(1, round(_WARM_UP * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _load(variables: Variables, tokenizer: Tokenizer, recipe: Recipe) -> WhisperForConditionalGeneration:
    shape = describe_shape(variables, tokenizer)
    if not recipe.trains_encoder:
        shape["encoder_layers"] = 0  # what they would give is known
    config = WhisperConfig(**shape, apply_spec_augment=recipe.trains_encoder)
    with torch.device("meta"):
        model = WhisperForConditionalGeneration(config)
    known = set(model.state_dict())
    weights = {name: torch.from_numpy(array) for name, array in name_weights(variables).items() if name in known}
    weights["proj_out.weight"] = weights["model.decoder.embed_tokens.weight"]
    model.load_state_dict(weights, assign=True)
    model.tie_weights()
    return model
