"""`voice-stack up`: the servers as child processes, one command to start and one Ctrl-C to stop."""

import contextlib
import http.client
import json
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click

from voice_stack.cli.serve import stop_at_hangup
from voice_stack.cli.servers import SERVERS, Server
from voice_stack.core.errors import ConfigurationError, VoiceStackError
from voice_stack.core.http.access import has_keys
from voice_stack.core.logging import configure_logging, log_event
from voice_stack.core.settings import ENV_FILE, ServerSettings
from voice_stack.language_model.settings import LanguageModelSettings


@dataclass(frozen=True)
class Child:
    """One server as a child process.

    Args:
        settings: What the server reads, too.
        flags: What else it is told.
        process: Its process; it ends when the pipe to its standard input is closed.
    """

    server: Server
    settings: ServerSettings
    flags: Sequence[str]
    process: subprocess.Popen[bytes]


FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0
CALM_S = 300.0
"""A server that ran so long ended by chance: the delay begins at the first again."""
WATCH_S = 0.2
_log = logging.getLogger(__name__)


def restart_delay_s(crashes: int) -> float:
    """Seconds until a server is started again that ended for the n-th time in a row: 1, 2, 4 and so on up to 60."""
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(crashes - 1, 30))


def describe_end(code: int) -> str:
    """An exit code in words: `exit code 1`, `signal 9`."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


class Watch:
    """One server and when it is started again; it runs when this is made."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self._started_s = time.monotonic()
        self._crashes = 0
        self._restart_s: float | None = None

    def look(self) -> None:
        """Note an end, or start the server again once its delay is over."""
        now_s, name = time.monotonic(), self.child.server.name
        if self._restart_s is not None:
            if now_s >= self._restart_s:
                self._restart_s, self._started_s = None, now_s
                self.child = _start(self.child.server, self.child.settings, self.child.flags)
                log_event(_log, logging.INFO, "server starts again", ended=name)
        elif (code := self.child.process.poll()) is not None:
            self._crashes = 1 if now_s - self._started_s > CALM_S else self._crashes + 1
            self._restart_s = now_s + restart_delay_s(self._crashes)
            ended = {"ended": name, "by": describe_end(code), "restart_in_s": restart_delay_s(self._crashes)}
            log_event(_log, logging.ERROR, "server ended", **ended)


READY_TIMEOUT_S = 120.0
POLL_S = 0.05
REQUEST_TIMEOUT_S = 2.0
KILL_AFTER_GRACE_S = 5.0

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - listened on by others, called by nobody
# A proxy of the environment is for the way out, not for this machine.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def server_url(settings: ServerSettings, port: int | None = None) -> str:
    """Where the server is reached from this machine, as `http://127.0.0.1:5001`; by another port if one is given."""
    host = _ANY_ADDRESS.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port or settings.port}"


def is_answering(url: str) -> bool:
    """Whether a GET is answered with a status below 400."""
    try:
        with _open(url, timeout=REQUEST_TIMEOUT_S):
            return True
    except (http.client.HTTPException, OSError):
        return False


def server_at(url: str) -> str | None:
    """Name of the server of ours that answers there, as `asr`; None if none does."""
    try:
        with _open(f"{url}/healthz", timeout=REQUEST_TIMEOUT_S) as answer:
            body = json.load(answer)
    except (http.client.HTTPException, OSError, ValueError):
        return None
    return body.get("server") if isinstance(body, dict) else None


def curl_line(server: Server, settings: ServerSettings) -> str:
    """One line to try a server with."""
    key = " -H 'Authorization: Bearer YOUR_KEY'" if has_keys(settings) else ""
    return f"curl{key} {server_url(settings)}{settings.api_v1_str}/{server.example}"


def _describe_model(url: str) -> str:
    """Whether a language model answers; the address of one may lack its `/v1`."""
    is_there = any(is_answering(f"{url.rstrip('/')}{prefix}/models") for prefix in ("", "/v1"))
    return f"Language model: {url}" + ("" if is_there else " does not answer; everything else works without")


def _find_installed() -> list[Server]:
    """The servers that can start here; each other one is told with the command that adds it.

    Raises:
        ConfigurationError: There is none.
    """
    found = []
    for server in SERVERS.values():
        if missing := server.missing_modules:
            remedy = f"pip install 'voice-stack[{server.name}]'"
            click.echo(f"The {server.title} is left out: {', '.join(missing)} not installed ({remedy}).", err=True)
        else:
            found.append(server)
    if not found:
        raise ConfigurationError("no server is installed: pip install 'voice-stack[embedded]'")
    return found


def _sister_flags(server: Server, settings: Mapping[str, ServerSettings]) -> list[str]:
    """Where those are that a server sends work to, if they start with it and nobody has said something else."""
    flags = []
    for name in server.asks:
        if name in settings and f"{name}_url" not in settings[server.name].model_fields_set:
            flags += [f"--{name}-url", server_url(settings[name]) + settings[name].api_v1_str]
    return flags


