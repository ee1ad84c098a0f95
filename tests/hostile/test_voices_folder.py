"""A folder of voices in which others do what they like: each thing costs one voice at most, and nobody waits."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import pytest

from chaos.speaking import FAKE_TTS, ask
from chaos.speaking import URL as SPEECH_URL
from running_server import RunningServer, free_port, wait_until
from tts.voices.sounds import BIRCH
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.models.store import ModelStore
from voice_stack.tts.models import TTS_CATALOGUE, read_facts
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.voices.builtin import piper_voices
from voice_stack.tts.voices.recordings import Sidecar, read_record
from voice_stack.tts.voices.shelf import Shelf

StartServer = Callable[..., AbstractContextManager[RunningServer]]
VOICES = "/v1/audio/voices"
CONSENTS = "/v1/audio/voice_consents"
SOUND = BIRCH.read_bytes()
PATIENCE_S = 10.0
"""Of a client: none of these things may be waited for."""
UPLOAD_ID, CONSENT_ID = "voice_" + "a" * 32, "cons_" + "b" * 32


def _voice(folder: Path, name: str, toml: bytes | str | None = None) -> None:
    (folder / f"{name}.flac").write_bytes(SOUND)
    if toml is not None:
        (folder / f"{name}.toml").write_bytes(toml.encode() if isinstance(toml, str) else toml)


def _bytes_named(folder: Path, name: bytes, content: bytes) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(content)


def _fill(folder: Path, outside: Path) -> None:
    """Everything at once."""
    (outside / "many").mkdir(parents=True)
    for path in (outside / "secret.flac", outside / "many" / "one.flac"):
        path.write_bytes(SOUND)
    (outside / "many" / "consent.toml").write_text('name = "x"\nlanguage = "en"\ncreated_at = 1')
    (folder / "within").mkdir(parents=True)
    (folder / "within" / "real.flac").write_bytes(SOUND)
    (folder / "inner.flac").symlink_to("within/real.flac")
    for name, target in {
        "link.flac": outside / "secret.flac",
        "linked": outside / "many",
        UPLOAD_ID: outside / "many",
        "zero.flac": Path("/dev/zero"),
        "loop": Path(),
        "self.flac": Path("self.flac"),
        "nowhere.flac": Path("nowhere"),
    }.items():
        (folder / name).symlink_to(target)
    (folder / "within" / "up").symlink_to("..")
    _voice(folder, "nested", "a = " + "[" * 20_000)
    _voice(folder, "tables", "a = " + "{a = " * 5000 + "1" + "}" * 5000)
    _voice(folder, "binary", bytes(range(256)) * 20)
    _voice(folder, "digits", "created_at = " + "9" * 5000)
    _voice(folder, "late", "created_at = " + "9" * 300)
    _voice(folder, "endless")
    with (folder / "endless.toml").open("wb") as file:
        file.truncate(10 << 30)
    (folder / "odd").mkdir()
    (folder / "odd" / "a.flac").write_bytes(SOUND)
    _bytes_named(folder / "odd", b"b\xff.flac", b"no sound")
    _bytes_named(folder, b"c\xff.flac", SOUND)
    _voice(folder, "new\nline")
    _voice(folder, "e\u202evil")
    _voice(folder, "ünï☃")
    os.mkfifo(folder / "pipe.wav")
    os.mkfifo(folder / "odd" / "voice.toml")
    (folder / "model.onnx").write_bytes(b"x")
    os.mkfifo(folder / "model.onnx.json")
    consents = folder / ".consents"
    (consents / CONSENT_ID).mkdir(parents=True)
    os.mkfifo(consents / CONSENT_ID / "consent.toml")
    (consents / f"cons_{'c' * 32}").symlink_to(outside / "many")


SPEAKING = {"inner", "odd", "within", "ünï☃"}
SILENT = {"binary", "digits", "endless", "late", "nested", "tables"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "voices"
    folder.mkdir()
    return folder


@pytest.fixture
def server(start_server: StartServer, folder: Path) -> Iterator[RunningServer]:
    with start_server("tts", **FAKE_TTS, TTS_VOICE_DIR=str(folder)) as server:
        yield server


def _client(server: RunningServer) -> httpx2.Client:
    return httpx2.Client(base_url=server.url, timeout=PATIENCE_S, trust_env=False)


def _speak(client: httpx2.Client, voice: str, text: str = "Hello there.") -> httpx2.Response:
    return client.post(SPEECH_URL, json=ask(text, voice=voice))


def test_each_bad_thing_costs_one_voice_at_most(server: RunningServer, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    _fill(folder, outside)
    before = sorted(outside.rglob("*"))
    with _client(server) as client:
        shown = {voice["id"]: voice for voice in client.get(VOICES).json()["voices"] if voice["kind"] == "cloned"}
        assert set(shown) == SPEAKING | SILENT
        assert {name for name, voice in shown.items() if voice["available"]} == SPEAKING
        for name in SPEAKING:
            assert _speak(client, name).status_code == 200, name
        for name in SILENT:
            refused = _speak(client, name)
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "voice")
            assert f"{name}.toml" in refused.json()["error"]["message"]
        for name in ("link", "linked", UPLOAD_ID, "zero", "loop", "self", "nowhere", "pipe", "model"):
            assert _speak(client, name).status_code == 400, name
            for path in (f"{VOICES}/{name}", f"{VOICES}/{name}/preview"):
                assert client.get(path).status_code == 404, path
            assert client.delete(f"{VOICES}/{name}").status_code == 404
        assert client.get(CONSENTS).json()["data"] == []
        for consent_id in (CONSENT_ID, f"cons_{'c' * 32}"):
            assert client.get(f"{CONSENTS}/{consent_id}").status_code == 404
        assert client.delete(f"{CONSENTS}/cons_{'c' * 32}").status_code == 404
    assert sorted(outside.rglob("*")) == before, "nothing was deleted through a link"
    log = server.log.read_text()
    assert "Traceback (most" not in log
    assert "leads out of the folder" in log


@pytest.mark.timeout(20)
def test_a_pipe_in_place_of_a_file_is_not_waited_for(folder: Path) -> None:
    """As between a look at the folder and the reading, where no look can help."""
    shelf = Shelf(folder)
    _voice(folder, "anna", "")
    voice = shelf.voices()["anna"]
    for name in ("anna.flac", "anna.toml", "a.onnx.json"):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
    assert "cannot be read" in shelf.examine(voice).refusal
    with pytest.raises((OSError, InvalidRequestError)):
        read_record(folder / "anna.toml", Sidecar)
    assert read_facts(folder / "a.onnx.json") is None


def test_facts_beside_a_model_are_bounded(folder: Path) -> None:
    deep = folder / "deep.onnx.json"
    deep.write_text("[" * 100_000)
    assert read_facts(deep) is None
    with (folder / "endless.onnx.json").open("wb") as file:
        file.truncate(10 << 30)
    assert read_facts(folder / "endless.onnx.json") is None


def test_folders_that_go_while_they_are_looked_through(folder: Path) -> None:
    settings = TtsSettings.read(voice_dir=folder, model_dir=folder / "models")
    store = ModelStore(TTS_CATALOGUE, settings.model_dir, offline=True)
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            for number in range(20):
                (folder / "models" / f"m{number}" / "x").mkdir(parents=True)
            for number in range(20):
                shutil.rmtree(folder / "models" / f"m{number}")

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            assert list(piper_voices(settings, store)) is not None
    finally:
        stop.set()
        thread.join()


def _remake(place: Path, turn: int) -> None:
    """A voice is deleted, and comes back as something else."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    match turn % 4:
        case 0:
            (place / "a.flac").write_bytes(SOUND)
        case 1:
            (place / "a.flac").mkdir()
        case 2:
            (place / "a.flac").symlink_to("/etc/passwd")
        case _:
            (place / "voice.toml").write_text(f'name = "number {turn}"')
            (place / "a.flac").write_bytes(SOUND)


