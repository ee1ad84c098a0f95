"""Streamed transcriptions: what comes while nothing comes, and how failures are told early and late."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx2
import openai
import pytest

from e2e.sound import tone
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
URL = "/v1/audio/transcriptions"
SETTINGS = {
    "ASR_ENGINE": "fake",
    "ASR_MODEL": "fake",
    "ASR_WINDOW_S": "2",
    "ASR_VAD_ENABLED": "false",
    "ASR_PING_INTERVAL_S": "0.5",
}


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> Iterator[RunningServer]:
    """A server that has little patience."""
    with start_server("asr", **SETTINGS) as started:
        with started.http() as client:  # the engine is there
            assert client.post(URL, data={"model": "fake"}, files={"file": tone(1.0)}).status_code == 200
        yield started
        started.expect_no_uploads()


def stream(server: RunningServer, prompt: str, duration_s: float = 1.0) -> tuple[int, str, str]:
    """Status, content type and body."""
    with server.http() as client:
        sent = {"model": "gpt-4o-transcribe", "stream": "true", "prompt": prompt}
        response = client.post(URL, data=sent, files={"file": ("a.wav", tone(duration_s))})
    return response.status_code, response.headers["content-type"], response.text


def test_pauses_are_filled_with_comments(server: RunningServer) -> None:
    status, content_type, body = stream(server, "sleep=1.5", 3.0)
    assert status == 200
    assert content_type.startswith("text/event-stream")
    first, *others = body.removesuffix("\n\n").split("\n\n")
    assert first == ": ping"
    events = [json.loads(part.removeprefix("data: ")) for part in others if part != ": ping"]
    # Two windows of a second and a half each, a comment every half second; a loaded machine leaves out some.
    assert len(others) - len(events) >= 3
    assert [event["type"].rpartition(".")[2] for event in events] == ["delta", "delta", "done"]
    assert "".join(event["delta"] for event in events[:-1]) == events[-1]["text"]


def test_the_sdk_skips_the_comments(server: RunningServer) -> None:
    with server.openai() as client:
        events = list(
            client.audio.transcriptions.create(
                model="whisper-1", file=("a.wav", tone(1.0)), prompt="sleep=1", stream=True
            )
        )
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]


def test_no_comment_where_all_is_quick(server: RunningServer) -> None:
    assert ": ping" not in stream(server, "")[2]


def test_an_early_failure_has_its_status(server: RunningServer) -> None:
    status, content_type, body = stream(server, "fail")
    assert (status, content_type) == (500, "application/json")
    assert "told to fail" in json.loads(body)["error"]["message"]
    assert "stream ends with an error" not in server.log.read_text()


def test_a_failure_after_the_status_is_an_event(server: RunningServer) -> None:
    status, _, body = stream(server, "sleep=1.5 fail")
    assert status == 200
    assert body.startswith(": ping\n\n")
    error = json.loads(body.rstrip().rpartition("\n\n")[2].removeprefix("data: "))["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert "told to fail" in error["message"]
    with server.openai() as client, pytest.raises(openai.APIError, match="told to fail"):
        list(
            client.audio.transcriptions.create(
                model="whisper-1", file=("a.wav", tone(1.0)), prompt="sleep=1.5 fail", stream=True
            )
        )


def test_a_client_that_leaves_between_comments_ends_the_work(server: RunningServer) -> None:
    sent = {"model": "whisper-1", "stream": "true", "prompt": "sleep=1"}
    with server.http() as client:
        with client.stream("POST", URL, data=sent, files={"file": ("a.wav", tone(60.0))}) as response:
            pieces = response.iter_text()  # an iterator that is forgotten closes the connection
            assert next(pieces).startswith(": ping")
            wait_until(lambda: server.count_jobs()[0] == 1, 60, "the job has begun")
            started = time.monotonic()
        wait_until(lambda: server.count_jobs() == (0, 0), 60, "the job is dropped")
        assert time.monotonic() - started < 20, "thirty windows of a second each were all worked on"
    assert "request failed" not in server.log.read_text()


def test_the_status_does_not_wait_for_a_place(start_server: StartServer) -> None:
    settings = {**SETTINGS, "ASR_MAX_LOADED_MODELS": "1", "ASR_ALLOWED_MODELS": "*", "OFFLINE": "false"}
    with (
        start_server("asr", **settings) as server,
        server.http() as busy,
        server.http() as waiting,
        busy.stream(
            "POST", URL, data={"model": "fake", "stream": "true", "prompt": "hang"}, files={"file": tone(1.0)}
        ) as first,
    ):
        pieces = first.iter_text()  # an iterator that is forgotten closes the connection, and would free the place
        assert next(pieces).startswith(": ping")
        sent = {"model": "tiny", "stream": "true"}
        with waiting.stream("POST", URL, data=sent, files={"file": tone(1.0)}) as second:
            assert next(second.iter_text()).startswith(": ping")


def test_streamed_log_probabilities_and_language(server: RunningServer) -> None:
    with server.http() as client:
        sent = {"model": "gpt-transcribe", "stream": "true", "include[]": "logprobs"}
        body = client.post(URL, data=sent, files={"file": ("a.wav", tone(3.0))}).text
    *deltas, done = [json.loads(part.removeprefix("data: ")) for part in body.removesuffix("\n\n").split("\n\n")]
    assert [token for event in deltas for token in event["logprobs"]] == done["logprobs"]
    assert done["languages"] == [{"code": "en"}]


def test_httpx_sees_a_ping_within_the_read_timeout(server: RunningServer) -> None:
    sent = {"model": "whisper-1", "stream": "true", "prompt": "sleep=3"}
    with httpx2.Client(base_url=server.url, timeout=1.0, trust_env=False) as client:
        body = client.post(URL, data=sent, files={"file": ("a.wav", tone(1.0))}).text
    assert '"transcript.text.done"' in body
