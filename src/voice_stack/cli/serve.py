"""`voice-stack asr`, `voice-stack tts` and so on: one server each, in this process."""

import logging
import os
import signal
import socket
import sys
import threading
from types import FrameType, UnionType
from typing import NoReturn, get_args, get_origin

import click

from voice_stack.cli.listening import listen_at
from voice_stack.cli.servers import SERVERS, Server
from voice_stack.core.errors import ConfigurationError, VoiceStackError
from voice_stack.core.http.access import exposure_warnings, has_keys
from voice_stack.core.settings import ServerSettings, unknown_variables
from voice_stack.core.system.memory import pause_collections

_STDIN = 0
_log = logging.getLogger(__name__)


def _option(settings_class: type[ServerSettings], field: str) -> click.Option:
    """The option of a settings field; the value is checked by the settings class, as those from other sources are."""
    info = settings_class.model_fields[field]
    flag = field.replace("_", "-")
    text = f"{info.description} [{settings_class.env_name(field)}]"
    if bool in {info.annotation, *get_args(info.annotation)}:
        return click.Option([f"--{flag}/--no-{flag}"], default=None, help=text)
    return click.Option([f"--{flag}"], help=text, metavar=_metavar(info.annotation))


def _metavar(annotation: object) -> str:
    choices = get_args(annotation)
    if choices and all(isinstance(choice, str) for choice in choices):
        return "|".join(choices)
    if get_origin(annotation) is list:
        return "A,B,C"
    plain = choices[0] if isinstance(annotation, UnionType) else annotation
    return {int: "INTEGER", float: "NUMBER"}.get(plain, "TEXT") if isinstance(plain, type) else "TEXT"


def server_command(server: Server) -> click.Command:
    """The command that runs one server, with one option per setting."""
    settings_class = server.settings_class
    exit_with_stdin = click.Option(["--exit-with-stdin"], is_flag=True, hidden=True)
    options = [_option(settings_class, field) for field in settings_class.model_fields]

    def run(exit_with_stdin: bool, **flags: object) -> None:
        serve(server, exit_with_stdin, {name: value for name, value in flags.items() if value is not None})

    help_text = f"Run the {server.title}. Flags are stronger than the environment, the environment than .env."
    return click.Command(server.name, callback=run, params=[*options, exit_with_stdin], help=help_text)


def serve(server: Server, exit_with_stdin: bool, flags: dict[str, object]) -> None:
    """Run a server until it is told to stop.

    Args:
        server: Which one.
        exit_with_stdin: Stop as well when standard input ends, that is when the process at its other end is gone.
        flags: Settings from the command line.

    Raises:
        ConfigurationError: A setting does not fit, or the port is in use.
    """
    signal.signal(signal.SIGINT, _exit)
    signal.signal(signal.SIGTERM, _exit)
    stop_at_hangup()
    if exit_with_stdin:
        threading.Thread(target=_stop_at_end_of_stdin, name="stdin", daemon=True).start()
    settings = server.settings_class.read(**flags)
    with listen_at(settings) as listening:
        from voice_stack.core.logging import configure_logging

        configure_logging(settings.log_level, settings.log_format, server.name)
        for line in (*unknown_variables(type(settings)), *exposure_warnings(settings, has_keys(settings))):
            _log.warning("%s", line)
        _listen_for_debugger(settings, offset=list(SERVERS).index(server.name))
        _run_app(server, settings, listening)


def stop_at_hangup() -> None:
    """Let the end of the terminal (SIGHUP) stop this process as SIGTERM does, unless `nohup` has it outlive that."""
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _hang_up)


def _hang_up(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # shell and system both send it, and a second signal would end it at once
    signal.raise_signal(signal.SIGTERM)


def _exit(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _stop_at_end_of_stdin() -> None:
    # Not sys.stdin: its lock, held by this thread, would be fatal to the interpreter's end.
    while os.read(_STDIN, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _listen_for_debugger(settings: ServerSettings, offset: int) -> None:
    if not settings.debugpy_enable:
        return
    try:
        import debugpy
    except ImportError as error:
        raise ConfigurationError(
            "DEBUGPY_ENABLE=true needs debugpy, which is not installed: pip install 'voice-stack[debug]'"
        ) from error
    port = settings.debugpy_port + offset if settings.debugpy_port else 0
    try:
        debugpy.listen((settings.debugpy_host, port))
    except (RuntimeError, OSError, ValueError) as error:
        raise ConfigurationError(
            f"DEBUGPY_PORT: cannot listen on {settings.debugpy_host} port {port}: {error}"
        ) from error
    _log.info("debugger can attach to %s port %d", settings.debugpy_host, port)
    if settings.debugpy_wait:
        debugpy.wait_for_client()


def _run_app(server: Server, settings: ServerSettings, listening: list[socket.socket]) -> None:
    pause_collections()
    from voice_stack.core.http.serving import build_server

    app = server.create_app(settings)
    running = build_server(app, app.state.stopping, settings)
    app.state.count_connections = lambda: len(running.server_state.connections)
    running.run(sockets=listening)
    if not running.started:
        raise VoiceStackError(f"the {server.title} did not start; the log above says why")
