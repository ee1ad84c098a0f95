"""The shared server through real sockets: uvicorn on a free port, plain HTTP clients against it."""

import asyncio
import http.client
import io
import json
import logging
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from voice_stack.core.disconnect import finish_unless_disconnected
from voice_stack.core.errors import ModelLoadError, ModelNotFoundError, ShuttingDownError
from voice_stack.core.logging import JsonFormatter, TextFormatter, configure_logging
from voice_stack.core.middleware import add_log_fields
from voice_stack.core.server import create_server
from voice_stack.core.settings import CoreSettings
from voice_stack.core.uploads import receive_form, receive_json

MIB = 1 << 20
CAP = 8 * MIB
KEY = "sk-voice-stack-secret-key"
Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Site:
    """A running server and what its endpoints saw."""

    port: int
    spool_dir: Path
    reason: str | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    modes: list[int] = field(default_factory=list)

    def call(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})  # type: ignore[arg-type]
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def connect(self, head: str) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        sock.sendall(head.replace("\n", "\r\n").encode())
        return sock


class Point(BaseModel):
    x: int


def routes(site: Site) -> APIRouter:  # noqa: C901 - a list of small endpoints
    router = APIRouter()

    @router.post("/upload")
    async def upload(request: Request, fail: bool = False, cap: int = CAP) -> dict[str, object]:
        async with receive_form(request, file_field="file", max_bytes=cap, spool_dir=site.spool_dir) as form:
            if fail:
                raise ModelNotFoundError("no such model")
            file = form.file
            if file is None:
                return {"fields": form.fields, "file": None}
            site.modes.append(file.path.stat().st_mode & 0o777)
            head = file.path.open("rb").read(20).decode("latin-1")
            size = file.path.stat().st_size
            add_log_fields(request, audio_s=1.5, note="two\nlines")
            return {"fields": form.fields, "file": [file.filename, file.content_type, file.size, size, head]}

    @router.post("/json")
    async def echo(request: Request, cap: int = 1000) -> object:
        return await receive_json(request, max_bytes=cap)

    @router.post("/point")
    async def point(value: Point) -> Point:
        return value

    @router.get("/explode")
    async def explode() -> None:
        raise ZeroDivisionError("secret detail")

    @router.get("/known/{name}")
    async def known(name: str) -> None:
        raise {"load": ModelLoadError("broken weights"), "stop": ShuttingDownError("stopping")}[name]

    @router.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            await asyncio.sleep(0.05)
            raise ZeroDivisionError("in the middle")

        return StreamingResponse(parts())

    @router.get("/slow")
    async def slow(request: Request, seconds: float = 60) -> dict[str, str]:
        async def work() -> str:
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                site.cancelled.set()
                raise
            return "done"

        return {"result": await finish_unless_disconnected(request, work())}

    return router


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield


@contextmanager
def serving(spool_dir: Path, **settings: object) -> Iterator[Site]:
    site = Site(0, spool_dir)
    app = create_server(
        CoreSettings(_env_file=None, **settings),  # type: ignore[arg-type]
        server="asr",
        title="Test",
        routers=[routes(site)],
        lifespan=lifespan,
        readiness=lambda: site.reason,
        status=lambda: {"jobs": 3},
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    site.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.should_exit = True
        thread.join(20)


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("spool"), cors_origins=["https://app.example"]) as running:
        yield running


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    keys = {"api_keys": ["another-key-12345", KEY], "cors_origins": ["*"]}
    with serving(tmp_path_factory.mktemp("spool"), **keys) as running:
        yield running


@pytest.fixture
def log_lines() -> Iterator[Callable[[str], list[dict[str, object]]]]:
    """JSON log lines whose message is the given one."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter("asr"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lambda message: [
        line for line in map(json.loads, stream.getvalue().splitlines()) if line["message"] == message
    ]
    root.removeHandler(handler)
    root.setLevel(level)


def part(name: str, value: bytes, *, filename: str | None = None, headers: str = "") -> bytes:
    tail = "" if filename is None else f'; filename="{filename}"'
    return f'--BB\r\n{headers}Content-Disposition: form-data; name="{name}"{tail}\r\n\r\n'.encode() + value + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--BB--\r\n"


MULTIPART = {"content-type": "multipart/form-data; boundary=BB"}


def error_of(reply: Reply) -> dict[str, str | None]:
    """The error of an answer, after checking that it has OpenAI's shape."""
    _, headers, body = reply
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"]
    parsed = json.loads(body)
    assert set(parsed) == {"error"}
    assert set(parsed["error"]) == {"message", "type", "param", "code"}
    error: dict[str, str | None] = parsed["error"]
    return error


