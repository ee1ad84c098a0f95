"""`voice-stack status`: what the servers are doing."""

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import httpx2
from pydantic import ValidationError

from voice_stack.cli.servers import SERVERS
from voice_stack.cli.up import server_url
from voice_stack.core.http.status import EngineStatus, ServerStatus
from voice_stack.core.settings import ServerSettings

if TYPE_CHECKING:
    from rich.table import Table

TIMEOUT_S = 5.0
EXIT_NOT_ALL = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What one server said, or why it said nothing."""

    server: str
    url: str
    status: ServerStatus | None = None
    problem: str = ""

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        status = self.status.model_dump(mode="json") if self.status else None
        return {"url": self.url, "status": status, "problem": self.problem or None}


def _show_status(as_json: bool, api_key: str | None, **urls: str | None) -> None:
    """Show what the installed servers are doing. Exit code: 0 if all answered, 1 if not."""
    answers = []
    for name, server in SERVERS.items():
        if server.missing_modules and not urls[f"{name}_url"]:
            continue
        settings = server.settings_class.read()
        answers.append(_ask(name, settings, urls[f"{name}_url"] or server_url(settings), api_key))
    if as_json:
        click.echo(json.dumps({answer.server: answer.as_json() for answer in answers}, indent=2))
    else:
        _print_tables(answers)
    if any(answer.status is None for answer in answers):
        sys.exit(EXIT_NOT_ALL)


status = click.Command(
    "status",
    callback=_show_status,
    help=_show_status.__doc__,
    params=[
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON instead of tables."),
        *(
            click.Option([f"--{name}-url"], help=f"The {server.title}, if not the one of the settings.")
            for name, server in SERVERS.items()
        ),
        click.Option(["--api-key"], envvar="VOICE_STACK_API_KEY", help="If they want one [VOICE_STACK_API_KEY]."),
    ],
)


def _ask(server: str, settings: ServerSettings, url: str, api_key: str | None) -> Answer:
    key = api_key or next(iter(settings.api_keys), None)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    prefix = settings.api_v1_str
    address = f"{url.rstrip('/').removesuffix(prefix)}{prefix}/status"
    try:
        # A proxy of the environment is for the way out, not for this house.
        answer = httpx2.get(address, headers=headers, timeout=TIMEOUT_S, trust_env=False)
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        return Answer(server, url, problem=f"does not answer: {error}")
    if answer.status_code != httpx2.codes.OK:
        return Answer(server, url, problem=f"answers {answer.status_code}: {_read_message(answer)}")
    try:
        return Answer(server, url, ServerStatus.model_validate_json(answer.content))
    except ValidationError:
        return Answer(server, url, problem="answers, but is no server of Voice Stack, or one of another version")


def _read_message(answer: httpx2.Response) -> str:
    """The message of an error in OpenAI's form; of any other the beginning."""
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]


def _print_tables(answers: list[Answer]) -> None:
    from rich.console import Console

    console = Console()
    for answer in answers:
        console.print(_describe_server(answer), highlight=False, markup=False, soft_wrap=True)
    engines = [(answer.server, engine) for answer in answers if answer.status for engine in answer.status.engines]
    if engines:
        console.print(_engines_table(engines))
    for server, engine in engines:
        if engine.error:
            console.print(f"{server} {engine.engine}: {engine.error}", highlight=False, markup=False, soft_wrap=True)


def _describe_server(answer: Answer) -> str:
    """What a server is and does, in two or three lines; one that gave no answer in one."""
    found = answer.status
    if found is None:
        return f"{answer.server}  {answer.url}  {answer.problem}"
    state = "ready" if found.ready else f"not ready: {found.reason}"
    memory_mb = found.memory.server_mb + found.memory.models_mb
    queue = f"{found.queue.jobs_running} running, {found.queue.jobs_waiting} waiting"
    queue += "" if found.queue.seconds is None else f", {_show(found.queue.seconds)} s of work"
    ports = ", ".join(map(str, found.further_ports))
    state += f", also on port{'s' if len(found.further_ports) > 1 else ''} {ports}" if ports else ""
    facts = found.model_extra or {}
    asked = ", ".join(f"{name} {facts[name] or 'none'}" for name in ("asr", "tts", "llm") if name in facts)
    return (
        f"{answer.server}  {answer.url}  {state}, version {found.version}, up {_show_duration(found.uptime_s)}\n"
        f"     model {found.model or 'none'}; {queue}; {memory_mb:.0f} MB; connections: {found.connections}"
    ) + (f"\n     asks {asked}" if asked else "")


def _engines_table(engines: list[tuple[str, EngineStatus]]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table("server", box=box.SIMPLE)
    table.add_column("engine", overflow="fold")
    table.add_column("state")
    for name in ("jobs", "queue s", "s per s", "MB"):
        table.add_column(name, justify="right")
    for server, engine in engines:
        jobs = f"{engine.jobs_running} + {engine.jobs_waiting}"
        figures = (engine.queue_s, engine.speed, engine.memory_mb)
        table.add_row(server, engine.engine, engine.state, jobs, *map(_show, figures))
    return table


def _show(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _show_duration(seconds: float) -> str:
    """`3 d 4 h`, `4 h 12 min`, `12 min 5 s`, `5 s`."""
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest_s} s" if minutes else f"{rest_s} s"
