"""Receivers of webhooks that mean ill, URLs that want to be others, keys that end while they are in use."""

import base64
import hashlib
import hmac
import http.client
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil
import pytest

from chaos.listening import FAKE_ASR, URL, form
from chaos.speaking import FAKE_TTS, ask
from chaos.speaking import URL as SPEECH_URL
from chaos.test_clock import Clock
from core.http.limits.raw_client import connect
from running_server import RunningServer, wait_until
from voice_stack.asr.jobs.webhooks import check_webhook_url
from voice_stack.core.errors import UnsupportedValueError
from voice_stack.core.http.keys import KeyFile, KeyRing, make_key

StartServer = Callable[..., AbstractContextManager[RunningServer]]
SECRET = b"a key of thirty-two bytes, no less"
TOLERANCE_S = 300
"""By which a receiver lets a timestamp differ, as the specification's libraries do."""
HOUR_S = 3600


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


def verify(secret: bytes, headers: dict[str, str], body: bytes, now_s: float) -> str:
    """What the official libraries do: the message's id if it is genuine and fresh."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    given = [one.partition(",")[2] for one in headers["webhook-signature"].split() if one.startswith("v1,")]
    assert any(hmac.compare_digest(wanted, one) for one in given), "no matching signature"
    assert abs(int(headers["webhook-timestamp"]) - now_s) < TOLERANCE_S, "too old, or from the future"
    return headers["webhook-id"]


@dataclass
class Heard:
    """What a receiver heard, and with which statuses it answers first."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    messages: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Heard]:
    state = Heard()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            state.messages.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(state.statuses.pop(0) if state.statuses else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield state
        server.shutdown()
        thread.join()


def submit(client: httpx2.Client, webhook_url: str) -> str:
    answer = client.post(URL, **form(0.5, background="true", webhook_url=webhook_url))  # type: ignore[arg-type]
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def webhook(client: httpx2.Client, job_id: str) -> dict[str, object]:
    return dict(client.get(f"/v1/jobs/{job_id}").json()["webhook"])


def test_each_attempt_is_fresh_and_its_message_the_same(
    start_server: StartServer, receiver: Heard, clock: Clock
) -> None:
    receiver.statuses[:] = [503]
    secret = "whsec_" + base64.b64encode(SECRET).decode()
    settings = {"ASR_WEBHOOK_ALLOWED": "127.0.0.1", "ASR_WEBHOOK_SECRET": secret, **clock.environment}
    with start_server("asr", **FAKE_ASR, **settings) as server, server.http() as client:
        job_id = submit(client, receiver.url)
        wait_until(lambda: receiver.messages, 20, "the first attempt")
        clock.shift(HOUR_S)  # as if the second attempt came an hour later
        wait_until(lambda: webhook(client, job_id)["status"] == "delivered", 20, "the second attempt")
    (first, body), (second, same) = receiver.messages
    now_s = time.time()
    assert verify(SECRET, first, body, now_s) == verify(SECRET, second, same, now_s + HOUR_S) == f"msg_{job_id}"
    assert body == same, "a receiver that drops what it knows drops the same"
    assert first["webhook-signature"] != second["webhook-signature"]
    lies = [
        (b"another key", second, same),
        (SECRET, {**second, "webhook-id": "msg_other"}, same),
        (SECRET, {**second, "webhook-timestamp": first["webhook-timestamp"]}, same),
        (SECRET, second, same.replace(b"completed", b"failed")),
    ]
    for secret_of, headers, content in lies:
        with pytest.raises(AssertionError, match="no matching signature"):
            verify(secret_of, headers, content, now_s + HOUR_S)
    with pytest.raises(AssertionError, match="too old"):
        verify(SECRET, first, body, now_s + HOUR_S)


def _informs_for_ever(sock: socket.socket) -> None:
    while True:
        sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 1000)