def spool_is_empty(site: Site) -> bool:
    return not list(site.spool_dir.iterdir())


@pytest.mark.parametrize("path", ["/health", "/healthz", "/healthcheck"])
def test_health_answers_get_and_head(site: Site, path: str) -> None:
    status, _, body = site.call("GET", path)
    assert status == 200
    assert json.loads(body).items() >= {"status": "ok", "server": "asr"}.items()
    assert site.call("HEAD", path)[::2] == (200, b"")


def test_ready_gives_the_reason(site: Site) -> None:
    assert site.call("GET", "/ready")[0] == 200
    site.reason = "model base is loading"
    try:
        reply = site.call("GET", "/ready")
    finally:
        site.reason = None
    assert (reply[0], error_of(reply)["message"]) == (503, "model base is loading")


def test_status_and_index(site: Site) -> None:
    assert json.loads(site.call("GET", "/status")[2])["jobs"] == 3
    assert json.loads(site.call("GET", "/")[2])["docs"] == "/docs"


@pytest.mark.parametrize("path", ["/nowhere", "/v1/json/", "/health/"])
def test_unknown_url(site: Site, path: str) -> None:
    reply = site.call("GET", path)
    error = error_of(reply)
    assert (reply[0], error["type"]) == (404, "invalid_request_error")
    assert f"GET {path}." in str(error["message"])


def test_wrong_method_names_the_right_one(site: Site) -> None:
    reply = site.call("GET", "/v1/json")
    assert (reply[0], reply[1]["allow"]) == (405, "POST")
    assert "POST" in str(error_of(reply)["message"])


def test_validation_names_field_and_value(site: Site) -> None:
    reply = site.call("POST", "/v1/point", '{"x": "seven"}', {"content-type": "application/json"})
    error = error_of(reply)
    assert (reply[0], error["param"]) == (400, "x")
    assert "seven" in str(error["message"])
    missing = site.call("POST", "/v1/point", "{}", {"content-type": "application/json"})
    assert (missing[0], error_of(missing)["param"]) == (400, "x")
    broken = site.call("POST", "/v1/point", "{", {"content-type": "application/json"})
    assert (broken[0], error_of(broken)["param"]) == (400, None)


def test_known_errors_keep_status_code_and_headers(site: Site) -> None:
    load = site.call("GET", "/v1/known/load")
    assert (load[0], load[1]["x-should-retry"], error_of(load)["code"]) == (500, "false", "model_load_failed")
    stop = site.call("GET", "/v1/known/stop")
    assert (stop[0], error_of(stop)["code"]) == (503, "shutting_down")


def test_unexpected_failure_is_an_envelope_without_details(
    site: Site, log_lines: Callable[[str], list[dict[str, object]]]
) -> None:
    reply = site.call("GET", "/v1/explode", headers={"x-request-id": "find-me"})
    error = error_of(reply)
    assert (reply[0], reply[1]["x-request-id"], error["type"]) == (500, "find-me", "server_error")
    assert "secret detail" not in str(error)
    assert "find-me" in str(error["message"])
    (failure,) = log_lines("request failed")
    assert "secret detail" in str(failure["exception"])
    assert failure["request_id"] == "find-me"


