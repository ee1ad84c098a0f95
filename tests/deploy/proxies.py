"""The three proxies of deploy/, each with our files; only addresses, ports and folders are others."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from running_server import RunningServer, free_port, wait_until

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
LISTEN = {
    "nginx": ("listen 8080;", "listen 127.0.0.1:{port};"),
    "caddy": ("{{$SITE_ADDRESS::8080}} {{", "http://127.0.0.1:{port} {{\n\tbind 127.0.0.1"),
    "traefik": ('address: ":8080"', 'address: "127.0.0.1:{port}"'),
}
"""How each file says where the proxy listens, and how it says a port of this machine alone."""
START_TIMEOUT_S = 60
NGINX = """
daemon off;
worker_processes 1;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/upstreams.conf;
    include {folder}/voice-stack.conf;
}}
"""


@dataclass(frozen=True)
class RunningProxy:
    """A proxy before the servers."""

    name: str
    url: str
    folder: Path

    def http(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=120, trust_env=False)


def _copy(source: Path, folder: Path, addresses: Mapping[str, str]) -> None:
    """Copy our files; each of the addresses stands in at least one of them, as a whole."""
    unused = set(addresses)
    for path in (path for path in source.iterdir() if "compose" not in path.name):
        text = path.read_text("utf-8")
        for written, actual in addresses.items():
            unused -= {written} if written in text else set()
            text = text.replace(written, actual)
        (folder / path.name).write_text(text, "utf-8")
    assert not unused


def _nginx(folder: Path) -> list[str]:
    main = folder / "nginx.conf"
    main.write_text(NGINX.format(folder=folder), "utf-8")
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    # Started by root, its workers would be www-data and may not enter pytest's folders.
    return [program, "-p", str(folder), "-c", str(main), "-e", str(folder / "error.log"), *_own_user()]


def _own_user() -> list[str]:
    return ["-g", "user root;"] if os.geteuid() == 0 else []


def _caddy(folder: Path) -> list[str]:
    return [str(TOOLS / "caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def _traefik(_folder: Path) -> list[str]:
    return [str(TOOLS / "traefik"), "--configFile=traefik.yml"]


PROXIES: dict[str, Callable[[Path], list[str]]] = {"nginx": _nginx, "caddy": _caddy, "traefik": _traefik}
"""Name of a folder below deploy/ -> the command that runs a copy of it."""


def _passes_on(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/asr/health", timeout=10, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


@contextmanager
def run_proxy(name: str, folder: Path, *servers: RunningServer) -> Iterator[RunningProxy]:
    """Run one proxy while the context lasts, before an ASR, a TTS and a Voice server."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    addresses = {
        f"127.0.0.1:{usual}": f"127.0.0.1:{server.port}"
        for usual, server in zip((5001, 5002, 5003), servers, strict=True)
    }
    everywhere, here = (text.format(port=port) for text in LISTEN[name])
    _copy(ROOT / "deploy" / name, folder, addresses | {everywhere: here})
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    command = PROXIES[name](folder)
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: process.poll() is not None or _passes_on(url), START_TIMEOUT_S, f"start of {name}")
        assert process.poll() is None, (folder / "output.log").read_text()
        yield RunningProxy(name, url, folder)
    finally:
        process.terminate()
        process.wait(20)
