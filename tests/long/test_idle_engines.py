"""Engines without work: kept, given back, and the spare processes that follow them."""

import time

import psutil

from conftest import StartServer
from e2e.test_lifecycle import FAKE, transcribe
from running_server import wait_until


def test_negative_idle_time_keeps_the_engine(start_server: StartServer) -> None:
    with start_server("asr", "--idle-timeout-s", "-1", **FAKE) as server:
        transcribe(server)
        pid = server.engine_pid()
        time.sleep(1.0)
        assert server.engine_pid() == pid is not None


def test_idle_time_of_zero_stops_the_engine_at_once(start_server: StartServer) -> None:
    with start_server("asr", "--idle-timeout-s", "0", **FAKE) as server:
        transcribe(server)
        wait_until(lambda: server.engine_pid() is None, 5, "the engine is gone")
        assert transcribe(server) == "window 1.0 s."


def test_a_spare_process_follows_an_idle_one(start_server: StartServer) -> None:
    def spare() -> int | None:
        (engine,) = server.engines()
        return int(str(engine["spare_pid"])) if engine["pid"] is None and engine["spare_pid"] is not None else None

    # Preloaded it gives its model back without ever having been used.
    with start_server("asr", "--preload", "--idle-timeout-s", "0.2", **FAKE) as server:
        wait_until(spare, 10, "a spare process")
        waiting = spare()
        assert waiting is not None
        assert transcribe(server, prompt="sleep=1.0") == "window 1.0 s."
        wait_until(lambda: spare() not in {None, waiting}, 10, "the next spare process")
        waiting = spare()
        assert waiting is not None
        psutil.Process(waiting).kill()
        wait_until(lambda: server.engines()[0]["spare_pid"] is None, 5, "it is gone")
        assert transcribe(server) == "window 1.0 s."
        wait_until(spare, 10, "a spare process again")
        waiting = spare()
    assert waiting is not None
    assert not psutil.pid_exists(waiting)
    log = server.log.read_text()
    assert "engine process died" not in log


def test_unloading_ends_the_spare_process(start_server: StartServer) -> None:
    with start_server("asr", "--preload", "--idle-timeout-s", "0.2", **FAKE) as server, server.http() as client:
        wait_until(lambda: server.engines()[0]["spare_pid"], 10, "a spare process")
        assert client.delete("/v1/models/fake").status_code < 300
        assert server.engines()[0]["spare_pid"] is None