def test_failure_in_mid_stream_breaks_the_connection(site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    connection.request("GET", "/v1/stream")
    response = connection.getresponse()
    assert response.status == 200
    with pytest.raises(http.client.IncompleteRead) as caught:
        response.read()
    assert caught.value.partial == b"first"
    connection.close()


@pytest.mark.parametrize("bad", ["a b", "x" * 129, "id;drop", "\xe9"])
def test_hostile_request_id_is_replaced(site: Site, bad: str) -> None:
    given = site.call("GET", "/health", headers={"x-request-id": bad})[1]["x-request-id"]
    assert re.fullmatch("req_[0-9a-f]{32}", given)


def test_docs_load_nothing_from_elsewhere(site: Site) -> None:
    for path in ("/docs", "/redoc"):
        status, _, body = site.call("GET", path)
        assert status == 200
        assets = re.findall(r'(?:src|href)="([^"]+)"', body.decode())
        assert assets
        assert [asset for asset in assets if "//" in asset] == []
        assert {site.call("GET", asset)[0] for asset in assets} == {200}


PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,x-stainless-os"}


def test_cors_preflight_and_exposed_request_id(site: Site) -> None:
    origin = {"origin": "https://app.example"}
    status, headers, _ = site.call("OPTIONS", "/v1/upload", headers={**origin, **PREFLIGHT})
    assert status == 200
    assert headers["access-control-allow-origin"] == "https://app.example"
    assert "x-stainless-os" in headers["access-control-allow-headers"]
    headers = site.call("GET", "/status", headers=origin)[1]
    assert headers["access-control-expose-headers"] == "x-request-id"
    assert headers["access-control-allow-credentials"] == "true"
    stranger = site.call("GET", "/status", headers={"origin": "https://evil.example"})[1]
    assert "access-control-allow-origin" not in stranger


def test_missing_key(locked: Site) -> None:
    for headers in ({}, {"authorization": "Basic abc"}, {"authorization": "Bearer "}):
        reply = locked.call("GET", "/v1/explode", headers=headers)
        assert reply[0] == 401
        assert str(error_of(reply)["message"]).startswith("You didn't provide an API key.")


def test_wrong_key_is_never_shown(locked: Site, log_lines: Callable[[str], list[dict[str, object]]]) -> None:
    wrong = "sk-not-the-right-one-xyz"
    reply = locked.call("GET", "/status", headers={"authorization": f"Bearer {wrong}"})
    error = error_of(reply)
    assert (reply[0], error["code"]) == (401, "invalid_api_key")
    assert str(error["message"]).startswith("Incorrect API key provided: sk-***xyz.")
    assert wrong not in str(error)
    assert wrong not in str(log_lines("request"))
    short = error_of(locked.call("GET", "/status", headers={"authorization": "Bearer topsecret"}))
    assert not {"top", "ret"} & set(re.findall(r"\w+", str(short["message"])))


def test_refused_key_is_read_after_a_large_upload(locked: Site) -> None:
    reply = locked.call("POST", "/v1/upload", form(part("file", b"x" * CAP, filename="a.wav")), MULTIPART)
    assert reply[0] == 401


def test_right_key_and_open_paths(locked: Site) -> None:
    assert locked.call("GET", "/status", headers={"authorization": f"Bearer {KEY}"})[0] == 200
    assert {locked.call("GET", path)[0] for path in ("/health", "/ready", "/docs", "/openapi.json")} == {200}
    status, headers, _ = locked.call("OPTIONS", "/v1/upload", headers={"origin": "https://x.example", **PREFLIGHT})
    assert status == 200
    assert "access-control-allow-credentials" not in headers


@pytest.mark.parametrize("file_first", [True, False])
def test_upload_in_any_order(site: Site, file_first: bool) -> None:
    file = part("file", b"RIFF\r\n--B\r\n\0data", filename="é ü.mp3")
    typed = "Content-Type: text/plain; charset=utf-8\r\n"
    fields = [
        part("model", b"whisper-1", headers=typed),
        part("timestamp_granularities[]", b"word"),
        part("timestamp_granularities[]", b"segment"),
        part("prompt", "Grüße".encode()),
    ]
    body = form(file, *fields) if file_first else form(*fields, file)
    status, _, reply = site.call("POST", "/v1/upload", body, MULTIPART)
    assert status == 200
    assert json.loads(reply) == {
        "fields": {
            "model": ["whisper-1"],
            "timestamp_granularities[]": ["word", "segment"],
            "prompt": ["Grüße"],
        },
        "file": ["é ü.mp3", "", 16, 16, "RIFF\r\n--B\r\n\0data"],
    }
    assert site.modes[-1] == 0o600
    assert spool_is_empty(site)


def test_file_type_is_kept_and_failure_removes_the_file(site: Site) -> None:
    body = form(
        part("file", b"x" * 3 * MIB, filename="a.wav", headers="Content-Type: audio/x-wav\r\n"), part("model", b"m")
    )
    reply = site.call("POST", "/v1/upload", body, MULTIPART)
    assert json.loads(reply[2])["file"][:4] == ["a.wav", "audio/x-wav", 3 * MIB, 3 * MIB]
    assert site.call("POST", "/v1/upload?fail=1", body, MULTIPART)[0] == 404
    assert spool_is_empty(site)


FILE = part("file", b"x", filename="a.wav")


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        ("application/x-www-form-urlencoded", b"model=x", "multipart/form-data"),
        ("", b"hello", "multipart/form-data"),
        ("multipart/form-data", form(FILE), "boundary"),
        ("multipart/form-data; boundary=" + "B" * 400, form(FILE), "oundary"),
        ("multipart/form-data; boundary=BB", b"no parts here" * 10, "broken"),
        ("multipart/form-data; boundary=BB", FILE, "ends early"),
        ("multipart/form-data; boundary=BB", b"", "ends early"),
        ("multipart/form-data; boundary=BB", form(FILE, FILE), "More than one file"),
        ("multipart/form-data; boundary=BB", form(part("audio", b"x", filename="a")), "'audio'"),
        ("multipart/form-data; boundary=BB", form(part("model", b"\xff\xfe")), "'model'"),
        ("multipart/form-data; boundary=BB", form(part("prompt", b"x" * (MIB + 1))), "'prompt'"),
        ("multipart/form-data; boundary=BB", form(*[part("a", b"x")] * 201), "200 fields"),
        ("multipart/form-data; boundary=BB", b"--BB\r\nX-Y: z\r\n\r\nv\r\n--BB--\r\n", "no name"),
    ],
)
def test_bad_form_says_what_is_wrong(site: Site, content_type: str, body: bytes, reason: str) -> None:
    reply = site.call("POST", "/v1/upload", body, {"content-type": content_type} if content_type else {})
    assert reply[0] == 400
    assert reason in str(error_of(reply)["message"])
    assert spool_is_empty(site)


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_upload_reads_its_413(site: Site, chunked: bool) -> None:
    body = form(part("file", b"x" * 3 * CAP, filename="a.wav"))
    payload = iter([body[at : at + 65536] for at in range(0, len(body), 65536)]) if chunked else body
    reply = site.call("POST", "/v1/upload", payload, MULTIPART)
    assert reply[0] == 413
    assert "connection" not in reply[1]
    message = str(error_of(reply)["message"])
    assert re.fullmatch(rf"Maximum content size limit \({CAP}\) exceeded \(\d+ bytes read\)", message)
    read = int(message.split("(")[2].split()[0])
    assert read == len(body) if not chunked else CAP < read < CAP + MIB
    assert spool_is_empty(site)


