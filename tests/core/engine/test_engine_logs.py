"""Lines of the engine process name the requests that they are about, in batches of several jobs, too."""

import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from e2e.sound import tone
from voice_stack.asr.engine.base import WindowResult
from voice_stack.asr.engine.fake import FakeEngine
from voice_stack.asr.engine_factory import engine_specs
from voice_stack.asr.listening.workload import AsrWorkload
from voice_stack.asr.request import AsrWorkerConfig, AudioFile, DecodeOptions, EngineOptions, TranscriptionRequest
from voice_stack.asr.settings import AsrSettings
from voice_stack.core.feeds import Inbox
from voice_stack.core.jobs import Job, Unit, Urgency
from voice_stack.core.logging import JsonFormatter, logged_for


class DoubtfulEngine(FakeEngine):
    """Is never sure of what it hears, and says when it listens."""

    def decode(self, windows: Sequence[NDArray[np.float32]], options: DecodeOptions) -> list[WindowResult]:
        logging.getLogger("voice_stack").info("listening")
        return [replace(result, avg_logprob=-3.0) for result in super().decode(windows, options)]


def _workload(tmp_path: Path) -> AsrWorkload:
    config = engine_specs(AsrSettings(engine="fake", model="fake", vad_enabled=False), "fake")[0].config
    assert isinstance(config, AsrWorkerConfig)
    options = EngineOptions(device="cpu", compute_type="auto", threads=1, max_batch=2)
    workload = AsrWorkload(config, lambda: DoubtfulEngine(tmp_path, options))
    workload.load()
    return workload


def _plan(workload: AsrWorkload, path: Path, number: int) -> Unit:
    request = TranscriptionRequest(AudioFile(path), DecodeOptions("en"))
    (unit,) = [
        step
        for step in workload.plan(Job(f"job-{number}", request, f"req-{number}"), Inbox())
        if isinstance(step, Unit)
    ]
    return unit


def test_lines_of_a_shared_batch_and_of_each_window(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(tone(2.0))
    workload = _workload(tmp_path)
    units = [_plan(workload, path, number) for number in (1, 2)]
    lines: list[dict[str, object]] = []
    caplog.handler.setFormatter(JsonFormatter("engine"))
    with caplog.at_level(logging.DEBUG), logged_for(["req-1", "req-2"]):
        list(workload.run(units, Urgency.SHARED))
        lines = [json.loads(line) for line in caplog.text.splitlines()]
    found = [(line["message"], line["request_id"]) for line in lines]
    assert found == [("listening", "req-1,req-2"), ("window decoded again", "req-1"), ("window decoded again", "req-2")]


def test_collector_without_the_extra_is_a_warning_with_the_command(tmp_path: Path) -> None:
    # An installation without OpenTelemetry: nothing of that name can be imported.
    code = (
        "import sys, logging; sys.modules['opentelemetry'] = None; logging.basicConfig();"
        "from voice_stack.core.telemetry.registry import start_traces, active_traces;"
        "start_traces('asr', '1'); assert active_traces() is None"
    )
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    for given, wanted in ((environment, 1), ({}, 0)):
        command = [sys.executable, "-c", code]
        path = {"PYTHONPATH": ":".join(sys.path)}
        done = subprocess.run(command, env={**path, **given}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("pip install 'voice-stack[otel]'") == wanted
