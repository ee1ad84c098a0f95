"""Clients of older voice services: their ports, their routes, their own client."""

import os
import socket

import httpx2

from cli.commands import assert_one_line, run
from running_server import RunningServer


def test_the_server_listens_on_further_ports_and_says_so(chat_server: RunningServer) -> None:
    with chat_server.http() as client:
        (port,) = client.get("/status").json()["further_ports"]
    assert httpx2.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).json()["server"] == "chat"
    environment = os.environ | {"HOME": str(chat_server.log.parent), "COLUMNS": "300"}
    shown = run(environment, "status", "--chat-url", chat_server.url).stdout
    assert f"also on port {port}" in shown


def test_a_further_port_that_is_taken_is_named(chat_server: RunningServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        environment = os.environ | {"HOME": str(chat_server.log.parent), "CHAT_PORT": "0", "VOICE_PORTS": f"{port}"}
        assert_one_line(run(environment, "chat"), f"port {port} on 127.0.0.1 is in use", "VOICE_PORTS=...")
