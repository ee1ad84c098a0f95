"""What a model was made of and how good it is, kept beside its weights; where runs work; which models there are."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import filelock
from pydantic import TypeAdapter, ValidationError

from voice_stack.core.errors import ConfigurationError, InvalidRequestError, ModelLoadError, tell_problem
from voice_stack.core.models.files import MANIFEST, OWN_FOLDER, Catalogue, ModelSpec, hash_file, read_manifest
from voice_stack.core.models.own import RECORD, is_own_name
from voice_stack.core.models.store import ModelStore
from voice_stack.core.system.files import write_whole

RUNS = ".runs"
"""Below the folder of own models: a folder for each run that is not over, or was refused."""
ADAPTER = "adapter"
"""In a model's folder: what LoRA learned alone."""
UNKNOWN_LICENCE = "that of the base"
_LIBRARIES = ("voice-stack", "ctranslate2", "torch", "transformers", "peft", "coqui-tts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a model was made of.

    Attributes:
        name: What it is called.
        engine: What runs it.
        base: The model that it was trained from.
        base_sha256: Of that model's weights.
        licence: What others may do with it, by its base's licence.
        languages: That it understands or speaks; none: as its engine does.
        data_sha256: Of the sounds and texts that it was made of.
        clips: That it was trained on.
        held_out_clips: That it was measured with.
        minutes: Of sound, in all of these.
        versions: Of the libraries.
        settings: It was trained with.
        scores: Before and after, by name.
        refusal: Why it was not to be used; None: it was.
        consent: Of the person whose voice it is.
        created_at: When it was done, in UTC; empty: it is not.
    """

    name: str
    engine: str
    base: str
    base_sha256: str
    licence: str
    languages: tuple[str, ...]
    data_sha256: str
    clips: int
    held_out_clips: int
    minutes: float
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str | int | float] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    refusal: str | None = None
    consent: str = ""
    created_at: str = ""

    def save(self, folder: Path) -> None:
        """Keep it in a folder, which is made if it is not there.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / RECORD, _RECORD.dump_json(self, indent=1), mode=0o644)

    def completed(
        self, settings: Mapping[str, str | int | float], scores: Mapping[str, float], refusal: str | None
    ) -> "Record":
        """The same of the run that is over now."""
        return replace(
            self,
            settings=settings,
            scores={name: round(score, 4) for name, score in scores.items()},
            refusal=refusal,
            versions=dict(_versions()),
            created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )


_RECORD = TypeAdapter(Record)


def _versions() -> Iterator[tuple[str, str]]:
    for library in _LIBRARIES:
        try:
            yield library, version(library)
        except PackageNotFoundError:
            continue


def read_record(folder: Path) -> Record:
    """The record of a model or of a run.

    Raises:
        ModelLoadError: It has none, or a damaged one.
    """
    try:
        return _RECORD.validate_json((folder / RECORD).read_bytes())
    except OSError as error:
        raise ModelLoadError(f"{folder / RECORD} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "all of it"
        raise ModelLoadError(f"{folder / RECORD} is damaged at {place}: {tell_problem(problem)}") from None


def check_model_name(name: str, catalogues: Sequence[Catalogue], taken: Sequence[str]) -> str:
    """A name that a model of one's own may have.

    Args:
        name: The name.
        catalogues: Of all servers: their names stay theirs.
        taken: Further names that mean something else.

    Raises:
        InvalidRequestError: It may not.
    """
    if not is_own_name(name):
        raise InvalidRequestError(
            f"{name!r} is no name for a model: 1 to 64 letters, digits, and any of . _ -, a letter or digit first"
        )
    if name in taken or any(catalogue.find(name) for catalogue in catalogues):
        raise InvalidRequestError(f"{name!r} is another model's name: choose one of your own")
    return name


def hash_base(folder: Path) -> str:
    """SHA-256 of a base's weights: as its manifest has it, else read."""
    weights = next((folder / name for name in ("model.bin", "model.pth") if (folder / name).is_file()), None)
    if weights is None:
        raise ModelLoadError(f"{folder} has no weights")
    manifest = read_manifest(folder) if (folder / MANIFEST).is_file() else None
    known = manifest.files.get(weights.name) if manifest else None
    return known.sha256 if known else hash_file(weights)


def find_licence(base: ModelSpec, listed: Mapping[str, str], store: ModelStore) -> str:
    """The licence of what is made of a base: the base's own.

    Args:
        base: The base.
        listed: Licences of the models of the catalogue, by name.
        store: Where own models are, whose licence was recorded.
    """
    if base.base:
        return read_record(store.path(base.name)).licence
    return listed.get(base.name, UNKNOWN_LICENCE)


def register(store: ModelStore, record: Record, made: Path) -> Path:
    """Keep a model so that servers know it by its name; one of that name is replaced.

    Args:
        store: Of the servers.
        record: Of the model, completed.
        made: Folder with its files.

    Returns:
        Its folder.

    Raises:
        ModelLoadError: The model directory cannot be written.
    """
    record.save(made)
    return store.keep(
        ModelSpec(name=record.name, engine=record.engine, base=record.base),
        made,
        f"trained here from {record.base}, {record.created_at[:10]}",
    )


def run_folder(model_dir: Path, name: str) -> Path:
    """Where the run that makes a model works."""
    return model_dir.expanduser().absolute() / OWN_FOLDER / RUNS / name


@contextmanager
def alone_in(run_dir: Path) -> Iterator[None]:
    """No other process works on the same run meanwhile.

    Raises:
        ConfigurationError: One does.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(run_dir / ".lock", timeout=0)
    try:
        with lock:
            yield
    except filelock.Timeout:
        raise ConfigurationError(f"another process works on {run_dir.name} ({run_dir})") from None


def list_records(model_dir: Path) -> Iterator[tuple[Path, Record | ModelLoadError]]:
    """The folders of models, then those of runs, by name, each with its record or what is wrong with it."""
    runs = run_folder(model_dir, "")
    for place in (runs.parent, runs):
        for folder in sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else ():
            if not folder.name.startswith("."):
                try:
                    yield folder, read_record(folder)
                except ModelLoadError as error:
                    yield folder, error