CALLS: dict[str, Callable[[httpx2.Client, int], httpx2.Response]] = {
    "list": lambda client, _: client.get(VOICES),
    "speak": lambda client, turn: _speak(client, f"v{turn % 4}", f"Number {turn}."),
    "preview": lambda client, turn: client.get(f"{VOICES}/v{turn % 4}/preview?format=wav"),
}


def _use(server: RunningServer, name: str, stop: threading.Event, failures: list[str]) -> None:
    """Call a server again and again; what went wrong is added to the failures."""
    turn = 0
    with _client(server) as client:
        while not stop.is_set():
            turn += 1
            answer = CALLS[name](client, turn)
            # The engine found its recording gone: nothing else may go wrong.
            if (answer.status_code >= 500 and "cannot be read" not in answer.text) or (
                name == "list" and answer.is_error
            ):
                failures.append(f"{name}: {answer.text}")
    failures.extend([] if turn > 5 else [f"{name}: {turn} turns"])


def test_voices_that_are_deleted_while_they_are_used(server: RunningServer, folder: Path) -> None:
    stop, failures = threading.Event(), list[str]()

    def churn() -> None:
        turn = 0
        while not stop.wait(0.004):
            turn += 1
            for number in range(4):
                _remake(folder / f"v{number}", turn)

    users = (threading.Thread(target=_use, args=(server, name, stop, failures)) for name in CALLS)
    threads = [threading.Thread(target=churn), *users]
    for thread in threads:
        thread.start()
    time.sleep(5)
    stop.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert failures == []
    assert "Traceback (most" not in server.log.read_text()
    _remake(folder / "v0", 0)
    with _client(server) as client:
        assert _speak(client, "v0", "And now in peace.").status_code == 200


