"""Traces as a collector gets them, and what of a whole session stands in the log."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from e2e.sound import tone
from otlp_collector import Collector, attributes_of, running_collector
from running_server import RunningServer, free_port, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
KEY = "sk-voice-0123456789-this-is-the-key"
WEBHOOK_KEY = base64.b64encode(b"thirty-two bytes of webhook key!").decode()
COLLECTOR_TOKEN = "collector-token-4711"
WEBHOOK_TOKEN = "hook-path-token-0815"
QUERY_KEY = "query-key-2342"
WRONG_KEY = "sk-wrong-abcdefghijklmnop-wrong"
SECRETS = (KEY, WEBHOOK_KEY, COLLECTOR_TOKEN, WEBHOOK_TOKEN, QUERY_KEY, WRONG_KEY)
AUTHORIZED = {"authorization": f"Bearer {KEY}"}
TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACED = {**AUTHORIZED, "traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}


@dataclass(frozen=True)
class Session:
    collector: Collector
    asr: RunningServer
    tts: RunningServer


@pytest.fixture(scope="module")
def session(start_server: StartServer) -> Iterator[Session]:
    with running_collector() as collector:
        traced = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{COLLECTOR_TOKEN}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "API_KEYS": KEY,
            "LOG_LEVEL": "DEBUG",
            "LOG_FORMAT": "json",
        }
        asr = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_WINDOW_S": "2", "ASR_VAD_ENABLED": "false"}
        hooks = {"ASR_WEBHOOK_SECRET": f"whsec_{WEBHOOK_KEY}", "ASR_WEBHOOK_ALLOWED": "127.0.0.1"}
        with (
            start_server("asr", **asr, **hooks, **traced) as first,
            start_server("tts", TTS_ENGINE="fake", TTS_MODEL="fake", OTEL_SERVICE_NAME="my-voice", **traced) as second,
        ):
            yield Session(collector, first, second)


def transcribe(server: RunningServer, headers: dict[str, str], prompt: str = "", **fields: str) -> int:
    form = {"model": "whisper-1", "prompt": prompt, **fields}
    path = f"/v1/audio/transcriptions?api_key={QUERY_KEY}"
    with server.http() as client:
        return client.post(path, data=form, files={"file": ("a.wav", tone(3.0))}, headers=headers).status_code


def await_trace(collector: Collector, trace_id: str, count: int) -> dict[str, Span]:
    wait_until(lambda: len(collector.trace(trace_id)) >= count, 30, f"{count} spans")
    return collector.trace(trace_id)


def assert_tree(spans: dict[str, Span], request: str) -> None:
    """The spans of one job below its request, in time within it."""
    parents = {name: span.parent_span_id for name, span in spans.items()}
    root, job = spans[request].span_id, spans["job"].span_id
    assert parents[request].hex() == PARENT_ID
    assert parents["job"] == parents["load model"] == root
    assert parents["queue"] == parents["prepare"] == parents["run"] == job
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans.values())
    # Two clocks are read for each time: they agree within a millisecond.
    assert abs(spans["queue"].end_time_unix_nano - spans["run"].start_time_unix_nano) < 1_000_000
    assert spans[request].start_time_unix_nano <= spans["job"].start_time_unix_nano


def test_transcription_is_a_trace(session: Session) -> None:
    assert transcribe(session.asr, TRACED) == 200
    spans = await_trace(session.collector, TRACE_ID, 6)
    assert_tree(spans, "POST /v1/audio/transcriptions")
    request = spans["POST /v1/audio/transcriptions"]
    assert request.kind == Span.SpanKind.SPAN_KIND_SERVER
    expected = {
        "http.request.method": "POST", "http.route": "/v1/audio/transcriptions", "http.response.status_code": 200,
        "url.path": "/v1/audio/transcriptions", "url.scheme": "http", "client.address": "127.0.0.1",
    }  # fmt: skip
    assert attributes_of(request).items() >= expected.items()
    assert attributes_of(spans["job"])["voice_stack.engine"] == "fake"
    assert session.collector.headers[0]["authorization"] == f"Bearer {COLLECTOR_TOKEN}"
    assert "voice-stack-asr" in session.collector.services()
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    with session.asr.http() as client:
        metrics = client.get("/metrics", headers={**AUTHORIZED, **accept}).text
    assert f'# {{trace_id="{TRACE_ID}"}}' in metrics


def test_speech_is_a_trace(session: Session) -> None:
    trace_id = TRACE_ID[::-1]
    headers = {**AUTHORIZED, "traceparent": f"00-{trace_id}-{PARENT_ID}-01"}
    body = {"model": "tts-1", "voice": "alloy", "input": "Hello there. How are you?"}
    with session.tts.http() as client:
        assert client.post("/v1/audio/speech", json=body, headers=headers).status_code == 200
    assert_tree(await_trace(session.collector, trace_id, 6), "POST /v1/audio/speech")
    assert "my-voice" in session.collector.services()


def test_failure_is_marked_and_unsampled_requests_are_left_out(session: Session) -> None:
    failing, unsampled = "1" * 32, "2" * 32
    flags = {unsampled: "00", failing: "01"}
    for trace_id, prompt in ((unsampled, ""), (failing, "fail")):
        transcribe(session.asr, {**AUTHORIZED, "traceparent": f"00-{trace_id}-{PARENT_ID}-{flags[trace_id]}"}, prompt)
    spans = await_trace(session.collector, failing, 4)
    wait_until(lambda: "POST /v1/audio/transcriptions" in session.collector.trace(failing), 30, "the request's span")
    spans = session.collector.trace(failing)
    assert {spans[name].status.code for name in ("POST /v1/audio/transcriptions", "job")} == {Status.STATUS_CODE_ERROR}
    assert session.collector.trace(unsampled) == {}


def test_an_answer_that_breaks_off_is_marked(session: Session) -> None:
    trace_id, name = "3" * 32, "POST /v1/audio/speech"
    headers = {**AUTHORIZED, "traceparent": f"00-{trace_id}-{PARENT_ID}-01"}
    body = {"model": "tts-1", "voice": "alloy", "input": "One sentence more. " * 2000, "response_format": "pcm"}
    with session.tts.http() as client, client.stream("POST", "/v1/audio/speech", json=body, headers=headers) as answer:
        assert next(answer.iter_bytes())
    wait_until(lambda: name in session.collector.trace(trace_id), 30, "the request's span")
    span = session.collector.trace(trace_id)[name]
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert attributes_of(span)["error.type"] == "aborted"


def test_log_has_no_secret_and_every_line_of_the_engine_its_request(session: Session) -> None:
    asr, tts = session.asr, session.tts
    # The fake engine trips over the folder that is not there: an unexpected failure, logged where it happens.
    tripping = "crash-once=/no/such/folder/marker"
    with asr.http() as client:
        hook = {
            "background": "true",
            "webhook_url": f"http://127.0.0.1:{free_port()}/{WEBHOOK_TOKEN}?t={WEBHOOK_TOKEN}",
        }
        assert transcribe(asr, AUTHORIZED, **hook) == 202
        assert transcribe(asr, {**AUTHORIZED, "x-request-id": "mine-1"}, tripping) == 500
        assert transcribe(asr, {"authorization": f"Bearer {WRONG_KEY}"}) == 401
        assert client.get(f"/nothing?key={QUERY_KEY}", headers=AUTHORIZED).status_code == 404
        wait_until(lambda: "webhook not taken" in asr.log.read_text(), 30, "the webhook is tried")
    body = {"model": "tts-1", "voice": "alloy", "input": f"Hello {tripping}"}
    with tts.http() as client:
        client.post("/v1/audio/speech", json=body, headers={**AUTHORIZED, "x-request-id": "mine-2"})
    for server, request_id in ((asr, "mine-1"), (tts, "mine-2")):
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
        failed = [line for line in lines if line["message"] == "job failed" and line["server"] == "engine"]
        assert [line["request_id"] for line in failed] == [request_id]
    logs = asr.log.read_text() + tts.log.read_text()
    assert "/v1/audio/transcriptions" in logs
    assert [secret for secret in SECRETS if secret in logs] == []
    assert TRACE_ID in logs


def test_secrets_are_no_attribute_of_a_span(session: Session) -> None:
    wait_until(session.collector.spans, 30, "spans")
    sent = b"".join(request.SerializeToString() for request in session.collector.requests)
    assert [secret for secret in SECRETS if secret.encode() in sent] == []
