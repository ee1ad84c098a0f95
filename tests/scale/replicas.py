"""Replicas: the real servers, each on a machine of its own, with the engine that works without a model."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2

from running_server import wait_until
from scale import store
from scale.load import CLIP
from scale.network import Lan, Machine

PORTS = {"asr": 5001, "tts": 5002, "chat": 5003}


def _fake(prefix: str) -> dict[str, str]:
    return {f"{prefix}_ENGINE": "fake", f"{prefix}_MODEL": "fake", f"{prefix}_PRELOAD": "true"}


BALANCER = "http://10.0.0.2:8080"
SETTINGS = {
    "asr": {**_fake("ASR"), "ASR_VAD_ENABLED": "false", "ASR_WINDOW_S": "2", "ASR_MAX_BATCH": "1"},
    "tts": _fake("TTS"),
    "chat": {"CHAT_ASR_URL": f"{BALANCER}/asr", "CHAT_TTS_URL": f"{BALANCER}/tts"},
}
"""Windows of two seconds, one by one; silence counts as speech."""
WITH_CHAT = 3
START_TIMEOUT_S = 300


class Replica:
    """A machine with an ASR and a TTS server, `r0` at 10.0.0.11 and so on; the first three have a Voice server too."""

    def __init__(self, lan: Lan, number: int, folder: Path) -> None:
        self.name, self._folder = f"r{number}", folder / f"r{number}"
        self.machine: Machine = lan.add(self.name, f"10.0.0.{11 + number}")
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._kinds = [kind for kind in PORTS if kind != "chat" or number < WITH_CHAT]
        for kind in self._kinds:
            (self._folder / kind / "spool").mkdir(parents=True)

    def start(self) -> None:
        """Start its servers; `wait_until_ready` waits for them."""
        for kind in self._kinds:
            self._processes[kind] = self._start(kind)

    def _start(self, kind: str) -> subprocess.Popen[bytes]:
        folder, prefix = self._folder / kind, kind.upper()
        ours = ("ASR_", "TTS_", "CHAT_", "API_", "LOG_")
        settings = {
            "REPLICA": self.name,
            "TRUSTED_PROXIES": "10.0.0.0/29",
            "OFFLINE": "true",
            "SPOOL_DIR": str(folder / "spool"),
            "MODEL_DIR": str(folder / "models"),
            "API_KEYS_FILE": str(folder / "keys.json"),
            "ASR_JOBS_DIR": str(folder / "jobs"),
            f"{prefix}_HOST": "0.0.0.0",
            f"{prefix}_ROOT_PATH": f"/{kind}",
            "CHAT_DB": str(folder / "chat.db"),
            "TTS_CACHE_DIR": str(folder / "speech"),
            **SETTINGS[kind],
            **store.SETTINGS,
        }
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | settings
        with (folder / "server.log").open("ab") as output:
            return subprocess.Popen(
                self.machine.command(sys.executable, "-m", "voice_stack", kind),
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def url(self, kind: str) -> str:
        """Of one of its servers, past the balancers."""
        return f"http://{self.machine.address}:{PORTS[kind]}"

    def log(self, kind: str) -> str:
        """What one of its servers wrote, in all its lives."""
        return (self._folder / kind / "server.log").read_text("utf-8")

    def is_ready(self) -> bool:
        """Whether they take work."""
        for kind, process in self._processes.items():
            assert process.poll() is None, self.log(kind)
            try:
                if httpx2.get(f"{self.url(kind)}/ready", timeout=5, trust_env=False).status_code != 200:
                    return False
            except httpx2.TransportError:
                return False
        return True

    def wait_until_ready(self) -> None:
        """Return when they take work."""
        wait_until(self.is_ready, START_TIMEOUT_S, f"start of {self.name}")

    def warm_up(self) -> None:
        """Have each do something: the first work takes a second more."""
        with httpx2.Client(timeout=60, trust_env=False) as client:
            form, files = {"model": "whisper-1"}, {"file": ("clip.wav", CLIP)}
            heard = client.post(f"{self.url('asr')}/v1/audio/transcriptions", data=form, files=files)
            speech = {"model": "tts-1", "voice": "alloy", "input": f"Good morning, {self.name}."}
            said = client.post(f"{self.url('tts')}/v1/audio/speech", json=speech)
        assert (heard.status_code, said.status_code) == (200, 200), (heard.text, said.text)

    def kill(self) -> None:
        """End its servers and their engines without a word."""
        self.machine.kill()
        for process in self._processes.values():
            process.wait()

    def begin_stop(self) -> None:
        """Ask its servers to stop, as a system does before an update."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)

    def wait_until_stopped(self) -> None:
        """Return when they have ended by themselves."""
        for process in self._processes.values():
            assert process.wait(60) == 0

    def metric(self, kind: str, name: str) -> float:
        """The sum of a metric over its labels, as a server tells it."""
        text = httpx2.get(f"{self.url(kind)}/metrics", timeout=30, trust_env=False).text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name}{{"))
