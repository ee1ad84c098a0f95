"""The images, built from the Dockerfile and run: read-only, unprivileged, with their volume alone to write to."""

import io
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import httpx2
import pytest

from deploy.images import Image, Storage, data_folder
from running_server import free_port, wait_until

START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 30
MAX_SIZE_MIB = 700
SPEECH = {"model": "tts-1", "voice": "alloy", "input": "The weather is nice today."}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Image]]:
    """Builds a target."""
    storage = Storage(tmp_path_factory.mktemp("images"))
    base = storage.make_base()
    try:
        yield lambda target: storage.build(target, base)
    finally:
        storage.buildah("rm", "--all")
        storage.buildah("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def image(images: Callable[[str], Image]) -> Image:
    return images("tts")


@pytest.fixture
def data(image: Image, tmp_path: Path) -> Iterator[Path]:
    with data_folder(tmp_path, image) as folder:
        yield folder


@contextmanager
def _running(image: Image, data: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    place = {f"{image.entry_point[-1].upper()}_HOST": "127.0.0.1", **_port(image, port)}
    command = image.command(data, image.entry_point, **place, OFFLINE="true")
    log = data.parent / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: process.poll() is not None or _is_healthy(image, data, port), START_TIMEOUT_S, "start")
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.kill()
        process.wait()


def _call(image: Image, data: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    whole = image.command(data, command, **environment)
    return subprocess.run(whole, capture_output=True, text=True, timeout=60, check=False)


def _is_healthy(image: Image, data: Path, port: int) -> bool:
    test = image.config["Healthcheck"]
    assert isinstance(test, dict)
    kind, *command = test["Test"]
    assert kind == "CMD"
    return _call(image, data, *command, **_port(image, port)).returncode == 0


def _port(image: Image, port: int) -> dict[str, str]:
    return {f"{image.entry_point[-1].upper()}_PORT": str(port)}


@pytest.mark.timeout(1800)
def test_the_server_speaks_from_a_read_only_image(image: Image, data: Path) -> None:
    port = free_port()
    assert not _is_healthy(image, data, port)
    with _running(image, data, port) as process:
        answer = httpx2.post(f"http://127.0.0.1:{port}/v1/audio/speech", json=SPEECH, timeout=120, trust_env=False)
        assert answer.status_code == 200, answer.text
        with av.open(io.BytesIO(answer.content), "r") as container:
            assert container.streams.audio[0].codec_context.name.startswith("mp3")
        process.terminate()  # it brings to its end what it still keeps of the answer
        process.wait(STOP_TIMEOUT_S)
    assert (data / "models").is_dir()
    assert (data / "cache").is_dir()
    assert not _is_healthy(image, data, port)


def test_whoever_breaks_in_has_no_rights(image: Image, data: Path) -> None:
    status = _call(
        image, data, "sh", "-c", "id -u; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status"
    ).stdout.split()
    assert status == ["10001", "CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1"]
    for path in ("/opt/voice-stack/bin/x", "/usr/local/bin/x", "/etc/x"):
        assert "Read-only file system" in _call(image, data, "touch", path).stderr
    assert _call(image, data, "touch", "/data/x", "/tmp/x").returncode == 0


def test_the_image_is_small_and_without_tools(image: Image) -> None:
    size = sum(path.stat().st_size for path in (image.files / "opt").rglob("*") if not path.is_symlink())
    assert size < MAX_SIZE_MIB << 20
    found = {
        path.name for folder in ("opt/voice-stack/bin", "source", "wheels") for path in (image.files / folder).glob("*")
    }
    assert "voice-stack" in found
    assert not {name for name in found if name in {"pip", "pip3"} or name.endswith(".whl")}


def test_what_container_engines_read(image: Image) -> None:
    assert image.config["User"] == "10001:10001"
    assert image.config["StopSignal"] == "SIGTERM"
    assert image.config["Volumes"] == {"/data": {}}
    assert image.config["ExposedPorts"] == {"5002/tcp": {}}


@pytest.mark.timeout(1800)
def test_the_voice_server_needs_no_more_than_its_extra(images: Callable[[str], Image], tmp_path: Path) -> None:
    image, port = images("chat"), free_port()
    with data_folder(tmp_path, image) as data, _running(image, data, port) as process:
        answer = httpx2.post(f"http://127.0.0.1:{port}/v1/voice/sessions", json={}, timeout=60, trust_env=False)
        assert answer.status_code == 201, answer.text
        process.terminate()
        process.wait(STOP_TIMEOUT_S)
        assert (data / "conversations.db").is_file()
    size = sum(path.stat().st_size for path in (image.files / "opt").rglob("*") if not path.is_symlink())
    assert size < MAX_SIZE_MIB / 2 * (1 << 20)