def _has_a_long_header(sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        sock.sendall(b"a" * 65_536)


def _has_many_headers(sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        sock.sendall(b"A: b\r\n" * 10_000)


def _has_a_long_body(sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 500 Sorry\r\n\r\n")
    while True:
        sock.sendall(b"a" * 65_536)


def _is_slow(sock: socket.socket) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100:
        sock.sendall(bytes([byte]))
        time.sleep(0.5)


def _says_nothing(sock: socket.socket) -> None:
    while sock.recv(65_536):
        pass


def _is_no_http(sock: socket.socket) -> None:
    sock.sendall(b"\x00\xff" * 1000)


@contextmanager
def _behaving(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A receiver that behaves so; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer(sock: socket.socket) -> None:
            with sock:
                sock.settimeout(30)
                try:
                    sock.recv(65_536)
                    behave(sock)
                except OSError:
                    pass

        def listen() -> None:
            while True:
                try:
                    sock, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(sock,), daemon=True).start()

        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        listening.shutdown(socket.SHUT_RDWR)


ILL = (_informs_for_ever, _has_a_long_header, _has_many_headers, _has_a_long_body, _is_slow, _says_nothing, _is_no_http)
MOST_MIB = 48
MOST_HEALTH_S = 5.0


def test_no_receiver_holds_the_server_or_fills_it(start_server: StartServer, receiver: Heard) -> None:
    with start_server("asr", ASR_WEBHOOK_ALLOWED="127.0.0.1", **FAKE_ASR) as server, server.http() as client:
        client.post(URL, **form(0.5))  # type: ignore[arg-type]
        process = psutil.Process(server.process.pid)
        before, most = process.memory_info().rss, 0
        jobs: dict[str, str] = {}
        receivers = [_behaving(behave) for behave in ILL]
        try:
            for behave, one in zip(ILL, receivers, strict=True):
                jobs[submit(client, one.__enter__())] = behave.__name__
            good = submit(client, receiver.url)
            wait_until(lambda: webhook(client, good)["status"] == "delivered", 10, "the good one is told meanwhile")
            waiting, started = set(jobs), time.monotonic()
            while waiting:
                assert time.monotonic() - started < 20, {jobs[job_id] for job_id in waiting}
                asked = time.monotonic()
                assert client.get("/health").status_code == 200
                assert time.monotonic() - asked < MOST_HEALTH_S
                waiting = {job_id for job_id in waiting if not webhook(client, job_id)["attempts"]}
                most = max(most, process.memory_info().rss)
                time.sleep(0.1)
            assert {str(webhook(client, job_id)["status"]) for job_id in jobs} == {"pending"}, "none is taken for told"
            for job_id in jobs:
                assert client.delete(f"/v1/jobs/{job_id}").json()["deleted"]
        finally:
            for one in receivers:
                one.__exit__(None, None, None)
        assert (most - before) >> 20 < MOST_MIB
        assert "Traceback (most" not in server.log.read_text()


ALLOWED = ["hooks.lan", "box.lan:8080", "https://safe.lan/asr/", "[::1]:9000"]


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.lan@evil.example/",
        "http://hooks.lan:80@evil.example/",
        "http://box.lan:8080@evil.example/",
        "http://hooks.lan\\@evil.example/",
        "http://box.lan:8080\\@evil.example/",
        "http:\\\\hooks.lan/",
        "http:/\\hooks.lan/",
        "http://hooks.lan\\.evil.example/",
        "http://hooks.lan%00.evil.example/",
        "http://hooks.lan%2eevil.example/",
        "http://evil.example%00.hooks.lan/",
        "http://hooks.lan\uff0fevil.example/",
        "http://hooks.lan\u2044evil.example/",
        "http://hooks.lan,evil.example/",
        "http://127.1/",
        "http://2130706433/",
        "http://[::ffff:127.0.0.1]:9000/",
        "http://[::1]:9001/",
        "http://[::1]]/",
        "http://[hooks.lan]/",
        "http://hooks.lan:0/",
        "http://hooks.lan:65536/",
        "http://hooks.lan:-1/",
        "https://safe.lan/asr/%252e%252e/admin",
        "https://safe.lan/asr/%25252e%25252e/admin",
        "https://safe.lan/asr/..;/admin",
        "https://safe.lan/asr/..;x=y/admin",
        "https://safe.lan/asr/x%5c..%5c..%5cadmin",
        "https://safe.lan/asr/x\\..\\..\\admin",
        "https://safe.lan/asr/x%2f..%2f..%2fadmin",
        "http://hooks.lan/" + "a" * 70_000,
        "http://hooks.lan/ x\r\nHost: evil.example",
        "//hooks.lan/",
        "http:hooks.lan",
    ],
)
def test_urls_that_want_to_be_others(url: str) -> None:
    with pytest.raises(UnsupportedValueError) as caught:
        check_webhook_url(url, ALLOWED)
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("HTTP://HOOKS.LAN/x", "http://hooks.lan/x"),
        ("http://hooks。lan/", "http://hooks.lan/"),
        ("http://box.lan:8080?@evil.example/", "http://box.lan:8080?@evil.example/"),
        ("http://[::1]:9000/x", "http://[::1]:9000/x"),
        ("https://safe.lan/asr/a..b/...", "https://safe.lan/asr/a..b/..."),
    ],
)
def test_what_is_called_is_what_was_checked(url: str, called: str) -> None:
    assert check_webhook_url(url, ALLOWED) == called