def test_refused_client_that_waits_for_100_continue_is_not_asked_for_its_body(site: Site) -> None:
    sock = site.connect(
        "POST /v1/upload HTTP/1.1\nHost: x\nContent-Type: multipart/form-data; boundary=BB\n"
        "Content-Length: 999999999\nExpect: 100-continue\n\n"
    )
    assert sock.recv(20).startswith(b"HTTP/1.1 413")
    sock.close()


def test_disconnect_in_mid_upload_removes_the_file(
    site: Site, log_lines: Callable[[str], list[dict[str, object]]]
) -> None:
    sock = site.connect(
        "POST /v1/upload HTTP/1.1\nHost: x\nContent-Type: multipart/form-data; boundary=BB\nContent-Length: 8000000\n\n"
    )
    sock.sendall(part("file", b"x" * 3 * MIB, filename="a.wav"))
    wait_until(lambda: not spool_is_empty(site))
    sock.close()
    wait_until(lambda: spool_is_empty(site) and bool(log_lines("request")))
    (line,) = log_lines("request")
    assert line["aborted"] is True
    assert log_lines("request failed") == []


def test_disconnect_cancels_the_work(site: Site, log_lines: Callable[[str], list[dict[str, object]]]) -> None:
    sock = site.connect("GET /v1/slow HTTP/1.1\nHost: x\n\n")
    time.sleep(0.2)
    assert not site.cancelled.is_set()
    sock.close()
    assert site.cancelled.wait(5)
    wait_until(lambda: bool(log_lines("request")))
    assert log_lines("request")[0]["aborted"] is True
    assert site.call("GET", "/v1/slow?seconds=0.01")[::2] == (200, b'{"result":"done"}')


