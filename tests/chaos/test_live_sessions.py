"""Live sessions, and what a house does to them: stops, deaths, clients that vanish."""

import json
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from itertools import pairwise

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from whisper_normalizer.basic import BasicTextNormalizer

from chaos.live import RATE, LiveSession, listen, silence, to_pcm
from core.http.sockets.doors import ask_refusal
from e2e.sound import wrap_pcm
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
Spoken = Callable[[str], bytes]
TEXTS = ("The garden gate was open again.", "My sister lives in the old house by the river.", "Nobody came on Sunday.")
PATH = "/v1/realtime?intent=transcription"
TIME_TOLERANCE_MS = 64  # two frames of the voice detector
normalize = BasicTextNormalizer()


@pytest.fixture(scope="module")
def asr(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server("asr") as server:
        yield server


def kill_engine(server: RunningServer) -> None:
    wait_until(server.engine_pid, 20, "the engine has a process")
    os.kill(server.engine_pid() or 0, signal.SIGKILL)


def say_and_kill(server: RunningServer, session: LiveSession, pcm: bytes, at_s: tuple[float, ...]) -> None:
    """Say something at three times its speed while engines die after so many seconds of it."""
    edges = [0, *(2 * round(RATE * kill_s) for kill_s in at_s), len(pcm)]
    for start, end in pairwise(edges):
        session.say(pcm[start:end], speed=3)
        if end < len(pcm):
            kill_engine(server)


def words(texts: list[str]) -> list[list[str]]:
    return [normalize(text).split() for text in texts]


@pytest.fixture(scope="module")
def conversation(spoken: Spoken) -> bytes:
    return silence(0.5) + b"".join(to_pcm(spoken(text)) + silence(1.0) for text in TEXTS)


@pytest.fixture(scope="module")
def undisturbed(asr: RunningServer, conversation: bytes) -> list[tuple[object, object]]:
    """When its turns begin and end."""
    with listen(asr) as session:
        session.say(conversation)
        session.until_heard(len(TEXTS))
        return session.times()


@pytest.mark.parametrize("at_s", [(1.6,), (4.0, 5.5), (3.2,)], ids=["in a word", "twice in a turn", "in silence"])
def test_a_killed_engine_costs_no_word(
    asr: RunningServer,
    conversation: bytes,
    undisturbed: list[tuple[object, object]],
    at_s: tuple[float, ...],
) -> None:
    with listen(asr) as session:
        say_and_kill(asr, session, conversation, at_s)
        assert words(session.until_heard(len(TEXTS))) == words(list(TEXTS))
        assert not session.of("error")
        for there, here in zip(undisturbed, session.times(), strict=True):
            assert here == pytest.approx(there, abs=TIME_TOLERANCE_MS)


def test_an_engine_that_fails_again_and_again_is_told_of_and_tried_anew(
    start_server: StartServer, spoken: Spoken
) -> None:
    pcm = to_pcm(spoken(TEXTS[2]))
    with (
        start_server("asr", ASR_ENGINE="fake", ASR_MODEL="fake") as server,
        listen(server) as idle,
        listen(server, turn_detection=None, transcription={"prompt": "crash"}) as talking,
    ):
        for turn in range(1, 5):
            talking.say(pcm)
            talking.send("input_audio_buffer.commit")
            talking.until(lambda told, turns=turn: len(told.of("failed")) == turns)  # type: ignore[misc]
        assert talking.until_closed() == 1013
        codes = [event["error"]["code"] for event in talking.of("failed")]  # type: ignore[index]
        assert codes == ["engine_crashed"] * 3 + ["engine_unavailable"]
        assert len(talking.of("input_audio_buffer.committed")) == 4
        status, headers, told = ask_refusal(server.port, PATH)
        assert (status, told["code"]) == (503, "engine_unavailable")
        assert 1 <= int(headers["retry-after"]) <= 5
        idle.say(pcm[:4800])
        assert idle.until_closed() == 1013
        time.sleep(int(headers["retry-after"]))
        with listen(server) as later:
            later.say(pcm + silence(1))
            later.until_heard(1)


def test_a_stop_delivers_what_was_heard(start_server: StartServer, spoken: Spoken) -> None:
    first, second = (to_pcm(spoken(text)) for text in TEXTS[:2])
    with (
        start_server("asr") as server,
        listen(server) as idle,
        listen(server) as talking,
        listen(server, turn_detection=None) as waiting,
    ):
        talking.say(first + silence(1))
        talking.until_heard(1)
        talking.say(second)
        waiting.say(first)
        talking.until_taken()
        waiting.until_taken()
        server.process.terminate()
        assert [session.until_closed() for session in (idle, talking, waiting)] == [1001] * 3
        assert server.process.wait(20) == 0
        assert words(talking.finals()) == words(list(TEXTS[:2]))
        assert words(waiting.finals()) == words([TEXTS[0]])
        assert "Traceback" not in server.log.read_text()


def test_a_stop_speaks_what_was_written(start_server: StartServer) -> None:
    with start_server("tts") as server:
        url = f"ws://127.0.0.1:{server.port}/v1/audio/speech/stream"
        with connect(url, proxy=None, max_size=None) as idle, connect(url, proxy=None, max_size=None) as writing:
            writing.send(json.dumps({"type": "start", "model": "tts-1", "response_format": "pcm"}))
            writing.send(json.dumps({"type": "text", "delta": "One sentence is complete. And this"}))
            heard = [writing.recv(30), writing.recv(30)]
            server.process.terminate()
            heard += list(writing)
            assert list(idle) == []
        assert [json.loads(told)["type"] for told in heard if isinstance(told, str)] == ["started", "error"]
        assert "shutting_down" in str(heard[-1])
        assert sum(len(sound) for sound in heard if isinstance(sound, bytes)) > 48_000 * 1.8, "half a sentence as well"
        assert [writing.close_code, idle.close_code] == [1001, 1001]
        assert server.process.wait(20) == 0
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("rules", [{"type": "server_vad"}, None], ids=["server_vad", "commits"])
@pytest.mark.parametrize("how", ["reset", "end", "close"])
def test_the_last_words_of_who_vanishes_are_in_the_transcript(
    asr: RunningServer, spoken: Spoken, how: str, rules: dict[str, str] | None
) -> None:
    with listen(asr, turn_detection=rules) as session:
        session.say(to_pcm(spoken(TEXTS[1])))
        if how == "reset":
            session.until_taken()
        vanish(session, how)
    created = session.of("session.created")[0]["session"]
    assert isinstance(created, dict)

    def heard() -> list[list[str]]:
        with asr.http() as client:
            return words([client.get(f"/v1/realtime/sessions/{created['id']}/transcript").json()["text"]])

    wait_until(lambda: heard() == words([TEXTS[1]]), 10, "what was said is written")


def vanish(session: LiveSession, how: str) -> None:
    raw = session.socket.socket
    if how == "reset":
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.shutdown(socket.SHUT_RD)  # the thread that reads would hold it open
        raw.close()
    elif how == "end":
        raw.shutdown(socket.SHUT_RDWR)
    else:
        session.socket.close()


def test_clients_that_vanish_leave_nothing(start_server: StartServer, spoken: Spoken) -> None:
    pcm = to_pcm(spoken(TEXTS[1]))[: 2 * RATE]
    with start_server("asr", ASR_ENGINE="fake", ASR_MODEL="fake") as server:
        for how in ("reset", "end") * 4:
            with listen(server) as session:
                session.say(pcm)
                vanish(session, how)
        wait_until(lambda: server.count_jobs() == (0, 0), 10, "all jobs are gone")


def test_sessions_that_cannot_be_followed_are_refused_and_the_others_hear_all(
    start_server: StartServer, spoken: Spoken
) -> None:
    pcm = silence(0.3) + (to_pcm(spoken(TEXTS[2])) + silence(1)) * 2
    film = {"file": ("film.wav", wrap_pcm(pcm * 10))}
    heard, refused = list[LiveSession](), list[tuple[int, str]]()

    def hear(server: RunningServer) -> None:
        try:
            with listen(server) as session:
                session.say(pcm, speed=2)
                session.until_heard(2)
                heard.append(session)
        except InvalidStatus as error:
            refused.append((error.response.status_code, error.response.headers["retry-after"]))

    with (
        start_server("asr", ASR_ENGINE="fake", ASR_MODEL="fake") as server,
        ThreadPoolExecutor(65) as threads,
        server.http() as client,
    ):
        data = {"model": "whisper-1", "prompt": "sleep=0.2"}
        written = threads.submit(client.post, "/v1/audio/transcriptions", files=film, data=data)
        for session in [threads.submit(hear, server) for _ in range(64)]:
            session.result()
        assert written.result().status_code == 200
    print(f"{len(heard)} sessions, {len(refused)} refused")
    assert len(heard) >= 4
    assert len(heard) + len(refused) == 64
    assert {status for status, _ in refused} == {429}
    assert all(int(wait_s) >= 1 for _, wait_s in refused)


def test_a_model_without_a_place_is_refused_as_long_as_others_listen(start_server: StartServer) -> None:
    places = {"ASR_MAX_LOADED_MODELS": "1", "ASR_ALLOWED_MODELS": "*", "OFFLINE": "false"}
    other = "intent=transcription&model=tiny"
    with start_server("asr", ASR_ENGINE="fake", ASR_MODEL="fake", **places) as server:
        with listen(server) as first, listen(server, other) as second:
            first.say(silence(1))
            wait_until(server.engine_pid, 20, "the engine has a process")
            with suppress(ConnectionClosed):  # it may be told while it still speaks
                second.say(silence(1))
            assert second.until_closed() == 1013
            assert "queue_full" in str(second.of("error"))
            with pytest.raises(InvalidStatus) as refused, listen(server, other):
                pass
            assert refused.value.response.status_code == 429
            first.update(noise_reduction=None)
            first.until(lambda told: told.of("session.updated"))
        wait_until(lambda: server.count_jobs() == (0, 0), 10, "nobody listens")
        with listen(server, other) as third:
            assert third.of("session.created")
