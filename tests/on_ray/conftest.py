"""A Ray of 2 CPUs and a GPU that is none, with the servers of `deploy/ray/serve.yaml` and engines without models."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import ray
import yaml
from ray import serve

from running_server import free_port, list_uploads, wait_until

CONFIG = Path(__file__).parents[2] / "deploy/ray/serve.yaml"
START_S = 120.0


@dataclass(frozen=True)
class Cluster:
    """A Ray with the servers on it."""

    port: int
    address: str
    folder: Path

    @property
    def shared(self) -> Path:
        return self.folder / "shared"

    def uploads(self) -> list[Path]:
        """What lies in the folder of the proxies, and in that of the replicas."""
        return [*list_uploads(self.shared), *list_uploads(self.folder / "spool")]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def logs(self) -> Path:
        return self.folder / "t/session_latest/logs/serve"

    def http(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=120, trust_env=False)

    def deploy(self, config: dict[str, Any]) -> None:
        """Do with a configuration what users do: `serve run`."""
        path = self.folder / "serve.yaml"
        path.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "ray.serve.scripts", "run", "--non-blocking", "--address", self.address]
        subprocess.run([*command, str(path)], check=True, capture_output=True, cwd=self.folder)

    def states(self, app: str) -> dict[str, int]:
        """How many replicas are in which state, by name."""
        deployment = serve.status().applications[app].deployments.get(app)
        states = deployment.replica_states if deployment else {}
        return {str(state): count for state, count in states.items() if count}


def small_config(port: int) -> dict[str, Any]:
    """The shipped configuration, small and quick, with engines that obey."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text("utf-8"))
    config["http_options"]["port"] = port
    for app in config["applications"]:
        app["args"] |= {"engine": "fake", "model": "fake"}
        deployment = app["deployments"][0]
        deployment["ray_actor_options"] = {"num_cpus": 0.5, "num_gpus": 0.25}
        deployment["graceful_shutdown_timeout_s"] = 20
        quick = {"upscale_delay_s": 0.5, "downscale_delay_s": 2, "metrics_interval_s": 0.5, "look_back_period_s": 1}
        deployment["autoscaling_config"] |= {"max_replicas": 2, "target_ongoing_requests": 2, **quick}
    config["applications"][0]["args"] |= {"window_s": 2, "vad_enabled": False}
    return config


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    # Ray's sockets have long names below this folder, and 107 characters are all that a socket's may have.
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    shared = folder / "shared"
    shared.mkdir()
    (folder / "spool").mkdir()
    os.environ |= {
        "OFFLINE": "true",
        "SHARED_SPOOL_DIR": str(shared),
        "SPOOL_DIR": str(folder / "spool"),
        "TTS_CACHE_DIR": str(folder / "speech"),
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "voice_stack.ray_serve.uploads.around_memory",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    ray.init(
        num_cpus=2,
        num_gpus=1,
        include_dashboard=False,
        object_store_memory=100 << 20,
        logging_level="WARNING",
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(folder / "t"),
    )
    try:
        running = Cluster(free_port(), ray.get_runtime_context().gcs_address, folder)
        running.deploy(small_config(running.port))
        wait_until(
            lambda: all("RUNNING" in running.states(app) for app in ("asr", "tts")), START_S, "the servers start"
        )
        yield running
    finally:
        serve.shutdown()
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