def test_thousands_of_files_that_are_none(server: RunningServer, folder: Path) -> None:
    _voice(folder, "anna")
    (folder / "x").mkdir()
    for number in range(2000):
        (folder / f"n{number}.wav").write_bytes(b"no sound")
        (folder / "x" / f"n{number}.wav").write_bytes(b"no sound")
    with _client(server) as client:
        for _ in range(2):
            assert _speak(client, "anna").status_code == 200
            started = time.monotonic()
            assert client.get("/health").status_code == 200
            assert time.monotonic() - started < 5


def test_a_folder_that_cannot_be_written(start_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with start_server("tts", **FAKE_TTS, TTS_VOICE_DIR=str(tmp_path / "file" / "voices")) as server:
        _expect_no_uploads(server.url, tmp_path)
        server.expect_no_uploads()


def _expect_no_uploads(url: str, secret: Path) -> None:
    """Uploads are refused with the reason, and speech goes on."""
    with httpx2.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as client:
        for path, field in ((VOICES, "audio_sample"), (CONSENTS, "recording")):
            form = {"name": "Birch", "language": "en"}
            refused = client.post(path, data=form, files={field: ("a.flac", SOUND)})
            error = refused.json()["error"]
            assert (refused.status_code, error["type"]) == (500, "server_error"), error
            assert "TTS_VOICE_DIR" in error["message"]
            assert str(secret) not in error["message"]
            assert client.get(path).status_code == 200
        assert _speak(client, "alloy").status_code == 200


READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
"""In a mount namespace of its own, so that nobody else sees it."""


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0,
    reason="no namespace may be made here",
)
def test_a_folder_on_a_file_system_that_is_read_only(folder: Path, tmp_path: Path) -> None:
    _voice(folder, "anna")
    port = free_port()
    server = [sys.executable, "-m", "voice_stack", "tts", "--port", str(port)]
    settings = {**FAKE_TTS, "TTS_VOICE_DIR": str(folder), "TTS_CACHE_DIR": str(tmp_path / "cache"), "OFFLINE": "true"}
    settings |= {"SPOOL_DIR": str(tmp_path / "spool"), "API_KEYS_FILE": str(tmp_path / "keys"), "MODEL_DIR": "models"}
    (tmp_path / "spool").mkdir()
    with (tmp_path / "log").open("wb") as log:
        command = ["unshare", "-m", "sh", "-c", READ_ONLY, str(folder), *server]
        process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **settings}, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        try:
            return httpx2.get(f"{url}/health", trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False

    try:
        wait_until(is_up, 30, "start")
        _expect_no_uploads(url, folder)
        with httpx2.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as client:
            assert _speak(client, "anna").status_code == 200
    finally:
        process.terminate()
        process.wait(20)
    assert [path.name for path in folder.iterdir()] == ["anna.flac"]
