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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click

from voice_stack.asr.settings import AsrSettings
from voice_stack.cli.serve import stop_at_hangup
from voice_stack.core.errors import ConfigurationError, VoiceStackError
from voice_stack.core.http.access import has_keys
from voice_stack.core.logging import configure_logging, log_event
from voice_stack.core.settings import ENV_FILE, CoreSettings
from voice_stack.tts.settings import TtsSettings


@dataclass(frozen=True)
class Child:
    """One server as a child process.

    Args:
        server: `asr` or `tts`.
        settings: What the server reads, too.
        process: Its process; it ends when the pipe to its standard input is closed.
    """

    server: str
    settings: CoreSettings
    process: subprocess.Popen[bytes]

    @property
    def name(self) -> str:
        """How people are told about it."""
        return f"{self.server.upper()} server"


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
    """One server and when it is started again.

    Args:
        server: It runs.
        start: Starts it anew.
    """

    def __init__(self, server: Child, start: Callable[[Child], Child]) -> None:
        self.server = server
        self._start = start
        self._started_s = time.monotonic()
        self._crashes = 0
        self._restart_s: float | None = None

    def look(self) -> None:
        """Note an end, or start the server again once its delay is over."""
        now_s = time.monotonic()
        if self._restart_s is not None:
            if now_s >= self._restart_s:
                self._restart_s, self._started_s = None, now_s
                self.server = self._start(self.server)
                log_event(_log, logging.INFO, "server starts again", ended=self.server.server)
        elif (code := self.server.process.poll()) is not None:
            self._crashes = 1 if now_s - self._started_s > CALM_S else self._crashes + 1
            delay_s = restart_delay_s(self._crashes)
            self._restart_s = now_s + delay_s
            ended = {"ended": self.server.server, "by": describe_end(code), "restart_in_s": delay_s}
            log_event(_log, logging.ERROR, "server ended", **ended)


def supervise(servers: list[Child], start: Callable[[Child], Child]) -> NoReturn:
    """Keep servers running until this process is told to stop.

    Args:
        servers: They run; a server that was started again takes the place of the one before.
        start: Starts a server that ended anew.
    """
    watches = [Watch(server, start) for server in servers]
    log_event(_log, logging.INFO, "servers are supervised", count=len(watches))
    while True:
        for number, watch in enumerate(watches):
            watch.look()
            servers[number] = watch.server
        time.sleep(WATCH_S)


READY_TIMEOUT_S = 120.0
POLL_S = 0.05
REQUEST_TIMEOUT_S = 2.0
KILL_AFTER_GRACE_S = 5.0

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - listened on by others, called by nobody
# A proxy of the environment is for the way out, not for this machine.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def server_url(settings: CoreSettings) -> str:
    """Where the server is reached from this machine, as `http://127.0.0.1:5001`."""
    host = _ANY_ADDRESS.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def is_answering(url: str) -> bool:
    """Whether a GET is answered with a status below 400."""
    try:
        with _open(url, timeout=REQUEST_TIMEOUT_S):
            return True
    except (http.client.HTTPException, OSError):
        return False


def server_at(url: str) -> str | None:
    """Name of the server of ours that answers there, `asr` or `tts`; None if none does."""
    try:
        with _open(f"{url}/health", timeout=REQUEST_TIMEOUT_S) as answer:
            body = json.load(answer)
    except (http.client.HTTPException, OSError, ValueError):
        return None
    return body.get("server") if isinstance(body, dict) else None


def curl_lines(asr: AsrSettings, tts: TtsSettings) -> tuple[str, str]:
    """One line to try each server with: a transcription and a speech."""
    asr_url, tts_url = (f"{server_url(settings)}{settings.api_v1_str}/audio" for settings in (asr, tts))
    key = " -H 'Authorization: Bearer YOUR_KEY'" if has_keys(asr) else ""
    speech = """-H 'Content-Type: application/json' -d '{"model": "tts-1", "voice": "alloy", "input": "Hello!"}'"""
    return (
        f"curl{key} {asr_url}/transcriptions -F file=@speech.mp3 -F model=whisper-1",
        f"curl{key} {tts_url}/speech {speech} -o speech.mp3",
    )


def _start(server: str, settings: CoreSettings) -> Child:
    if settings.socket is not None:
        name = settings.env_name("socket")
        raise ConfigurationError(f"{name}={settings.socket}: `up` needs ports; start the servers one by one")
    if settings.port == 0:
        raise ConfigurationError(f"{settings.env_name('port')}=0: `up` needs to know the port; choose 1 to 65535")
    command = [sys.executable, "-m", "voice_stack", server, "--exit-with-stdin"]
    # Their own sessions: a Ctrl-C of the terminal reaches this process alone, which then stops both in order.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - our own command
    return Child(server, settings, process)


def _check_running(children: list[Child]) -> None:
    for child in children:
        code = child.process.poll()
        if code is not None:
            how = f"was ended by {describe_end(code)}" if code < 0 else f"ended with {describe_end(code)}"
            raise VoiceStackError(f"the {child.name} {how}; both servers are stopped")


def _await_all(children: list[Child], path: str, deadline_s: float) -> None:
    waiting = children
    while waiting:
        _check_running(children)
        waiting = [child for child in waiting if not is_answering(server_url(child.settings) + path)]
        if waiting and time.monotonic() > deadline_s:
            names = " and the ".join(child.name for child in waiting)
            raise VoiceStackError(f"the {names} did not answer {path} within {READY_TIMEOUT_S:g} s")
        time.sleep(POLL_S if waiting else 0)
    # Another program may have answered in place of a child that found its port taken.
    _check_running(children)


@contextlib.contextmanager
def _stopping(children: list[Child]) -> Iterator[None]:
    """Both children end with the block, however it ends; a Ctrl-C, SIGTERM or SIGHUP is a good end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stop_at_hangup()
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Stopping both servers.", err=True)
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
            click.echo(f"The {child.name} did not stop in time and is killed.", err=True)
            child.process.kill()
            child.process.wait()


def _start_again(ended: Child) -> Child:
    return _start(ended.server, ended.settings)


def _supervise(children: list[Child]) -> NoReturn:
    """Stay with the servers for good, and log like them."""
    settings = children[0].settings
    configure_logging(settings.log_level, os.environ["LOG_FORMAT"], "up")
    if Path(ENV_FILE).is_file():
        click.echo(f"Settings are read from {Path(ENV_FILE).resolve()}, too.", err=True)
    supervise(children, _start_again)


def _log_as_json() -> None:
    """JSON is what collectors read; who has said something else is left alone."""
    settings = AsrSettings.read()
    os.environ["LOG_FORMAT"] = settings.log_format if "log_format" in settings.model_fields_set else "json"


@click.command()
@click.option("--prod", is_flag=True, help="Keep both running: what ends is started again; logs are JSON.")
def up(prod: bool) -> None:
    """Start both servers, wait until they are ready, stop both with Ctrl-C."""
    if prod:
        _log_as_json()
    asr, tts = AsrSettings.read(), TtsSettings.read()
    children: list[Child] = []
    with _stopping(children):
        children.append(_start("asr", asr))
        children.append(_start("tts", tts))
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        _await_all(children, "/health", deadline_s)
        if prod:
            _supervise(children)
        _await_all(children, "/ready", deadline_s)
        transcribe, speak = curl_lines(asr, tts)
        click.echo(f"ASR server: {server_url(asr)}\n  {transcribe}\nTTS server: {server_url(tts)}\n  {speak}")
        click.echo("Both are ready. Ctrl-C stops them.")
        while True:
            _check_running(children)
            time.sleep(POLL_S)
