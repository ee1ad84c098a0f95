"""Memory of the API processes and the time until both answer."""

import tempfile
from pathlib import Path

from benchmarks.http_cost import transcribe_over_http
from benchmarks.report import Figure
from benchmarks.running import Servers, run_servers
from benchmarks.speech import write_minute_of_speech

STARTS = 3
RSS_BAR_MB = 150.0
START_BAR_S = 3.0


def measure() -> list[Figure]:
    """Start both servers a few times; after the last start send one request to each."""
    starts: list[float] = []
    fresh: dict[str, list[float]] = {"asr": [], "tts": []}
    used: dict[str, list[float]] = {"asr": [], "tts": []}
    for _ in range(STARTS):
        with run_servers() as servers:
            starts.append(servers.start_s)
            for server in fresh:
                fresh[server].append(servers.rss_mb(server))
            if len(starts) == STARTS:
                _send_one_request_each(servers)
                for server in used:
                    used[server].append(servers.rss_mb(server))
    memory = [
        Figure(f"Memory of the {server.upper()} API process, {when}", "MB", tuple(values[server]), bar=RSS_BAR_MB)
        for server in ("asr", "tts")
        for when, values in (("after the start", fresh), ("after a request", used))
    ]
    return [Figure("voice-stack up until both answer /health", "s", tuple(starts), bar=START_BAR_S), *memory]


def _send_one_request_each(servers: Servers) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "minute.wav"
        write_minute_of_speech(servers.urls["tts"], path)
        transcribe_over_http(servers.urls["asr"], path)
