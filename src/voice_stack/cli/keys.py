"""`voice-stack keys`: keys for the servers, made, listed and revoked while the servers run."""

import json
import re
import time
from dataclasses import asdict
from datetime import UTC, datetime

import click
from pydantic import TypeAdapter, ValidationError

from voice_stack.cli.servers import SERVERS
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.http.keys import ADMIN, KeyFile, KeyName, LastUse, NamedKey, make_key

_NAME = TypeAdapter[str](KeyName)
SCOPES = (*SERVERS, ADMIN)
_SPAN = re.compile(r"(\d{1,6})([hdwy])")
_SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
_LEFT_LOCKED = "No key is left: the servers refuse everybody until there is one. To need none, delete {} and restart."


def _parse_scopes(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[str, ...]:
    """`asr,tts` -> the scopes in their usual order."""
    names = [name.strip() for name in value.split(",") if name.strip()]
    for name in names:
        if name not in SCOPES:
            raise click.BadParameter(f"{name!r} is no scope; there are {', '.join(SCOPES)}")
    if not names:
        raise click.BadParameter(f"name one at least; there are {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in names)


def _parse_expiry(_ctx: click.Context, _param: click.Parameter, value: str) -> int | None:
    """`12h`, `90d`, `4w`, `1y`, a date in UTC as `2030-12-31`, or `never` -> seconds since 1970."""
    if value == "never":
        return None
    if span := _SPAN.fullmatch(value):
        end_s = int(time.time()) + int(span[1]) * _SECONDS[span[2]]
    else:
        end_s = _parse_date(value)
    if end_s <= time.time():
        raise click.BadParameter(f"{value!r} is over already")
    return end_s


def _parse_date(value: str) -> int:
    try:
        return int(datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time; write 12h, 90d, 4w, 1y, 2030-12-31 or never") from None


@click.group()
def keys() -> None:
    """Make, list and revoke API keys (in API_KEYS_FILE); running servers know at once."""


def _open_file() -> KeyFile:
    return KeyFile(next(iter(SERVERS.values())).settings_class.read().api_keys_file)


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    callback=_parse_scopes,
    default=",".join(SERVERS),
    show_default=True,
    help=f"{', '.join(SCOPES)}.",
)
@click.option(
    "--expires", "expires_at", callback=_parse_expiry, default="never", show_default=True, help="90d, 2030-12-31 ..."
)
@click.option("--requests-per-minute", type=click.IntRange(1), help="Else as the servers' settings say.")
@click.option("--jobs-at-once", type=click.IntRange(1), help="Else as the servers' settings say.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def create(name: str, scopes: tuple[str, ...], as_json: bool, **limits: int | None) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    try:
        _NAME.validate_python(name)
    except ValidationError:
        raise InvalidRequestError(
            f"{name!r} is no name for a key: 1 to 64 letters, digits, spaces, any of . _ @ + -"
        ) from None
    key, record = make_key(name, scopes, **limits)
    file = _open_file()
    is_first = file.signature() is None
    file.add(record)
    click.echo(json.dumps({**_describe(record, None), "key": key}, indent=2) if as_json else key)
    if is_first:
        click.echo(f"From now on the servers need a key ({file.path}).", err=True)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def list_command(as_json: bool) -> None:
    """Show the keys, never what they are."""
    file = _open_file()
    last_use = LastUse(file.path)
    rows = [_describe(key, last_use.read(key.id)) for key in file.read() or ()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif rows:
        _print_table(rows)
    else:
        click.echo(f"no key in {file.path}")


def _describe(key: NamedKey, last_used_at: int | None) -> dict[str, object]:
    shown = asdict(key)
    del shown["sha256"]
    return {**shown, "scopes": list(key.scopes), "is_expired": key.is_expired(), "last_used_at": last_used_at}


def _print_table(rows: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns = ("name", "id", "hint", "scopes", "created_at", "expires_at", "last_used_at")
    table = Table(*(column.removesuffix("_at").replace("_", " ") for column in columns), "per minute", "at once")
    for row in rows:
        cells = [_show(row[column]) for column in (*columns, "requests_per_minute", "jobs_at_once")]
        table.add_row(*map(Text, cells), style="dim" if row["is_expired"] else None)
    Console().print(table)


def _show(value: object) -> str:
    if isinstance(value, list):
        return ",".join(value)
    # Counts are never as large as a time of this century.
    if isinstance(value, int) and value > _SECONDS["y"]:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M")
    return "" if value is None else str(value)


@keys.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Revoke a key by its name or id; running servers refuse it at once."""
    file = _open_file()
    revoked = file.remove(name)
    LastUse(file.path).forget(revoked.id)
    click.echo(f"revoked {revoked.name} ({revoked.id})")
    if not file.read():
        click.echo(_LEFT_LOCKED.format(file.path), err=True)
