"""What all commands of `voice-stack finetune` do: listen to clips, say what is wrong with them, find free names."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, TypeVar

import click

from voice_stack.asr.models import ASR_CATALOGUE, DEFAULT_MODEL_NAMES, ENGINE
from voice_stack.asr.settings import AsrSettings
from voice_stack.cli.progress import open_display
from voice_stack.cli.servers import SERVERS
from voice_stack.core.errors import InvalidRequestError, StorageFullError
from voice_stack.core.models.files import OWN_FOLDER, Catalogue
from voice_stack.core.models.store import ModelStore
from voice_stack.core.settings import EngineSettings
from voice_stack.core.system.files import is_full
from voice_stack.finetune.check import CheckedClips, Finding, Kind, check_clips
from voice_stack.finetune.folders import read_clips
from voice_stack.finetune.plan import AsrPlan, Progress, XttsPlan, load_plan
from voice_stack.finetune.record import Record, check_model_name, list_records, read_record, run_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_SHOWN = 8
EXIT_INTERRUPTED = 130
P = TypeVar("P", AsrPlan, XttsPlan)


def open_trainable(base: str | None) -> tuple[ModelStore, str]:
    """The Whisper models that can be trained, and the base: by default the server's model."""
    settings = AsrSettings.read()
    name = base or (settings.model if settings.engine == ENGINE else "base")
    return ModelStore(ASR_CATALOGUE, settings.model_dir, settings.offline, paths=[name]), name


def read_tokenizer(base: str | None) -> "Tokenizer | None":
    """The tokenizer of a base; None where it has none, or where none is named and the server's is not here."""
    from tokenizers import Tokenizer

    store, name = open_trainable(base)
    if base is None and not store.is_local(name):
        return None
    file = store.resolve(name) / "tokenizer.json"
    return Tokenizer.from_file(str(file)) if file.is_file() else None


def listen_to(
    kind: Kind, data: Path, held_out: Path | None, tokenizer: "Tokenizer | None"
) -> tuple[CheckedClips, CheckedClips | None]:
    """Check the clips to learn from, and those that are to be measured with if they have a folder of their own.

    Raises:
        InvalidRequestError: There is no clip in a folder.
    """
    checked = []
    with open_display() as display:
        for folder in [data, *([held_out] if held_out else [])]:
            display.begin(f"listening to {folder.name}")
            found = read_clips(folder)
            checked.append(check_clips(found, kind, tokenizer, lambda done, of: display.update(100 * done / of, None)))
            display.end(f"{folder}: {len(checked[-1].heard)} clips can be used")
    return checked[0], checked[1] if held_out else None


def print_findings(findings: Sequence[Finding], *, is_aside: bool = False) -> None:
    """Say what is left out, and what to look at, with some of the places; on standard error if it is said aside."""
    for title, is_left_out in (("left out", True), ("to look at", False)):
        chosen = [finding for finding in findings if finding.is_left_out is is_left_out]
        if chosen:
            click.echo(f"{title}:", err=is_aside)
        for finding in chosen:
            shown = ", ".join(finding.places[:MAX_SHOWN]) + ", ..." * (len(finding.places) > MAX_SHOWN)
            click.echo(f"  {len(finding.places):>5}  {finding.message}: {shown}", err=is_aside)


def require_free_name(store: ModelStore, name: str, command: str, *, force: bool) -> None:
    """Do nothing if a new model may be called so.

    Args:
        store: Where it is to be.
        name: Of the model.
        command: That goes on with a run of that name.
        force: One of that name may be replaced.

    Raises:
        InvalidRequestError: It may not.
    """
    every = ((server, server.settings_class.read()) for server in SERVERS.values() if not server.missing_modules)
    catalogues: list[Catalogue] = []
    taken: list[str] = [*DEFAULT_MODEL_NAMES]
    for server, settings in every:
        if isinstance(settings, EngineSettings):
            catalogues.append(server.list_catalogue(settings.engine))
            taken += server.default_model_names
    check_model_name(name, catalogues, taken)
    if (store.model_dir / OWN_FOLDER / name).exists() and not force:
        raise InvalidRequestError(f"there is a model {name!r}: --force replaces it when the new one is done")
    if run_folder(store.model_dir, name).exists() and not force:
        raise InvalidRequestError(
            f"there is a run {name!r}: go on with {command} --resume {name}, or begin anew with --force"
        )


def find_run(name: str, kind: type[P]) -> tuple[P, Record]:
    """What a run was begun with, and its record.

    Args:
        name: Of the model that it makes.
        kind: Of its plan.

    Raises:
        InvalidRequestError: There is none.
        ConfigurationError: It is damaged, or of another kind.
    """
    model_dir = AsrSettings.read().model_dir
    run_dir = run_folder(model_dir, PurePath(name).name)
    if not run_dir.is_dir():
        names = ", ".join(folder.name for folder, _ in list_records(model_dir) if folder.parent == run_dir.parent)
        raise InvalidRequestError(f"no run is called {name!r}; there are {names or 'none'}")
    return load_plan(run_dir, kind), read_record(run_dir)


@contextmanager
def resumable(command: str, name: str) -> Iterator[None]:
    """Whatever breaks a run off, who sees it is told how it goes on."""
    resume = f"{command} --resume {name}"
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"interrupted; go on with: {resume}", err=True)
        raise SystemExit(EXIT_INTERRUPTED) from None
    except StorageFullError as error:
        raise StorageFullError(f"{error.message} Go on with: {resume}") from None
    except OSError as error:
        if not is_full(error):
            raise
        raise StorageFullError(f"The disk is full. With more room go on with: {resume}") from None


@contextmanager
def show_stages() -> Iterator[Callable[[Progress], None]]:
    """Shows how far a run is, stage by stage."""
    stage = ""
    with open_display() as display:

        def tell(progress: Progress) -> None:
            nonlocal stage
            if progress.stage != stage:
                if stage:
                    display.end(f"{stage}: done")
                stage = progress.stage
                display.begin(stage)
            loss = "" if progress.loss is None else f"loss {progress.loss:.3f}"
            display.update(100 * progress.done / max(1, progress.total), progress.eta_s, loss)

        yield tell
        display.end(f"{stage}: done")
