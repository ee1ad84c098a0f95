"""A gigabyte through the Voice server each way, what passing on costs, and keys on all servers."""

import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx2
import psutil
import pytest

from chat.odd_servers import MIB, run_odd_server
from core.http.sockets.doors import ask_refusal, open_socket
from running_server import RunningServer, wait_until
from voice_stack.core.http.keys import KeyFile, make_key

pytestmark = pytest.mark.alone

StartServer = Callable[..., AbstractContextManager[RunningServer]]
MAX_GROWTH_MIB = 20
MAX_ADDED_S = 0.05
LARGE = 1000 * MIB
BOUNDARY = "boundary-of-this-test"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
SPEECH = {"model": "tts-1", "voice": "alloy", "input": "Said before, and kept.", "response_format": "pcm"}


@pytest.fixture(scope="module")
def chat(start_server: StartServer, fake_asr: RunningServer, fake_tts: RunningServer) -> Iterator[RunningServer]:
    with start_server("chat", CHAT_ASR_URL=fake_asr.url, CHAT_TTS_URL=fake_tts.url) as server:
        yield server


def _rss_mib(server: RunningServer) -> float:
    return float(psutil.Process(server.process.pid).memory_info().rss) / MIB


@contextmanager
def _flat(server: RunningServer) -> Iterator[None]:
    """The server's memory stays flat while the context lasts."""
    before, peak, is_over = _rss_mib(server), [0.0], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.02):
            peak.append(_rss_mib(server))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    print(f"from {before:.1f} MiB to {max(peak):.1f} MiB")
    assert max(peak) < before + MAX_GROWTH_MIB


def _large_form() -> Iterator[bytes]:
    field = 'content-disposition: form-data; name="file"; filename="film.wav"'
    yield f"--{BOUNDARY}\r\n{field}\r\n\r\n".encode()
    for _ in range(LARGE // MIB):
        yield bytes(MIB)
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


@pytest.mark.timeout(600)
def test_a_large_upload_is_not_held(chat: RunningServer, fake_asr: RunningServer) -> None:
    took_s = {}
    for server in (fake_asr, chat):
        with server.http() as client, _flat(chat):
            client.get("/v1/jobs")
            begun = time.monotonic()
            answer = client.post("/v1/audio/transcriptions", content=_large_form(), headers=FORM, timeout=300)
            took_s[server] = time.monotonic() - begun
        assert answer.status_code == 400, answer.text
        fake_asr.expect_no_uploads()
    print(f"direct {took_s[fake_asr]:.1f} s, passed on {took_s[chat]:.1f} s")
    assert not chat.uploads()


def test_too_large_an_upload_is_refused_at_once(chat: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", chat.port), timeout=10) as client:
        head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost\r\ncontent-type: {FORM['content-type']}\r\n"
        client.sendall(f"{head}content-length: {1 << 34}\r\n\r\n".encode())
        begun = time.monotonic()
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 413 ")
        assert time.monotonic() - begun < 5


def test_a_large_answer_is_not_held(start_server: StartServer) -> None:
    with run_odd_server() as odd, start_server("chat", CHAT_ASR_URL=odd.url) as chat, chat.http() as client:
        client.get("/v1/jobs/ok")
        with _flat(chat), client.stream("GET", f"/v1/jobs/large-{LARGE}") as answer:
            chunks = answer.iter_raw()
            taken = len(next(chunks))
            wait_until(lambda: odd.sent_bytes > 0, 5, "the first bytes")
            time.sleep(2)
            assert odd.sent_bytes < 32 * MIB  # who does not read is not written to, all the way
            for chunk in chunks:
                taken += len(chunk)
        assert taken == LARGE


def test_what_passing_on_costs(chat: RunningServer, fake_asr: RunningServer, fake_tts: RunningServer) -> None:
    with fake_tts.http() as client:
        client.post("/v1/audio/speech", json=SPEECH)
    for server, call in (
        (fake_asr, lambda client: client.get("/v1/jobs")),
        (fake_tts, lambda client: client.post("/v1/audio/speech", json=SPEECH)),
    ):
        times: dict[RunningServer, list[float]] = {server: [], chat: []}
        with server.http() as direct, chat.http() as passed:
            for _ in range(300):
                for who, client in ((server, direct), (chat, passed)):
                    begun = time.perf_counter()
                    assert call(client).status_code == 200
                    times[who].append(time.perf_counter() - begun)
        median_s = {who: statistics.median(took) for who, took in times.items()}
        print(f"direct {median_s[server] * 1000:.2f} ms, passed on {median_s[chat] * 1000:.2f} ms")
        assert median_s[chat] - median_s[server] < MAX_ADDED_S


def test_one_file_of_keys_for_all_servers(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")
    keys = {}
    for name, scopes, limit in (("all", ("asr", "tts", "chat"), None), ("ear", ("asr",), 3), ("talk", ("chat",), None)):
        keys[name], record = make_key(name, scopes, requests_per_minute=limit)
        file.add(record)
    shared = {"API_KEYS_FILE": str(file.path), "ASR_ENGINE": "fake", "ASR_MODEL": "fake", "TTS_ENGINE": "fake"}
    with (
        start_server("asr", **shared) as asr,
        start_server("tts", **shared, TTS_MODEL="fake") as tts,
        start_server("chat", **shared, CHAT_ASR_URL=asr.url, CHAT_TTS_URL=tts.url) as chat,
        httpx2.Client(base_url=chat.url, trust_env=False, timeout=30) as client,
    ):

        def ask(path: str, name: str) -> httpx2.Response:
            return client.get(path, headers={"authorization": f"Bearer {keys[name]}"} if name else {})

        assert ask("/v1/jobs", "").status_code == 401
        for path in ("/v1/jobs", "/v1/audio/voices", "/v1/models", "/v1/models/whisper-1"):
            assert ask(path, "all").status_code == 200, path
        assert [ask("/v1/jobs", "ear").status_code for _ in range(4)] == [200, 200, 200, 429]
        assert ask("/v1/audio/voices", "talk").json()["error"]["code"] == "missing_scope"
        all_keys = {"authorization": f"Bearer {keys['all']}"}
        flat = client.post("/v1/realtime/transcription_sessions", json={}, headers=all_keys).json()["client_secret"]
        body = {"session": {"type": "transcription"}}
        for secret in (flat, client.post("/v1/realtime/client_secrets", json=body, headers=all_keys).json()):
            opened_with = {"authorization": f"Bearer {secret['value']}"}
            with open_socket(chat.port, "/v1/realtime", opened_with) as session:
                assert "realtime.transcription_session" in str(session.recv(5))
        asked = "/v1/realtime?intent=transcription"
        offered = ("realtime", f"openai-insecure-api-key.{keys['all']}")
        with open_socket(chat.port, asked, offered=offered) as session:
            assert session.subprotocol == "realtime"
            assert "session.created" in str(session.recv(5))
        assert ask_refusal(chat.port, asked, {"authorization": "Bearer ek_none"})[0] == 401
        with (
            start_server("chat", **shared, CHAT_ASR_URL=asr.url, CHAT_ASR_KEY=keys["all"]) as other,
            other.http() as mine,
        ):
            mine.headers["authorization"] = f"Bearer {keys['talk']}"
            assert mine.get("/v1/jobs").status_code == 200
            made = mine.post("/v1/realtime/client_secrets", json=body).json()
            with open_socket(other.port, "/v1/realtime", {"authorization": f"Bearer {made['value']}"}) as session:
                assert made["session"]["object"] in str(session.recv(5))
        assert keys["all"] not in chat.log.read_text() + asr.log.read_text() + tts.log.read_text()