@pytest.mark.alone
def test_a_key_takes_as_long_wherever_it_stands(tmp_path: Path) -> None:
    secrets, records = zip(*(make_key(f"key {number}", ["asr"]) for number in range(2000)), strict=True)
    file = KeyFile(tmp_path / "keys.json")
    file._write(records)
    assert not any(secret in file.path.read_text() for secret in secrets[:50])
    ring = KeyRing([], file, ("asr",))

    def least_s(key: str, is_known: bool) -> float:
        times_s = []
        for _ in range(30):
            started = time.perf_counter()
            assert (ring.find(key.encode()) is not None) is is_known
            times_s.append(time.perf_counter() - started)
        return min(times_s)

    first_s, last_s, unknown_s = least_s(secrets[0], True), least_s(secrets[-1], True), least_s("vs-0", False)
    # One that stopped where it finds would find the first a thousand times sooner.
    assert max(first_s, last_s, unknown_s) < 3 * min(first_s, last_s, unknown_s)


def _send(sock: socket.socket, key: str, method: str, path: str, body: bytes, content_type: str) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    sock.sendall(head.encode() + body)


def _expect_401(sock: socket.socket, key: str, code: str) -> None:
    _send(sock, key, "GET", "/v1/models", b"", "application/json")
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    assert (answer.status, json.loads(answer.read())["error"]["code"]) == (401, code)


@pytest.mark.parametrize("way", ["revoked", "expired"])
@pytest.mark.parametrize("kind", ["asr", "tts"])
def test_a_stream_outlives_its_key_and_the_next_request_does_not(
    start_server: StartServer, tmp_path: Path, kind: str, way: str
) -> None:
    file = KeyFile(tmp_path / "keys.json")
    lasting, record = make_key("lasting", ["asr", "tts"])
    file.add(record)
    settings = {**(FAKE_ASR if kind == "asr" else FAKE_TTS), "API_KEYS_FILE": str(file.path)}
    text = " ".join(f"Sentence number {number} takes sleep=0.3 seconds." for number in range(8))
    if kind == "asr":
        fields: dict[str, object] = form(16.0, stream="true", prompt="sleep=0.3")
        request, path = httpx2.Request("POST", "http://x", **fields), URL  # type: ignore[arg-type]
    else:
        request, path = httpx2.Request("POST", "http://x", json=ask(text, stream_format="sse")), SPEECH_URL
    with start_server(kind, **settings) as server, connect(server.port) as sock, server.http() as client:
        mortal, record = make_key("mortal", [kind], expires_at=int(time.time()) + 3 if way == "expired" else None)  # type: ignore[list-item]
        file.add(record)
        headers, later = {"authorization": f"Bearer {mortal}"}, {"authorization": f"Bearer {lasting}"}
        wait_until(lambda: client.get("/v1/models", headers=headers).status_code == 200, 15, "the key is known")
        job_id = None
        if kind == "asr":
            job_id = client.post(URL, headers=headers, **form(4.0, background="true", prompt="sleep=0.5")).json()["id"]  # type: ignore[arg-type]
        _send(sock, mortal, "POST", path, request.read(), request.headers["content-type"])
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert answer.status == 200
        first = answer.read(40)
        if way == "revoked":
            file.remove("mortal")
        code = "invalid_api_key" if way == "revoked" else "expired_api_key"
        wait_until(lambda: client.get("/v1/models", headers=headers).status_code == 401, 5, "the key is over")
        stream = first + answer.read()
        assert b'"error"' not in stream
        assert b".done" in stream.strip().splitlines()[-1], "it ended as it began"
        _expect_401(sock, mortal, code)
        if job_id is not None:
            state = f"/v1/jobs/{job_id}"
            wait_until(lambda: client.get(state, headers=later).json()["status"] == "completed", 20, "the job is done")
            assert client.get(f"{state}/result", headers=headers).status_code == 401
            assert client.get(f"{state}/result", headers=later).status_code == 200


def test_keys_end_by_the_clock_and_limits_do_not(start_server: StartServer, clock: Clock, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    secret, record = make_key("phone", ["asr"], expires_at=int(time.time()) + HOUR_S, requests_per_minute=5)
    file.add(record)
    headers = {"authorization": f"Bearer {secret}"}
    settings = {**FAKE_ASR, **clock.environment, "API_KEYS_FILE": str(file.path)}
    with start_server("asr", **settings) as server, server.http() as client:

        def ask_models() -> tuple[int, str | None]:
            answer = client.get("/v1/models", headers=headers)
            return answer.status_code, answer.json().get("error", {}).get("code")

        assert ask_models() == (200, None)
        clock.shift(2 * HOUR_S)
        assert ask_models() == (401, "expired_api_key")
        clock.shift(0)
        assert [ask_models()[0] for _ in range(4)] == [200] * 4
        for shift_s in (-400 * 24 * HOUR_S, -60, 50 * 60):
            clock.shift(shift_s)
            assert ask_models() == (429, "rate_limit_exceeded"), "no clock that is set gives requests back"
