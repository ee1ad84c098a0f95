"""Requests that say odd things of where they come from, whom they ask and for what: a 4xx at most, never a 5xx."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx2
import pytest

from chaos.listening import FAKE_ASR
from chaos.speaking import URL as SPEECH_URL
from chaos.speaking import ask
from core.http.limits.raw_client import connect
from running_server import RunningServer, free_port, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
KEY = {"authorization": "Bearer a-key-of-the-house"}


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("::1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def own_server(start_server: StartServer) -> Iterator[httpx2.Client]:
    """A server on ::1, three requests a minute for each client."""
    port = free_port()
    flags = ("--host", "::1", "--port", str(port), "--requests-per-minute-per-client", "3")
    with (
        start_server("asr", *flags, is_ready=lambda: _listens(port), **FAKE_ASR),
        httpx2.Client(base_url=f"http://[::1]:{port}", trust_env=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def open_server(start_server: StartServer) -> Iterator[dict[str, httpx2.Client]]:
    """A server on all addresses behind a proxy of this machine, by both families; with a key, but not for Bazarr."""
    port = free_port()
    flags = ("--host", "::", "--port", str(port), "--requests-per-minute-per-client", "3")
    settings = {"API_KEYS": "a-key-of-the-house", "ASR_BAZARR_NETWORKS": "192.168.1.0/24, fd00::/8"}
    settings["TRUSTED_PROXIES"] = "127.0.0.1, ::1"
    with (
        start_server("asr", *flags, is_ready=lambda: _listens(port), **FAKE_ASR, **settings),
        httpx2.Client(base_url=f"http://[::1]:{port}", trust_env=False) as six,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as four,
    ):
        yield {"::1": six, "127.0.0.1": four}


@needs_ipv6
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "[::1]:{port}"}, 200),
        ({"host": "[::1]"}, 200),
        ({"host": "[0:0:0:0:0:0:0:1]:{port}"}, 200),
        ({"host": "[::ffff:127.0.0.1]"}, 200),
        ({"host": "[2001:db8::1]:{port}"}, 200),
        ({"host": "::1"}, 400),
        ({"host": "[::1"}, 400),
        ({"host": "[evil.example]"}, 400),
        ({"host": "[::1].evil.example"}, 400),
        ({"host": "u@[::1]"}, 400),
        ({"host": "evil.example"}, 400),
        ({"host": "[::1]:{port}", "origin": "http://[::1]:{port}"}, 200),
        ({"host": "[::1]:{port}", "origin": "http://[::1]"}, 403),
        ({"host": "[::1]:{port}", "origin": "http://[::2]:{port}"}, 403),
        ({"host": "[::1]:{port}", "origin": "http://[::1"}, 403),
    ],
)
def test_names_of_a_server_on_ipv6(own_server: httpx2.Client, headers: dict[str, str], status: int) -> None:
    port = str(own_server.base_url.port)
    sent = {name: value.replace("{port}", port) for name, value in headers.items()}
    assert own_server.get("/status", headers=sent).status_code == status


@needs_ipv6
def test_limits_of_a_server_on_ipv6(own_server: httpx2.Client) -> None:
    assert [own_server.get("/v1/models").status_code for _ in range(4)] == [200, 200, 200, 429]


@needs_ipv6
@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("fd00::9", 200),
        ("[fd00::9]:4711", 200),
        ("FD00:0:0::9", 200),
        ("fd00::9%eth0", 200),
        ("::ffff:192.168.1.5", 200),
        ("[::ffff:192.168.1.5]:1", 200),
        ("::ffff:c0a8:105", 200),
        ("2001:db8::1, fd00::9", 200),
        ("fd00::9, ::1", 200),
        ("fd00::9, ::ffff:127.0.0.1", 200),
        ("fd00::9, 2001:db8::1", 401),
        ("::ffff:8.8.8.8", 401),
        ("::192.168.1.5", 401),
        ("64:ff9b::c0a8:105", 401),
        ("fd00::9,", 401),
        ("fd00::9, unknown", 401),
        ('"[fd00::9]:1"', 401),
        ("192.168.1.5:80:80", 401),
        ("192.168.1", 401),
        ("0300.0250.1.5", 401),
        (None, 401),
    ],
)
def test_who_needs_no_key(open_server: dict[str, httpx2.Client], forwarded: str | None, status: int) -> None:
    for client in open_server.values():
        sent = {} if forwarded is None else {"x-forwarded-for": forwarded}
        assert client.get("/status", headers=sent).status_code == status


@needs_ipv6
def test_a_client_with_a_whole_network_is_one_client(open_server: dict[str, httpx2.Client]) -> None:
    client = open_server["::1"]

    def ask_from(addresses: list[str]) -> list[int]:
        sent = [{**KEY, "x-forwarded-for": address} for address in addresses]
        return [client.get("/v1/models", headers=headers).status_code for headers in sent]

    assert ask_from([f"2001:db8:1:2::{number:x}:1" for number in range(1, 6)]) == [200, 200, 200, 429, 429]
    assert ask_from(["2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:3::1"]) == [429, 200]
    mapped = ["198.51.100.1", "::ffff:198.51.100.1", "[::ffff:198.51.100.1]:9", "::ffff:c633:6401"]
    assert ask_from(mapped) == [200, 200, 200, 429]


IDS = (
    "..", ".", "%2e%2e", "..%2f..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "a%2f..%2f..%2fb", "%5c..%5c..%5cboot.ini",
    "..%255c..%252fetc", "%c0%ae%c0%ae%2fetc", "%00", "a%00b", "%ff%fe", "%F0%9F%98%80", "%E2%80%AE", "%0d%0aX-A:%20b",
    "%25", "%", "%zz", "*", "job_*", "con", "~", "%7eroot", "%22", "job_" + "0" * 32, "voice_" + "0" * 32, "x" * 5000,
    "a" * 300 + "/b", "en_US-" + "a" * 5000 + "-medium", "%E2%98%83" * 500,
)  # fmt: skip
PATHS = {
    "asr": (
        "/v1/jobs/{}",
        "/v1/jobs/{}/result",
        "/v1/models/{}",
        "/v1/models/{}/x",
        "/v1/realtime/sessions/{}/transcript",
        "/static-offline-docs/{}",
    ),
    "tts": (
        "/v1/audio/voices/{}",
        "/v1/audio/voices/{}/preview",
        "/v1/audio/voice_consents/{}",
        "/v1/audio/speech/{}/captions",
        "/v1/models/{}",
    ),
}
MOST_BYTES = 3000


def _ask(port: int, request: str) -> tuple[int, bytes, bytes]:
    """Status, head and body of an answer to a request that no library would send."""
    with connect(port) as sock:
        sock.sendall(request.encode("latin-1"))
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        return answer.status, str(answer.headers).encode(), answer.read()


@contextmanager
def _nothing_unexpected(server: RunningServer) -> Iterator[None]:
    """The server, which others use, too, meets nothing that it has no answer for."""
    before = len(server.log.read_text())
    yield
    assert "Traceback (most" not in server.log.read_text()[before:]


@pytest.mark.parametrize("kind", PATHS)
def test_names_in_paths_are_no_paths(kind: str, fake_asr: RunningServer, fake_tts: RunningServer) -> None:
    server = fake_asr if kind == "asr" else fake_tts
    with _nothing_unexpected(server):
        _ask_all(kind, server.port)


def _ask_all(kind: str, port: int) -> None:
    for path in (template.format(name) for template in PATHS[kind] for name in IDS):
        for method in ("GET", "DELETE", "POST"):
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            status, headers, body = _ask(
                port, f"{head}Content-Length: 12\r\nConnection: close\r\n\r\n" + '{"name":"x"}'
            )
            told = f"{method} {path[:60]}: {status} {body[:300]!r}"
            assert status in {400, 404, 405}, told
            assert len(body) < MOST_BYTES, told
            assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}, told
            assert b"root:" not in body, told
            assert b"x-a:" not in headers.lower(), told


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /status HTTP/1.1\r\n", 400),
        ("GET /status HTTP/1.1\r\nHost:\r\n", 400),
        ("GET /status HTTP/1.0\r\n", 400),
        ("GET /status HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n", 400),
        ("GET /status HTTP/1.1\r\nHost: localhost, evil.example\r\n", 400),
        ("GET /status HTTP/1.1\r\nHost: localhost@evil.example\r\n", 400),
        ("GET /status HTTP/1.1\r\nHost: evil.example@localhost\r\n", 400),
        ("GET /status HTTP/1.1\r\nHost: localhost:0x50\r\n", 400),
        ("GET /status HTTP/1.1\r\nHost: localhost/../x\r\n", 400),
        ("GET /status HTTP/1.1\r\nHost: localhost\xa0\r\n", 400),
        ("GET http://evil.example/status HTTP/1.1\r\nHost: evil.example\r\n", 400),
        ("GET http://localhost/status HTTP/1.1\r\nHost: evil.example\r\n", 400),
        ("GET http://evil.example:99999/status HTTP/1.1\r\nHost: localhost\r\n", 400),
        ("GET http://[::1/status HTTP/1.1\r\nHost: localhost\r\n", 400),
        ("GET //evil.example/status HTTP/1.1\r\nHost: localhost\r\n", 404),
        ("GET evil HTTP/1.1\r\nHost: localhost\r\n", 400),
        ("CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n", 404),
        ("GET /status HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n", 403),
        ("GET /status HTTP/1.1\r\nHost: localhost\r\nOrigin: \r\n", 403),
        ("GET /status HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[::1\r\n", 403),
        ("GET /status HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[v1.x]\r\n", 403),
        ("GET /status HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost@evil.example\r\n", 403),
        ("GET /status HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example#localhost\r\n", 403),
        ("GET /status HTTP/1.1\r\nHost: localhost\r\nOrigin: \xff\xfe\r\n", 403),
        ("GET /status HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nOrigin: http://localhost\r\n", 403),
        ("POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\nContent-Length: 0\r\n", 403),
    ],
)
def test_odd_names_and_origins(fake_asr: RunningServer, head: str, status: int) -> None:
    answered, _, body = _ask(fake_asr.port, f"{head}Connection: close\r\n\r\n")
    assert answered == status, body


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_request_writes_lines_of_its_own_into_the_log(start_server: StartServer, log_format: str) -> None:
    with start_server("asr", **FAKE_ASR, LOG_FORMAT=log_format) as server:
        path = "/x%0d%0aFORGED%1b[31m%00%c2%85FORGED%e2%80%a8FORGED"
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: a\tFORGED\r\nConnection: close\r\n\r\n"
        assert _ask(server.port, head)[0] == 404
        wait_until(lambda: "FORGED" in server.log.read_text(), 10, "the line of the request")
        lines = server.log.read_text().splitlines()
    assert sum("FORGED" in line for line in lines) == 1
    assert not [line for line in lines if line.startswith("FORGED") or "\x1b" in line]


RANGES = (
    "bytes=0-",
    "bytes=-1",
    "bytes=--5",
    "bytes=5-1",
    "bytes=99999999999999999999-",
    "bytes=0-99999999999999999999999999999999",
    "bytes=" + ",".join(["0-"] * 1000),
    "bytes=" + ",".join(f"{number}-{number + 5}" for number in range(1000)),
    "bytes=" + ",".join(f"{2 * number}-{2 * number}" for number in range(1000)),
    "bytes=",
    "bytes=abc",
    "items=0-1",
    "\\" * 5000,
)


@pytest.mark.parametrize("header", ["range", "if-range", "if-none-match", "if-match", "if-modified-since"])
def test_odd_ranges_and_conditions(fake_tts: RunningServer, header: str) -> None:
    with fake_tts.http() as client, _nothing_unexpected(fake_tts):
        spoken = ask("A short text.", response_format="mp3", timestamps="word")
        captions = client.post(SPEECH_URL, json=spoken).headers["x-captions"]
        calls: dict[str, Callable[[dict[str, str]], httpx2.Response]] = {
            "speech": lambda headers: client.post(SPEECH_URL, json=spoken, headers=headers),
            "preview": lambda headers: client.get("/v1/audio/voices/fake/preview", headers=headers),
            "captions": lambda headers: client.get(captions, headers=headers),
            "docs": lambda headers: client.get("/static-offline-docs/swagger-ui-bundle.js", headers=headers),
        }
        for name, call in calls.items():
            whole = call({})
            for value in (*RANGES, "*", whole.headers.get("etag", '"x"'), ",".join(['W/"x"'] * 1500)):
                sent = {header: value} | ({"range": "bytes=0-1"} if header == "if-range" else {})
                answer = call(sent)
                assert answer.status_code in {200, 206, 304, 400, 412, 416}, (name, value[:60], answer.text[:200])
                assert len(answer.content) <= len(whole.content) + 1000, (name, value[:60])
