"""Providers: what the settings allow, and how one is asked that is slow, busy, broken, or refuses."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from voice_stack.asr.settings import AsrSettings
from voice_stack.core import provider_client
from voice_stack.core.errors import (
    ConfigurationError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderAuthError,
    ProviderBusyError,
    ProviderError,
    ProviderTimeoutError,
    VoiceStackError,
)
from voice_stack.core.provider import Provider, check_providers, find_provided
from voice_stack.core.provider_client import ProviderClient, Question, json_body

KEY = "sk-made-up-0123456789"  # pragma: allowlist secret
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood"
HALF = b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\nhalf"


def _error(status: int, body: str, *headers: str) -> bytes:
    head = "".join(
        f"{line}\r\n" for line in (f"content-length: {len(body)}", "content-type: application/json", *headers)
    )
    return f"HTTP/1.1 {status} No\r\n{head}\r\n{body}".encode()


@asynccontextmanager
async def _answering(answers: Sequence[bytes | None]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A provider that gives one answer after another and closes; None: it is silent. Its address, and what it got."""
    left, asked = list(answers), list[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1 << 16))
        answer = left.pop(0)
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()


@asynccontextmanager
async def _client(url: str, name: str = "openai") -> AsyncIterator[ProviderClient]:
    client = ProviderClient(Provider(name, url, SecretStr(KEY)))
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_client, "RETRY_WAITS_S", (0.0, 0.0))


async def _ask(answers: Sequence[bytes | None], name: str = "openai", *, timeout_s: float = 30.0) -> bytes:
    async with _answering(answers) as (url, _), _client(url, name) as client:
        question = Question("/v1/x", json_body({"a": "ü"}), model="m-1", answer_timeout_s=timeout_s)
        return await client.fetch(question)


@pytest.mark.parametrize("before", [HALF, b"", _error(500, "{}"), _error(429, "{}", "retry-after: 0")])
async def test_what_passes_is_asked_again_with_all_of_the_question(before: bytes) -> None:
    async with _answering([before, before, GOOD]) as (url, asked), _client(url) as client:
        content = await client.fetch(
            Question("/audio", json_body({"a": "ü"}), (("model", "a b"), ("k", "1"), ("k", "2")))
        )
    assert content == b"good"
    assert [request.count('{"a": "ü"}'.encode()) for request in asked] == [1, 1, 1]
    assert all(request.startswith(b"POST /audio?model=a+b&k=1&k=2 ") for request in asked), asked
    assert all(
        f"authorization: Bearer {KEY}".encode() in request.replace(b"Authorization", b"authorization")
        for request in asked
    )


@pytest.mark.parametrize(
    ("answers", "kind", "status", "code"),
    [
        ([HALF] * 3, ProviderError, 502, "provider_failed"),
        ([_error(500, '{"error": {"message": "oops", "code": "x"}}')] * 3, ProviderError, 502, "provider_failed"),
        ([_error(503, "<html>busy</html>")] * 3, ProviderBusyError, 503, "provider_busy"),
        ([_error(429, "{}", "retry-after: 33")], ProviderBusyError, 503, "provider_busy"),
        ([_error(429, '{"error": {"code": "insufficient_quota"}}')], ProviderAuthError, 502, "provider_quota"),
        (
            [_error(402, '{"err_code": "ASR_PAYMENT_REQUIRED", "err_msg": "pay"}')],
            ProviderAuthError,
            502,
            "provider_quota",
        ),
        ([_error(401, f'{{"error": {{"message": "bad key {KEY}"}}}}')], ProviderAuthError, 502, "provider_auth"),
        ([_error(403, f'{{"detail": {{"message": "{KEY} may not"}}}}')], ProviderAuthError, 502, "provider_auth"),
        ([_error(400, '{"detail": {"status": "too_short", "message": "no"}}')], InvalidRequestError, 400, "too_short"),
        ([_error(422, '{"detail": [{"loc": ["body", "x"], "msg": "no"}]}')], InvalidRequestError, 400, None),
        (
            [_error(404, '{"error": {"message": "no model", "code": "model_not_found"}}')],
            ModelNotFoundError,
            404,
            "model_not_found",
        ),
        ([_error(404, "<html>nothing here</html>")], ProviderError, 502, "provider_failed"),
        ([_error(302, "", "location: http://127.0.0.1:1/")], ProviderError, 502, "provider_failed"),
        ([None], ProviderTimeoutError, 504, "provider_timeout"),
    ],
)
async def test_what_goes_wrong_at_a_provider_says_so_and_never_the_key(
    answers: Sequence[bytes | None],
    kind: type[VoiceStackError],
    status: int,
    code: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(kind) as caught:
        await _ask(answers, timeout_s=30.0 if answers[0] else 0.2)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert "openai" in caught.value.message
    assert KEY not in repr(caught.value.body()) + caplog.text + "".join(
        repr(record.__dict__) for record in caplog.records
    )


async def test_a_wish_for_patience_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProviderBusyError) as caught:
        await _ask([_error(429, "{}", "retry-after: 33")])
    assert caught.value.headers()["retry-after"] == "33"


