"""Limits for one key, one address: who is counted, how, and that the table of them stays small."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from core.http.limits.conftest import FAKE_ASR, StartServer
from core.http.server.site import serving
from e2e.sound import tone
from running_server import RunningServer, wait_until
from voice_stack.core.http.context import OutgoingHead
from voice_stack.core.http.keys import KeyFile, make_key
from voice_stack.core.http.limits import Allowance, Callers, RequestLimits, TokenBucket, name_client, tell_duration


@dataclass(frozen=True)
class Key:
    """An API key with limits."""

    name: str
    requests_per_minute: int | None = None
    jobs_at_once: int | None = None


def _client(default: Allowance, key: Key | None, address: str = "192.0.2.1") -> httpx2.AsyncClient:
    """A client of an application behind the limits, which takes it for the owner of a key."""
    limits = RequestLimits(PlainTextResponse("served"), default, lambda path: path != "/health")
    return _client_of(limits, key, address)


def _client_of(limits: ASGIApp, key: Key | None, address: str) -> httpx2.AsyncClient:
    async def known(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"api_key": key} if key else {}
        await OutgoingHead(limits, has_origins=False)(scope, receive, send)

    transport = httpx2.ASGITransport(app=known, client=(address, 1))
    return httpx2.AsyncClient(transport=transport, base_url="http://x")


async def test_a_key_has_limits_of_its_own() -> None:
    async with _client(Allowance(per_minute=1), Key("phone", requests_per_minute=3)) as client:
        answers = [await client.get("/") for _ in range(4)]
        assert (await client.get("/health")).status_code == 200
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0", "0"]
    refused = answers[-1]
    assert refused.headers["x-ratelimit-limit-requests"] == "3"
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.json()["error"]["type"] == "requests"
    # Three a minute: the next token comes after 20 s.
    assert 15 <= int(refused.headers["retry-after"]) <= 20
    assert 15_000 < int(refused.headers["retry-after-ms"]) <= 20_000


async def test_a_key_without_limits_goes_by_its_address() -> None:
    limits = RequestLimits(PlainTextResponse("served"), Allowance(per_minute=2), lambda _path: True)
    async with (
        _client_of(limits, Key("phone"), "2001:db8::1") as one,
        _client_of(limits, None, "2001:db8::ffff:2") as neighbour,
        _client_of(limits, None, "2001:db8:0:1::1") as stranger,
    ):
        statuses = [(await client.get("/")).status_code for client in (one, neighbour, one, stranger)]
    assert statuses == [200, 200, 429, 200]


async def test_without_limits_nothing_is_counted_and_no_header_sent() -> None:
    async with _client(Allowance(), None) as client:
        answer = await client.get("/")
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0, "0ms"), (0.12, "120ms"), (1.0, "1s"), (1.5, "1.5s"), (360.0, "6m0s"), (61.0, "1m1s")]
)
def test_durations_are_told_as_openai_does(seconds: float, told: str) -> None:
    assert tell_duration(seconds) == told


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_who_a_client_is(address: str, name: str) -> None:
    assert name_client(address) == name


def test_a_bucket_fills_again() -> None:
    bucket = TokenBucket(limit=60, tokens=60.0, filled_at=100.0)
    assert [bucket.take(100.0) for _ in range(61)] == [True] * 60 + [False]
    assert bucket.wait_s(100.0) == pytest.approx(1.0)
    assert bucket.reset_s(100.5) == pytest.approx(59.5)
    assert bucket.take(101.5)
    assert not bucket.take(101.5)
    assert bucket.wait_s(1e6) == 0
    assert bucket.tokens == 60


def test_the_table_of_callers_is_bounded() -> None:
    callers = Callers(max_callers=100)
    callers.find("first", 10, 0.0).bucket.take(0.0)  # type: ignore[union-attr]  # with a limit there is a bucket
    for number in range(1000):
        callers.find(f"client {number}", 10, 0.0)
        callers.find("first", 10, 0.0)
    assert len(callers) == 100
    assert callers.find("first", 10, 0.0).bucket.tokens == 9  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def limited(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server("asr", "--requests-at-once-per-client", "1", **FAKE_ASR) as server:
        yield server


def test_the_limits_of_a_key_on_file_are_heeded(tmp_path: Path) -> None:
    secret, key = make_key("phone", ["asr"], requests_per_minute=2)
    file = KeyFile(tmp_path / "keys.json")
    file.add(key)
    (tmp_path / "spool").mkdir()
    with serving(tmp_path / "spool", api_keys_file=file.path) as site:
        headers = {"authorization": f"Bearer {secret}"}
        statuses = [site.call("POST", "/v1/json", b"{}", headers)[0] for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_one_address_has_one_request_at_once(limited: RunningServer) -> None:
    def post(prompt: str, path: str = "/v1/audio/transcriptions", part: str = "file") -> httpx2.Response:
        with limited.http() as client:
            data = {"model": "whisper-1", "prompt": prompt}
            return client.post(path, files={part: ("a.wav", tone(1.0))}, data=data)

    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(post, "sleep=1.5")
        wait_until(lambda: limited.count_jobs()[0], 20, "it is at work")
        refused, film = post(""), post("", "/asr?output=txt&encode=true", "audio_file")
        assert slow.result().status_code == 200
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_open_requests")
    assert int(refused.headers["retry-after"]) >= 1
    assert film.status_code == 200
    assert post("").status_code == 200
