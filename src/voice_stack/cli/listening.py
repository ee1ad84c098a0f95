"""The sockets a server listens on: of an address, with one port or several, or a Unix socket."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from voice_stack.core.errors import ConfigurationError
from voice_stack.core.settings import ServerSettings

BACKLOG = 2048
_OWNER_AND_GROUP = 0o117
"""Bits that a Unix socket does not get: whoever is neither its user nor of its group has no access."""


@contextlib.contextmanager
def listen_at(settings: ServerSettings) -> Iterator[list[socket.socket]]:
    """The listening sockets, as the settings say; the file of a Unix socket goes with the block.

    Raises:
        ConfigurationError: Another program listens there, or nobody can.
    """
    with contextlib.ExitStack() as owned:
        if settings.socket is not None:
            listening = [owned.enter_context(_listen_at_path(settings, settings.socket))]
            owned.callback(settings.socket.unlink, missing_ok=True)
        else:
            ports = [settings.port, *settings.further_ports]
            listening = [owned.enter_context(listen(settings, port)) for port in ports]
        yield listening


def listen(settings: ServerSettings, port: int) -> socket.socket:
    """A listening socket for the server's address: from here on no other program can take the port.

    Raises:
        ConfigurationError: The port is in use, or the address is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(settings.host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ConfigurationError(f"{settings.env_name('host')}={settings.host!r}: {error.strerror}") from error
    listening = socket.socket(family, kind, protocol)
    try:
        # Elsewhere than on POSIX systems this option lets two programs have one port.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigurationError(_explain(settings, port, error)) from error
    return listening


def _listen_at_path(settings: ServerSettings, path: Path) -> socket.socket:
    _remove_left_over(settings, path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(_OWNER_AND_GROUP)
    try:
        listening.bind(str(path))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigurationError(f"{settings.env_name('socket')}={path}: {error.strerror or error}") from error
    finally:
        os.umask(before)
    return listening


def _remove_left_over(settings: ServerSettings, path: Path) -> None:
    """A killed server leaves its socket behind; one that somebody answers at, and any other file, is not touched."""
    variable = settings.env_name("socket")
    if not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise ConfigurationError(f"{variable}={path} is there and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise ConfigurationError(f"{variable}={path} is in use: stop the other program or choose another path")
    path.unlink()


def port_variable(settings: ServerSettings, port: int) -> str:
    """The setting that has a port of the server."""
    return settings.env_name("port" if port == settings.port else "voice_ports")


def _explain(settings: ServerSettings, port: int, error: OSError) -> str:
    variable = port_variable(settings, port)
    if error.errno == errno.EADDRINUSE:
        flag = "--port" if port == settings.port else "--voice-ports"
        return (
            f"port {port} on {settings.host} is in use: "
            f"stop the other program or choose another with {variable}=... or {flag}"
        )
    variables = f"{settings.env_name('host')}, {variable}"
    return f"cannot listen on {settings.host} port {port} ({variables}): {error.strerror}"
