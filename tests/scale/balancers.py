"""nginx, Envoy and Traefik with the files of deploy/, which name three replicas: each such line is there for eight."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from running_server import wait_until
from scale.network import Lan

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
PORT = 8080
START_TIMEOUT_S = 60
NGINX = """
daemon off;
worker_processes 2;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/replicas.conf;
    include {folder}/voice-stack.conf;
}}
"""


@dataclass(frozen=True)
class Balancer:
    """A balancer before the replicas."""

    name: str
    address: str

    @property
    def url(self) -> str:
        return f"http://{self.address}:{PORT}"


def for_replicas(text: str, count: int) -> str:
    """A shipped file for so many replicas: what stands there of the third is repeated, with its name and address.

    Voice servers are as many as in the file.
    """

    def repeat(line: str) -> str:
        if not re.search(r"\br2\b|10\.0\.0\.13\b", line) or re.search(r"5003|chat-r|talk-r", line):
            return line
        others = (
            re.sub(r"\br2\b|(?<=_)r2(?=_)", f"r{n}", line).replace("10.0.0.13", f"10.0.0.{11 + n}")
            for n in range(2, count)
        )
        return "".join(others)

    return "".join(repeat(line) for line in text.splitlines(keepends=True))


def _nginx(folder: Path) -> list[str]:
    main = folder / "nginx.conf"
    main.write_text(NGINX.format(folder=folder), "utf-8")
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    # Started by root, its workers would be www-data and may not enter pytest's folders.
    return [program, "-p", str(folder), "-c", str(main), "-e", str(folder / "error.log"), "-g", "user root;"]


def _envoy(folder: Path) -> list[str]:
    return [str(TOOLS / "envoy"), "-c", str(folder / "envoy.yaml"), "--log-level", "warning", "--disable-hot-restart"]


def _traefik(folder: Path) -> list[str]:
    static = folder / "traefik.yml"
    static.write_text(static.read_text("utf-8").replace("dynamic.yml", "replicas.yml"), "utf-8")
    return [str(TOOLS / "traefik"), "--configFile=traefik.yml"]


COMMANDS: dict[str, Callable[[Path], list[str]]] = {"nginx": _nginx, "envoy": _envoy, "traefik": _traefik}
"""Name of a folder below deploy/ -> the command that runs a copy of it."""
KEEPALIVE = {"tcp_keepalive_time": 20, "tcp_keepalive_intvl": 10, "tcp_keepalive_probes": 3}
"""As docs/guides/reverse-proxy.md advises."""
ADDRESSES = {"nginx": "10.0.0.2", "envoy": "10.0.0.3", "traefik": "10.0.0.4"}


def _passes_on(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/asr/health", timeout=10, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


@contextmanager
def run_balancer(name: str, lan: Lan, folder: Path, replicas: int) -> Iterator[Balancer]:
    """Run one balancer on a machine of its own while the context lasts."""
    machine = lan.add(name, ADDRESSES[name])
    for setting, value in KEEPALIVE.items():
        subprocess.run(machine.command("sh", "-c", f"echo {value} > /proc/sys/net/ipv4/{setting}"), check=True)
    for path in (ROOT / "deploy" / name).iterdir():
        (folder / path.name).write_text(for_replicas(path.read_text("utf-8"), replicas), "utf-8")
    balancer = Balancer(name, machine.address)
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(
            machine.command(*COMMANDS[name](folder)),
            cwd=folder,
            env={"HOME": str(folder), "PATH": os.environ["PATH"]},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: process.poll() is not None or _passes_on(balancer.url), START_TIMEOUT_S, f"start of {name}")
        assert process.poll() is None, (folder / "output.log").read_text()
        yield balancer
    finally:
        machine.kill()  # Traefik would wait for connections
        process.wait()
