"""Prometheus itself, from Debian's package, and its tool."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from running_server import free_port, wait_until

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus"
METRIC = re.compile(r"\b(?:voice_stack|process)_[a-z_]+\b")
STOP_TIMEOUT_S = 20.0


def promtool(*arguments: str | Path, stdin: bytes | None = None) -> tuple[int, str]:
    """Run it; returns its exit code and all that it said."""
    tool = shutil.which("promtool")
    assert tool, "promtool is missing: apt-get install prometheus"
    command = [tool, *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, cwd=RULES, timeout=60, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


class Prometheus:
    """A running one."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **parameters: str) -> object:
        """The `data` of an answer of its API."""
        url = f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
            body: dict[str, object] = json.load(answer)
        assert body["status"] == "success", body
        return body["data"]

    def query(self, expression: str) -> list[object]:
        """The series of an expression at this moment."""
        data = self.ask("/api/v1/query", query=expression)
        assert isinstance(data, dict)
        result: list[object] = data["result"]
        return result

    def is_up(self) -> bool:
        try:
            self.ask("/api/v1/status/buildinfo")
        except OSError:
            return False
        return True


@contextmanager
def running_prometheus(folder: Path, targets: Mapping[str, str]) -> Iterator[Prometheus]:
    """Prometheus with the project's own configuration, scraping every second.

    Args:
        folder: For its data.
        targets: Addresses in the configuration and those to scrape in their place.
    """
    config = (RULES / "prometheus.yml").read_text().replace("15s", "1s")
    for there, here in targets.items():
        assert there in config
        config = config.replace(there, here)
    (folder / "prometheus.yml").write_text(config)
    shutil.copy(RULES / "alerts.yml", folder)
    port = free_port()
    flags = [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("wb") as log:
        command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", *flags]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        prometheus = Prometheus(port)
        wait_until(prometheus.is_up, 60, "start of Prometheus")
        yield prometheus
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        finally:
            process.kill()
            process.wait()
