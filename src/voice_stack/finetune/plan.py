"""What a run of training is given, tells while it works, and gives back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from voice_stack.core.errors import ConfigurationError, tell_problem
from voice_stack.core.system.files import write_whole
from voice_stack.finetune.clips import Clip

Mode = Literal["lora", "full"]
Stage = Literal["score before", "cut", "encode", "train", "export", "score after"]
"""The parts of a run, in order."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Of any run.

    Attributes:
        run_dir: Of this run alone: checkpoints and results. It is made if it is not there.
    """

    run_dir: Path

    def save(self) -> None:
        """Keep it in its run's folder, for `load_plan`.

        Raises:
            ConfigurationError: The folder is that of another run.
            OSError: The disk is full, or the folder cannot be written.
        """
        file, content = self.run_dir / PLAN_FILE, TypeAdapter(type(self)).dump_json(self, indent=1)
        if file.exists() and file.read_bytes() != content:
            raise ConfigurationError(f"{self.run_dir} is the folder of another run.")
        self.run_dir.mkdir(parents=True, exist_ok=True)
        write_whole(file, content)


@dataclass(frozen=True, slots=True)
class AsrPlan(Plan):
    """What to train, on what, and where to.

    Attributes:
        base_dir: A Whisper model in CTranslate2's format; it is only read.
        train: Clips that the model learns from, at most 30 s each.
        held_out: Clips of the same kind that it does not see; the score is theirs.
        general: Other speech, which it must hear no worse; empty: that is not measured.
        mode: `lora` trains a few matrices beside the model's own, `full` the model's own.
        steps: Updates of the weights; None: as many as the clips need.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        terms: Words that are counted one by one, as product names.
        language: Code of what is spoken; None: the only one of the base, or what it hears in the clips.
    """

    base_dir: Path
    train: Sequence[Clip]
    held_out: Sequence[Clip]
    general: Sequence[Clip]
    mode: Mode
    steps: int | None
    device: str
    terms: Sequence[str]
    language: str | None = None


@dataclass(frozen=True, slots=True)
class XttsPlan(Plan):
    """What an XTTS checkpoint is to learn, and from what.

    Attributes:
        base_dir: The checkpoint; it is only read.
        training_dir: Has `dvae.pth` and `mel_stats.pth`.
        train: Clips that the model learns from.
        held_out: Clips that it does not see; the loss is theirs.
        name: Of the new speaker.
        language: Code of what is spoken.
        epochs: How often each clip is seen.
        device: `auto`: a GPU, and an error without one; `cpu` for a try.
    """

    base_dir: Path
    training_dir: Path
    train: Sequence[Clip]
    held_out: Sequence[Clip]
    name: str
    language: str
    epochs: int
    device: str


P = TypeVar("P", AsrPlan, XttsPlan)
PLAN_FILE = "plan.json"


def load_plan(run_dir: Path, kind: type[P]) -> P:
    """The plan of a run that was begun; training goes on with it from the last checkpoint.

    Raises:
        ConfigurationError: There is no such run, its plan is damaged, or of another kind.
    """
    try:
        return TypeAdapter(kind).validate_json((run_dir / PLAN_FILE).read_bytes())
    except FileNotFoundError:
        raise ConfigurationError(f"{run_dir} holds no run that was begun: {PLAN_FILE} is not there.") from None
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "all of it"
        raise ConfigurationError(f"{run_dir / PLAN_FILE} is damaged at {place}: {tell_problem(problem)}.") from None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        stage: What it does now.
        done: Of `total`, in clips or steps.
        total: What this stage has to do.
        eta_s: Seconds until the whole run is over; None while that is not known.
        loss: Of the last step, while it trains.
    """

    stage: Stage
    done: int
    total: int
    eta_s: float | None = None
    loss: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Errors of a model on a set of clips.

    Attributes:
        wer: Word error rate: words wrong, missing and added, over those said.
        cer: The same in characters.
        words: How many were said.
    """

    wer: float
    cer: float
    words: int


@dataclass(frozen=True, slots=True)
class TermScore:
    """How often a term is said in the held-out clips, and heard before and after."""

    term: str
    said: int
    heard_before: int
    heard_after: int


@dataclass(frozen=True, slots=True)
class HeardClip:
    """What was said in a held-out clip, and heard before and after; `wer` is that after."""

    clip: Clip
    before: str
    after: str
    wer: float


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run.

    Attributes:
        model_dir: The tuned model in CTranslate2's format, complete: to be moved to where models lie.
        adapter_dir: What LoRA learned alone, as peft saves it; None in the mode `full`.
        before: Of the base on the held-out clips.
        after: Of the tuned model on them.
        general_before: Of the base on the general clips; None where there are none.
        general_after: Of the tuned model on them.
        terms: In the order of the plan.
        worst: The ten held-out clips with the highest word error rate after, those without any error left out.
        left_out: Where the clips are that the model could not be shown: no sound, or more than fits in 30 s.
        refusal: Why the model is not to be used, a sentence; None: it got better, or no worse.
        language: Code of the language that it was trained in.
        settings: What it was trained with: steps, rank, learning rate and so on, for the record.
        duration_s: How long the run took, without what was done before it was resumed.
    """

    model_dir: Path
    adapter_dir: Path | None
    before: Score
    after: Score
    general_before: Score | None
    general_after: Score | None
    terms: tuple[TermScore, ...]
    worst: tuple[HeardClip, ...]
    left_out: tuple[str, ...]
    refusal: str | None
    language: str
    settings: dict[str, str | int | float]
    duration_s: float