def test_large_upload_does_not_grow_memory(site: Site) -> None:
    size = 100 * MIB
    block = b"x" * 65536
    head, tail = part("file", b"", filename="a.wav")[:-2], b"\r\n--BB--\r\n"
    process = psutil.Process()

    def blocks() -> Iterator[bytes]:
        yield head
        for _ in range(size // len(block)):
            peaks.append(process.memory_info().rss)
            yield block
        yield tail

    peaks: list[int] = []
    site.call("POST", "/v1/upload", form(FILE), MULTIPART)
    before = process.memory_info().rss
    status, _, body = site.call("POST", f"/v1/upload?cap={2 * size}", blocks(), MULTIPART)
    assert status == 200
    assert json.loads(body)["file"][3] == size
    assert max(peaks) - before < 20 * MIB


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"a": [1, "\\u00fc"]}', 200),
        (b"{", 400),
        (b"", 400),
        (b'"\xff"', 400),
        (b'"\\ud800"', 400),
        (b"NaN", 400),
        (b"[" * 1000, 400),
        (b'"' + b"x" * 1000 + b'"', 413),
    ],
)
def test_json_body(site: Site, body: bytes, status: int) -> None:
    reply = site.call("POST", "/v1/json", body)
    assert reply[0] == status
    if status == 200:
        assert json.loads(reply[2]) == {"a": [1, "ü"]}
    else:
        error_of(reply)


def test_deeply_nested_json_is_a_client_error(site: Site) -> None:
    reply = site.call("POST", "/v1/json?cap=1000000", b"[" * 100_000 + b"]" * 100_000)
    assert reply[0] == 400
    assert "nested too deeply" in str(error_of(reply)["message"])


def test_request_line_in_the_log(site: Site, log_lines: Callable[[str], list[dict[str, object]]]) -> None:
    site.call("POST", "/v1/upload", form(FILE), {**MULTIPART, "x-request-id": "req-1"})
    wait_until(lambda: bool(log_lines("request")))
    (line,) = log_lines("request")
    expected = {
        "level": "INFO", "server": "asr", "request_id": "req-1", "method": "POST", "path": "/v1/upload",
        "status": 200, "audio_s": 1.5, "note": "two\nlines", "client": "127.0.0.1",
    }  # fmt: skip
    assert line.items() >= expected.items()
    assert "aborted" not in line
    site.call("GET", "/health")
    wait_until(lambda: len(log_lines("request")) == 2)
    assert log_lines("request")[1]["level"] == "DEBUG"


def test_text_line_is_one_line_whatever_the_values() -> None:
    record = logging.makeLogRecord(
        {"msg": "hi\nthere", "levelname": "INFO", "fields": {"a": 1, "b": "x y", "c": "l1\r\nl2\x1b\u2028", "d": ""}}
    )
    line = TextFormatter("tts").format(record)
    pattern = r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO tts hi\\nthere a=1 b="x y" c=l1\\r\\nl2\\x1b\\u2028 d=""'
    assert re.fullmatch(pattern, line)


def test_traceback_cannot_forge_a_log_line() -> None:
    error = ValueError("x\n2026-11-21 10:00:00 INFO asr forged")
    record = logging.makeLogRecord({"msg": "m", "exc_info": (ValueError, error, None)})
    lines = TextFormatter("asr").format(record).splitlines()
    assert any("forged" in line for line in lines)
    assert all(line.startswith("    ") for line in lines[1:])


def test_uvicorn_goes_through_the_same_handler(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        configure_logging("INFO", "json", "asr")
        logging.getLogger("uvicorn.error").info("started")
        logging.getLogger("uvicorn.access").info("GET /")
        logging.getLogger("voice_stack").debug("hidden")
    finally:
        root.handlers[:], root.level = before
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["logger"], line["message"]) for line in lines] == [("uvicorn.error", "started")]
