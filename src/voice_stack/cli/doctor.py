"""`voice-stack doctor`: is this machine fit for both servers, and if not, what mends it."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain

import click

from voice_stack.asr.engine_factory import open_store
from voice_stack.asr.settings import AsrSettings
from voice_stack.cli import checks as checks
from voice_stack.cli.checks import Check
from voice_stack.cli.models import open_stores
from voice_stack.tts.settings import TtsSettings

_COLOURS = {"OK": "green", "WARN": "yellow", "FAIL": "red"}


def _all_checks() -> Iterator[Check]:
    asr, tts = AsrSettings.read(), TtsSettings.read()
    _, tts_store = open_stores()
    return chain(
        checks.check_python(),
        checks.check_cpu(asr),
        checks.check_cpu(tts),
        checks.check_memory(),
        checks.check_device(asr),
        checks.check_device(tts),
        checks.check_extras(asr, tts),
        checks.check_encoders(),
        checks.check_model(asr, open_store(asr)),
        checks.check_model(tts, tts_store),
        checks.check_port(asr),
        checks.check_port(tts),
        checks.check_access(asr),
        checks.check_access(tts),
        checks.check_folders(asr, tts),
        checks.check_variables(asr),
        checks.check_variables(tts),
    )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Look at everything both servers need; exit code 1 if something is missing."""
    rows = list(_all_checks())
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        _print_table(rows)
    ctx.exit(int(any(row.status == "FAIL" for row in rows)))


def _print_table(rows: list[Check]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "what", "found", "what mends it")
    for row in rows:
        table.add_row(f"[{_COLOURS[row.status]}]{row.status}[/]", *map(_escape, (row.name, row.detail, row.remedy)))
    Console().print(table)


def _escape(text: str) -> str:
    # `voice-stack[asr]` must not be read as markup.
    from rich.markup import escape

    return escape(text)
