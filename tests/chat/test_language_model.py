"""Any language model with OpenAI's API, as each of them writes its answers."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from fastapi.responses import JSONResponse, Response

from chat.scripted_model import ScriptedModel
from running_server import free_port, wait_until
from voice_stack.chat.settings import ChatSettings
from voice_stack.core.errors import (
    ConfigurationError,
    InvalidRequestError,
    KeyRefusedError,
    ModelNotFoundError,
    NoLanguageModelError,
    OverloadedError,
    TooManyRequestsError,
    UpstreamError,
    VoiceStackError,
)
from voice_stack.language_model.deltas import ModelDelta
from voice_stack.language_model.model import LanguageModel, ModelRequest, is_near

HELLO = ModelRequest([{"role": "user", "content": "Hello"}])


@asynccontextmanager
async def opened(url: str, *, opens: bool = False, **settings: object) -> AsyncIterator[LanguageModel]:
    model = LanguageModel(ChatSettings.read(llm_url=url, **settings), reasoning_opens=opens)
    try:
        yield model
    finally:
        await model.close()


async def ask(
    url: str, request: ModelRequest = HELLO, *, opens: bool = False, **settings: object
) -> tuple[str, str, ModelDelta]:
    """All that is said, all that is thought, and the last delta."""
    async with opened(url, opens=opens, **settings) as model:
        deltas = [delta async for delta in model.stream(request)]
    assert [delta.finish_reason is None for delta in deltas] == [True] * (len(deltas) - 1) + [False]
    return "".join(d.content for d in deltas), "".join(d.reasoning for d in deltas), deltas[-1]


def chunk(finish_reason: str | None = None, **delta: object) -> str:
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish_reason}]})}\n\n"


def call(arguments: str | dict[str, str] = "", **piece: object) -> str:
    return chunk(tool_calls=[{"function": {"name": piece.pop("name", None), "arguments": arguments}, **piece}])


DONE = "data: [DONE]\n\n"
STOP = chunk("stop")
HI = chunk(content="Hi")
STREAMS = {
    "llama.cpp": chunk(role="assistant", content=None) + chunk(reasoning_content="hm") + HI + STOP,
    "Ollama": chunk(content="", reasoning="hm") + HI + chunk("stop", content="") + DONE,
    "both fields": chunk(reasoning="hm", reasoning_content="hm") + HI + STOP + DONE,
    "tags": chunk(content="<thi") + chunk(content="nk>hm</th") + chunk(content="ink>\n\nHi") + STOP + DONE,
    "OpenRouter": ": PROCESSING\n\n" + chunk(reasoning="hm") + 'data: {"choices": []}\n\n' + HI + STOP + DONE,
    "Mistral": chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}])
    + chunk(content=[{"type": "text", "text": "H"}, {"type": "text", "text": "i"}])
    + chunk("stop", content="")
    + DONE,
    "lines of Windows": (chunk(thinking="hm") + chunk("stop", content="Hi") + DONE).replace("\n", "\r\n"),
    "no end": chunk(reasoning="hm") + HI + DONE,
}  # fmt: skip


async def test_options_of_the_operator_go_along_unless_a_request_says_otherwise(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT_LLM_OPTIONS", '{"reasoning_effort": "none", "top_p": 0.5}')
    await ask(model.url, ModelRequest(HELLO.messages, options={"top_p": 1}))
    assert (model.requests[-1]["reasoning_effort"], model.requests[-1]["top_p"]) == ("none", 1)
    monkeypatch.setenv("CHAT_LLM_OPTIONS", "reasoning_effort=none")
    with pytest.raises(ConfigurationError, match="CHAT_LLM_OPTIONS='reasoning_effort=none': no JSON"):
        ChatSettings.read()


@pytest.mark.parametrize("name", STREAMS)
async def test_what_is_said_and_what_is_thought(model: ScriptedModel, name: str) -> None:
    model.replies.append(Response(STREAMS[name], media_type="text/event-stream"))
    said, thought, last = await ask(model.url)
    assert (said, thought, last.finish_reason) == ("Hi", "hm", "stop")


async def test_a_server_that_does_not_stream(model: ScriptedModel) -> None:
    message = {"role": "assistant", "content": "<think>hm</think>Hi", "tool_calls": None}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "length"}], "usage": {"total_tokens": 3}}
    model.replies.append(JSONResponse(answer))
    assert await ask(model.url) == ("Hi", "hm", ModelDelta(finish_reason="length", usage={"total_tokens": 3}))


async def test_a_model_that_opens_with_thoughts_unless_its_server_tells_them_apart(model: ScriptedModel) -> None:
    model.say("hm</think>", "Hi")
    assert (await ask(model.url, opens=True))[:2] == ("Hi", "hm")
    model.say({"reasoning": "hm"}, "Hi")
    assert (await ask(model.url, opens=True))[:2] == ("Hi", "hm")


CALLS = {
    "OpenAI": call(index=0, id="a", name="f") + call("{", index=0) + call("{}", index=1, id="b", name="g")
    + call("}", index=0),
    "Ollama": call("{}", index=0, id="a", name="f") + call("{}", index=0, id="b", name="g"),
    "no index": call("{}", id="a", name="f") + call({}, id="b", name="g"),
    "repeated": call("{", index=0, id="a", name="f") + call("}", index=0, id="a", name="f")
    + call(index=1, id="b", name="g"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
async def test_calls_of_tools_are_joined(model: ScriptedModel, name: str) -> None:
    model.replies.append(Response(CALLS[name] + chunk("stop") + DONE, media_type="text/event-stream"))
    _, _, last = await ask(model.url)
    assert [(each.id, each.name, each.arguments) for each in last.tool_calls] == [("a", "f", "{}"), ("b", "g", "{}")]
    assert last.finish_reason == "tool_calls"


def refusal(status: int, body: object, **headers: str) -> Response:
    return JSONResponse(body, status, headers)


FAILURES = {
    "a wrong key": (refusal(401, {"error": {"message": "Bad key", "code": 401}}), KeyRefusedError, "CHAT_LLM_KEY"),
    "too often": (refusal(429, {"error": "slow down"}, **{"retry-after": "7"}), TooManyRequestsError, "slow down"),
    "loading": (refusal(503, {"error": {"message": "Loading model", "code": 503}}), OverloadedError, "Loading model"),
    "no such model": (
        refusal(404, {"error": {"message": 'model "x" not found'}}),
        ModelNotFoundError,
        "It has: scripted",
    ),
    "no such route": (Response("404 page not found", 404), UpstreamError, "CHAT_LLM_URL"),
    "too long": (refusal(400, {"object": "error", "message": "context", "code": 400}), InvalidRequestError, "context"),
    "a proxy": (Response("<h1>Bad gateway</h1>", 502, media_type="text/html"), UpstreamError, "Bad gateway"),
    "a web page": (Response("<html>Welcome</html>", media_type="text/html"), UpstreamError, "web page"),
    "not JSON": (Response("data: hello\n\n", media_type="text/event-stream"), UpstreamError, "hello"),
    "cut": (Response(HI, media_type="text/event-stream"), UpstreamError, "broke off"),
    "an error in the stream": (
        Response(HI + 'data: {"error": {"message": "slot", "code": 429}}\n\n'),
        TooManyRequestsError,
        "slot",
    ),
    "an event of an error": (Response('event: error\ndata: {"message": "no memory"}\n\n'), UpstreamError, "no memory"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_its_failures_are_told(model: ScriptedModel, name: str) -> None:
    reply, expected, told = FAILURES[name]
    model.replies.append(reply)
    with pytest.raises(VoiceStackError, match=told) as failure:
        await ask(model.url)
    assert type(failure.value) is expected
    assert failure.value.retry_after_s == {"too often": 7.0, "loading": 1.0}.get(name)


async def test_none_and_none_that_answers() -> None:
    with pytest.raises(NoLanguageModelError, match="11434/v1 for Ollama"):
        await ask("")
    with pytest.raises(UpstreamError, match="CHAT_LLM_URL"):
        await ask(f"http://127.0.0.1:{free_port()}")


async def test_the_name_the_key_and_the_options(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")  # nothing on this machine goes through it
    model.say("Hi")
    await ask(model.url.removesuffix("/v1"), ModelRequest(HELLO.messages, options={"top_k": 3}), llm_key="secret")
    request, headers = model.requests[-1], model.headers[-1]
    assert (request["model"], request["top_k"], request["stream"]) == ("scripted", 3, True)
    assert headers["authorization"] == "Bearer secret"
    await ask(model.url, llm_model="mine")
    await ask(model.url, ModelRequest(HELLO.messages, "theirs"), llm_model="mine")
    assert [request["model"] for request in model.requests[-2:]] == ["mine", "theirs"]


async def test_a_server_that_counts_nothing_is_asked_without(model: ScriptedModel) -> None:
    model.replies.append(refusal(422, {"detail": [{"loc": ["body", "stream_options"], "type": "extra_forbidden"}]}))
    model.say("Hi")
    assert (await ask(model.url))[0] == "Hi"
    assert ["stream_options" in request for request in model.requests] == [True, False]


async def test_whoever_closes_it_ends_it(model: ScriptedModel) -> None:
    model.say("Hi", 60.0, "there")
    async with opened(model.url) as asked, aclosing(asked.stream(HELLO)) as deltas:
        assert (await anext(deltas)).content == "Hi"
    await asyncio.to_thread(wait_until, lambda: model.cut == 1, 5, "the model is left alone")


HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


@asynccontextmanager
async def answering(*answers: str) -> AsyncIterator[tuple[str, list[bytes]]]:
    """The address of a server that gives these answers, empty: none, and closes; and the requests it has got."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        requests.append(head + await reader.readexactly(length))
        writer.write(answers[len(requests) - 1].encode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, family=socket.AF_INET) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests


async def test_a_connection_that_breaks_at_once_is_tried_again() -> None:
    async with answering("", HEAD + HI + STOP, HEAD + HI) as (url, requests):
        assert (await ask(url, llm_model="m"))[0] == "Hi"
        with pytest.raises(UpstreamError, match="broke off"):
            await ask(url, llm_model="m")
    assert len(requests) == 3


async def test_hosts_of_the_internet_are_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering(HEAD + HI + STOP) as (url, requests):
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        options = {"venice_parameters": {"character_slug": "x"}}
        request = ModelRequest(HELLO.messages, "m", options)
        assert (await ask("http://api.venice.ai/api/v1", request))[0] == "Hi"
    assert requests[0].startswith(b"POST http://api.venice.ai/api/v1/chat/completions ")
    # Its own instructions would stand before those of the conversation.
    assert b'{"include_venice_system_prompt": false, "character_slug": "x"}' in requests[0]


def test_what_is_near_is_not() -> None:
    hosts = ["localhost", "ollama", "192.168.1.20", "fd00::5", "100.64.0.3", "box.local", "api.venice.ai", "8.8.8.8"]
    assert [host for host in hosts if not is_near(host)] == ["api.venice.ai", "8.8.8.8"]
