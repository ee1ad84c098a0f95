"""A language model that says what a test has written: OpenAI's chat, streamed and whole, on a port of its own."""

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from running_server import free_port

Step = str | float | threading.Event | Mapping[str, object] | None
"""Text, as one delta; seconds to wait, or what to wait for; fields of a delta (`reasoning`, `tool_calls`, ...), or of a
chunk if it has `choices` or `raw` (a line of the stream); None: the connection breaks."""
NAME = "scripted"


@dataclass
class ScriptedModel:
    """What it will say, and what it was asked.

    Attributes:
        replies: One for each request to come; without one `answer_by` makes it of the body, or it repeats the last
            message.
        requests: The bodies that it got, and the headers of each.
        cut: How many of its streams were left before their end.
    """

    port: int
    replies: deque[Sequence[Step] | Response] = field(default_factory=deque)
    answer_by: Callable[[Mapping[str, object]], Sequence[Step] | Response] | None = None
    requests: list[dict[str, object]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    cut: int = 0
    finish_reason: str = "stop"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def say(self, *steps: Step) -> None:
        """What it is to answer to the next request that has no answer yet."""
        self.replies.append(steps)

    def next_reply(self, body: Mapping[str, object]) -> Sequence[Step] | Response:
        if self.replies:
            return self.replies.popleft()
        if self.answer_by is not None:
            return self.answer_by(body)
        messages = body["messages"]
        assert isinstance(messages, list)
        return [f"You said: {messages[-1]['content']}"]

    async def stream(self, steps: Sequence[Step], body: Mapping[str, object]) -> AsyncIterator[str]:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": int(time.time()), "model": NAME}
        is_whole, calls = False, False
        try:
            for step in [{"role": "assistant", "content": None}, *steps]:
                if isinstance(step, float | int):
                    await asyncio.sleep(step)
                elif isinstance(step, threading.Event):
                    await asyncio.to_thread(step.wait, 30)
                elif step is None:
                    raise ConnectionResetError("as the test wants it")
                elif isinstance(step, Mapping) and "raw" in step:
                    yield f"{step['raw']}\n\n"
                elif isinstance(step, Mapping) and "choices" in step:
                    yield f"data: {json.dumps({**head, **step})}\n\n"
                else:
                    delta = {"content": step} if isinstance(step, str) else step
                    calls |= "tool_calls" in delta
                    choice = {"index": 0, "delta": delta, "finish_reason": None}
                    yield f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"
            choice = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else self.finish_reason}
            yield f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"
            usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
            yield f"data: {json.dumps({**head, 'choices': [], 'usage': usage})}\n\n"
            yield "data: [DONE]\n\n"
            is_whole = True
        finally:
            self.cut += not is_whole

    def answer(self, steps: Sequence[Step]) -> JSONResponse:
        """The same in one piece."""
        text = "".join(step for step in steps if isinstance(step, str))
        message = {"role": "assistant", "content": text}
        choices = [{"index": 0, "message": message, "finish_reason": self.finish_reason}]
        usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
        body = {"id": "chatcmpl-1", "object": "chat.completion", "created": int(time.time()), "model": NAME}
        return JSONResponse({**body, "choices": choices, "usage": usage}, headers={"x-from-model": "yes"})


@contextmanager
def run_scripted_model() -> Iterator[ScriptedModel]:
    """A model that listens while the context lasts, in a thread of this process."""
    model, app = ScriptedModel(free_port()), FastAPI()

    @app.get("/v1/models")
    async def models() -> dict[str, object]:
        return {"object": "list", "data": [{"id": NAME, "object": "model", "created": 0, "owned_by": "test"}]}

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        body = json.loads(await request.body())
        model.requests.append(body)
        model.headers.append(dict(request.headers))
        reply = model.next_reply(body)
        if isinstance(reply, Response):
            return reply
        if not body.get("stream"):
            return model.answer(reply)
        return StreamingResponse(model.stream(reply, body), media_type="text/event-stream")

    with listening(app, model.port):
        yield model


@contextmanager
def listening(app: FastAPI, port: int) -> Iterator[None]:
    """An application that listens while the context lasts, in a thread of this process."""
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)