def _lend_language_model(settings: Mapping[str, ServerSettings]) -> None:
    """Give the ASR server the language model of conversations for its translations, where it has none of its own."""
    asr, chat = settings.get("asr"), settings.get("chat")
    if not (isinstance(asr, LanguageModelSettings) and isinstance(chat, LanguageModelSettings)) or asr.llm_url:
        return
    lent = {"llm_url": chat.llm_url, "llm_model": chat.llm_model, "llm_key": chat.llm_key.get_secret_value()}
    lent["llm_options"] = json.dumps(chat.llm_options) if chat.llm_options else ""
    for field, value in lent.items():
        if value and field not in asr.model_fields_set:
            os.environ[asr.env_name(field)] = value  # a key on a command line is everybody's to read


def _start(server: Server, settings: ServerSettings, flags: Sequence[str]) -> Child:
    if settings.socket is not None:
        name = settings.env_name("socket")
        raise ConfigurationError(f"{name}={settings.socket}: `up` needs ports; start the servers one by one")
    if settings.port == 0:
        raise ConfigurationError(f"{settings.env_name('port')}=0: `up` needs to know the port; choose 1 to 65535")
    command = [sys.executable, "-m", "voice_stack", server.name, "--exit-with-stdin", *flags]
    # Their own sessions: a Ctrl-C of the terminal reaches this process alone, which then stops all in order.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - our own command
    return Child(server, settings, flags, process)


def _check_running(children: list[Child]) -> None:
    for child in children:
        code = child.process.poll()
        if code is not None:
            how = f"was ended by {describe_end(code)}" if code < 0 else f"ended with {describe_end(code)}"
            raise VoiceStackError(f"the {child.server.title} {how}; all servers are stopped")


def _await_all(children: list[Child], path: str, deadline_s: float) -> None:
    waiting = children
    while waiting:
        _check_running(children)
        waiting = [child for child in waiting if not is_answering(server_url(child.settings) + path)]
        if waiting and time.monotonic() > deadline_s:
            names = " and the ".join(child.server.title for child in waiting)
            raise VoiceStackError(f"the {names} did not answer {path} within {READY_TIMEOUT_S:g} s")
        time.sleep(POLL_S if waiting else 0)
    # Another program may have answered in place of a child that found its port taken.
    _check_running(children)


@contextlib.contextmanager
def _stopping(children: list[Child]) -> Iterator[None]:
    """All children end with the block, however it ends; a Ctrl-C, SIGTERM or SIGHUP is a good end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stop_at_hangup()
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Stopping the servers.", err=True)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _stop(children)


def _stop(children: list[Child]) -> None:
    for child in children:
        child.process.terminate()
    deadline_s = (
        time.monotonic()
        + KILL_AFTER_GRACE_S
        + max((child.settings.shutdown_delay_s + child.settings.shutdown_grace_s for child in children), default=0.0)
    )
    for child in children:
        try:
            child.process.wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            click.echo(f"The {child.server.title} did not stop in time and is killed.", err=True)
            child.process.kill()
            child.process.wait()


def _supervise(children: list[Child]) -> NoReturn:
    """Stay with the servers for good, and log like them; one that was started again takes the place of the old one."""
    configure_logging(children[0].settings.log_level, os.environ["LOG_FORMAT"], "up")
    if Path(ENV_FILE).is_file():
        click.echo(f"Settings are read from {Path(ENV_FILE).resolve()}, too.", err=True)
    watches = [Watch(child) for child in children]
    log_event(_log, logging.INFO, "servers are supervised", count=len(watches))
    while True:
        for number, watch in enumerate(watches):
            watch.look()
            children[number] = watch.child
        time.sleep(WATCH_S)


def _log_as_json() -> None:
    """JSON is what collectors read; who has said something else is left alone."""
    settings = next(iter(SERVERS.values())).settings_class.read()
    os.environ["LOG_FORMAT"] = settings.log_format if "log_format" in settings.model_fields_set else "json"


@click.command()
@click.option("--prod", is_flag=True, help="Keep all running: what ends is started again; logs are JSON.")
@click.option("--check-llm", metavar="URL", help="Say, too, whether a language model answers there.")
@click.option("--all", is_flag=True, hidden=True, expose_value=False)  # what older scripts ask for, and all get
def up(prod: bool, check_llm: str | None) -> None:
    """Start all servers, wait until they are ready, stop them with Ctrl-C."""
    if prod:
        _log_as_json()
    servers = _find_installed()
    settings = {server.name: server.settings_class.read() for server in servers}
    _lend_language_model(settings)
    children: list[Child] = []
    with _stopping(children):
        children.extend(_start(server, settings[server.name], _sister_flags(server, settings)) for server in servers)
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        _await_all(children, "/healthz", deadline_s)
        if prod:
            _supervise(children)
        _await_all(children, "/ready", deadline_s)
        for child in children:
            if check_llm and child.server.asks:
                click.echo(_describe_model(check_llm))
            also = "".join(f", {server_url(child.settings, port)}" for port in child.settings.further_ports)
            click.echo(f"{child.server.title}: {server_url(child.settings)}{also}")
            click.echo(f"  {curl_line(child.server, child.settings)}")
            if getattr(child.settings, "llm_url", None) == "":
                click.echo("  Conversations need a language model: CHAT_LLM_URL (`voice-stack doctor` looks for one).")
        click.echo("All are ready. Ctrl-C stops them.")
        while True:
            _check_running(children)
            time.sleep(POLL_S)