async def test_nobody_there_is_an_error_that_names_the_setting() -> None:
    async with _answering([]) as (url, _):
        pass
    async with _client(url, "deepgram") as client:
        with pytest.raises(ProviderError, match=r"deepgram .PROVIDER_DEEPGRAM_URL. cannot be reached"):
            await client.fetch(Question("/v1/projects"))


async def test_a_stream_that_breaks_off_is_an_error_after_its_bytes() -> None:
    async with (
        _answering([HALF]) as (url, _),
        _client(url, "elevenlabs") as client,
        client.stream(Question("/v1/text-to-speech/x")) as answer,
    ):
        assert await anext(answer.pieces) == b"half"
        with pytest.raises(ProviderError, match="broke the connection"):
            await anext(answer.pieces)


def _settings(**fields: object) -> AsrSettings:
    return AsrSettings.model_validate({"provider_openai_key": KEY, "provider_deepgram_key": KEY, **fields})


def test_only_what_the_settings_name_may_be_used() -> None:
    settings = _settings(providers="openai,deepgram/nova-3")
    found = find_provided(settings, "openai/org/whisper-1")
    assert found is not None
    assert (found.provider.url, found.model, found.name) == (
        "https://api.openai.com/v1",
        "org/whisper-1",
        "openai/org/whisper-1",
    )
    assert KEY not in repr(found)
    for name in (
        "deepgram/nova-2",
        "elevenlabs/scribe_v1",
        "whisper-1",
        "openai/",
        "openai",
        "deepgram/nova-3\n",
        "base",
    ):
        assert find_provided(settings, name) is None, name
    assert find_provided(_settings(), "openai/whisper-1") is None


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"providers": "opnai/*"}, "ASR_PROVIDERS='opnai/\\*': no such provider; there are openai"),
        ({"providers": "*"}, "no such provider"),
        ({"providers": "openai", "offline": True}, "OFFLINE=true and ASR_PROVIDERS=openai"),
        ({"providers": "openai", "model": "deepgram/nova-3"}, "ASR_MODEL='deepgram/nova-3' is no model that ASR_PROV"),
        ({"providers": "openai/a", "fallback_model": "openai/b"}, "ASR_FALLBACK_MODEL='openai/b' is no model"),
        ({"providers": "elevenlabs"}, "PROVIDER_ELEVENLABS_KEY is empty"),
        ({"providers": "openai", "provider_openai_key": "a b"}, "PROVIDER_OPENAI_KEY=\\*\\*\\*"),
    ],
)
def test_settings_that_do_not_fit_are_refused(fields: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        check_providers(_settings(**fields))


def test_a_service_of_ones_own_needs_no_key() -> None:
    check_providers(_settings(providers="elevenlabs/scribe_v1", provider_elevenlabs_url="http://127.0.0.1:5002/v1"))
    check_providers(_settings())
