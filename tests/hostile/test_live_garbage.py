"""What nobody should send to a live session: each is an error or nothing, and others hear on."""

import base64
import json
import math
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaos.live import LiveSession, listen, silence
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
APPEND = "input_audio_buffer.append"
LATENCY_S = 2.0
GROWTH_MIB, LARGE_GROWTH_MIB = 30, 200


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server("asr", ASR_ENGINE="fake", ASR_MODEL="fake") as server:
        with listen(server, turn_detection=None) as session:  # all is loaded then
            session.say(silence(1))
            session.send("input_audio_buffer.commit")
            session.until(lambda told: told.of("input_audio_buffer.committed"))
        yield server


def rss_mib(server: RunningServer) -> float:
    process = psutil.Process(server.process.pid)
    rss_bytes: int = sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])
    return rss_bytes / (1 << 20)


def ask(session: LiveSession) -> None:
    """The session still answers: an update is shown."""
    shown = len(session.of("session.updated"))
    session.update(noise_reduction=None)
    session.until(lambda told: len(told.of("session.updated")) > shown, 30)


REFUSED: list[str | bytes] = [
    b"\0\1\2",
    "",
    "null",
    "[" * 100_000,
    '{"type":' * 5_000,
    '{"type": NaN}',
    json.dumps({"type": "x" * 100_000, "event_id": "y" * 1_000_000}),
    json.dumps({"type": APPEND, "audio": "no base64!"}),
    json.dumps({"type": APPEND, "audio": "AAA"}),
    json.dumps({"type": APPEND, "audio": ["AAAA"]}),
    json.dumps({"type": "conversation.item.retrieve", "item_id": {"a": 1}}),
    json.dumps({"type": "session.update", "session": "all"}),
    json.dumps({"type": "session.update", "session": {"type": "translation"}}),
    '{"type":"session.update","session":{"audio":{"input":{"turn_detection":{"type":"server_vad","threshold":NaN}}}}}',
]


@pytest.mark.parametrize("frame", REFUSED, ids=range(len(REFUSED)))
def test_nonsense_is_an_error_and_the_session_goes_on(server: RunningServer, frame: str | bytes) -> None:
    with listen(server) as session:
        session.socket.send(frame)
        session.until(lambda told: told.of("error"))
        error = session.of("error")[0]["error"]
        assert isinstance(error, dict)
        assert error["type"] == "invalid_request_error"
        assert len(str(error["message"])) < 1_000
        ask(session)
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    "rules", [{"threshold": 1e308}, {"silence_duration_ms": -1}, {"prefix_padding_ms": 10**30}, {"type": "no rules"}]
)
def test_rules_beyond_all_bounds_do_no_harm(server: RunningServer, rules: dict[str, object]) -> None:
    with listen(server) as session:
        session.update(turn_detection={"type": "server_vad", **rules})
        session.until(lambda told: told.of("error") or told.of("session.updated"))
        session.say(silence(1))
        ask(session)
        assert session.code is None
    assert "Traceback" not in server.log.read_text()


FLOODS: dict[str, list[str]] = {
    "empty": [json.dumps({"type": APPEND, "audio": ""})] * 20_000,
    "a sample each": [json.dumps({"type": APPEND, "audio": "AAA="})] * 20_000,
    "commits and clears": [json.dumps({"type": f"input_audio_buffer.{kind}"}) for kind in ("commit", "clear")] * 2_000,
    "updates": [json.dumps({"type": "session.update", "session": {}})] * 1_000,
    "large": [json.dumps({"type": APPEND, "audio": base64.b64encode(bytes(15 << 20)).decode()})] * 2,
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_holds_nobody_up_and_leaves_nothing(server: RunningServer, kind: str) -> None:
    with listen(server, turn_detection=None) as session, server.http() as client:
        before_mib = rss_mib(server)

        def flood() -> None:
            for frame in FLOODS[kind]:
                session.socket.send(frame)

        sender = threading.Thread(target=flood)
        sender.start()
        took_s = list[float]()
        while sender.is_alive() or not took_s:
            begun = time.monotonic()
            assert client.get("/health").status_code == 200
            took_s.append(time.monotonic() - begun)
            time.sleep(0.01)
        ask(session)
        session.send("input_audio_buffer.clear")
        slow_s = max(took_s) if len(took_s) < 20 else statistics.quantiles(took_s, n=20)[-1]
        print(f"{kind}: /health {slow_s * 1000:.0f} ms, {rss_mib(server) - before_mib:+.0f} MiB")
        assert slow_s < LATENCY_S
        assert rss_mib(server) - before_mib < (LARGE_GROWTH_MIB if kind == "large" else GROWTH_MIB)
    wait_until(lambda: server.count_jobs() == (0, 0), 20, "no job is left")
    assert "Traceback" not in server.log.read_text()


def test_a_quarter_of_an_hour_without_a_commit_is_one(server: RunningServer) -> None:
    with listen(server, turn_detection=None, format={"type": "audio/pcm", "rate": 8000}) as session:
        session.update(transcription={"delay": "xhigh"})
        before_mib = rss_mib(server)
        session.say(bytes(2 * 8000 * 960), piece_s=5)
        session.until_heard(1)
        held_mib = rss_mib(server) - before_mib
        ask(session)
        session.send("input_audio_buffer.commit")
        session.until_heard(2)
        assert not session.of("error")
        usages = [event["usage"] for event in session.of("completed")]
        assert usages == [{"type": "duration", "seconds": seconds} for seconds in (900, 60)]
        assert held_mib < LARGE_GROWTH_MIB
    assert "Traceback" not in server.log.read_text()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
    | st.sampled_from([math.inf, -1, "AAAA", "server_vad", "transcription", "audio/pcmu"]),
    lambda part: st.lists(part, max_size=3)
    | st.dictionaries(st.sampled_from(["type", "session", "audio", "input", "format", "turn_detection"]), part),
    max_leaves=8,
)  # fmt: skip
KINDS = st.sampled_from([
    APPEND, "input_audio_buffer.commit", "input_audio_buffer.clear", "session.update", "transcription_session.update",
    "conversation.item.retrieve", "conversation.item.delete", "response.create",
])  # fmt: skip
FRAMES = st.builds(
    lambda kind, fields: json.dumps({**fields, "type": kind}),
    KINDS,
    st.dictionaries(st.sampled_from(["audio", "session", "item_id", "event_id"]), VALUES),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(FRAMES, max_size=12))
def test_any_order_of_events_leaves_a_session_that_answers(server: RunningServer, frames: list[str]) -> None:
    with listen(server) as session:
        for frame in frames:
            session.socket.send(frame)
        ask(session)
        assert session.code is None
    assert "Traceback" not in server.log.read_text()
