"""Memory of the API processes, the time until both answer, and until one is heard whose engine was idle."""

import tempfile
import time
from pathlib import Path

import httpx2

from benchmarks.http_cost import transcribe_over_http
from benchmarks.report import Figure
from benchmarks.running import NAMES, Servers, run_servers
from benchmarks.speech import CLIP_VOICE, TIMEOUT_S, write_minute_of_speech

STARTS = 3
RSS_BAR_MB = 150.0
START_BAR_S = 3.0
COLD_STARTS = 5
IDLE_S = 1
SETTLED_S = 3.0
"""After it ended for being idle an engine's spare process needs so long until it waits."""
FIRST_SOUND_BAR_S, FIRST_TEXT_BAR_S = 1.0, 1.5
THREE_SECONDS = "The large hall on the first floor shows ships from {} centuries."


def measure() -> list[Figure]:
    """Start the servers a few times; after the last start send one request to each."""
    starts: list[float] = []
    fresh: dict[str, list[float]] = {name: [] for name in NAMES}
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
        for when, values in (("after the start", fresh), ("after a request", used))
        for server in values
    ]
    start = Figure("voice-stack up until all answer /healthz", "s", tuple(starts), bar=START_BAR_S)
    return [start, *memory, *_measure_cold_starts()]


def _measure_cold_starts() -> list[Figure]:
    """First sound and first text after the engines have given their models back."""
    sounds: dict[str, list[float]] = {"hibari-heart": [], CLIP_VOICE: []}
    texts = list[float]()
    idle = {f"{server}_IDLE_TIMEOUT_S": str(IDLE_S) for server in ("ASR", "TTS")}
    with run_servers(**idle) as servers, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.wav"
        # The first round makes the clip, and models are loaded that were not here; it is not counted.
        for number in range(COLD_STARTS + 1):
            for voice, waits in sounds.items():
                _await_idle(servers)
                waits.append(_first_sound_s(servers.urls["tts"], voice, THREE_SECONDS.format(number + 2), path))
            _await_idle(servers)
            started = time.perf_counter()
            transcribe_over_http(servers.urls["asr"], path)
            texts.append(time.perf_counter() - started)
    return [
        *(
            Figure(f"{voice}: first sound after it was idle", "s", tuple(waits[1:]), bar=FIRST_SOUND_BAR_S)
            for voice, waits in sounds.items()
        ),
        Figure("base: 3 s of speech after it was idle", "s", tuple(texts[1:]), bar=FIRST_TEXT_BAR_S),
    ]


def _await_idle(servers: Servers) -> None:
    with httpx2.Client(trust_env=False) as client:
        for url in servers.urls.values():
            while any(engine["pid"] for engine in client.get(f"{url}/status").json()["engines"]):
                time.sleep(0.1)
    time.sleep(SETTLED_S)


def _first_sound_s(url: str, voice: str, text: str, path: Path) -> float:
    """Seconds until the first byte; the whole speech is in the file then, as a WAV file."""
    body = {"model": voice, "input": text, "response_format": "wav"}
    with httpx2.Client(base_url=url, trust_env=False, timeout=TIMEOUT_S) as client:
        started = time.perf_counter()
        with client.stream("POST", "/v1/audio/speech", json={**body, "response_format": "pcm"}) as answer:
            answer.raise_for_status()
            sound = answer.iter_raw()
            next(sound)
            first_s = time.perf_counter() - started
            for _ in sound:
                pass
        path.write_bytes(client.post("/v1/audio/speech", json=body).raise_for_status().content)
    return first_s


def _send_one_request_each(servers: Servers) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "minute.wav"
        write_minute_of_speech(servers.urls["tts"], path)
        transcribe_over_http(servers.urls["asr"], path)
