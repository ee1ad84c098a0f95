"""Clocks that are set while a server works, as those of small machines are when they find the network."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from chaos.listening import FAKE_ASR, URL, check_windows, form
from chaos.speaking import FAKE_TTS, TEXTS, Speaking, ask
from chaos.speaking import URL as SPEECH_URL
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
DAY_S = 86_400
JUMPS_S = (400 * DAY_S, -400 * DAY_S, 3600, -20 * 365 * DAY_S)


class Clock:
    """The wall clock of a server."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.shift(0)
        folder = Path(__file__).parent / "shifted_clock"
        path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
        self.environment = {"PYTHONPATH": path, "CLOCK_SHIFT_FILE": str(file)}

    def shift(self, seconds: float) -> None:
        """Set it so much later than it is."""
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


def _created_at(server: RunningServer) -> int:
    with server.http() as client:
        return int(client.post(URL, **form(0.5, background="true")).json()["created_at"])  # type: ignore[arg-type]


def test_jobs_and_their_time_outlast_jumps(start_server: StartServer, clock: Clock) -> None:
    with start_server("asr", **FAKE_ASR, **clock.environment) as server, server.http() as client:
        client.post(URL, **form(1.0))  # type: ignore[arg-type]
        before = _created_at(server)
        ids = [client.post(URL, **form(2.0, background="true")).json()["id"]]  # type: ignore[arg-type]
        wait_until(lambda: client.get(f"/v1/jobs/{ids[0]}").json()["status"] == "completed", 30, "the job is over")
        for jump_s in JUMPS_S:
            with ThreadPoolExecutor(1) as threads:
                asked = threads.submit(client.post, URL, **form(7.0, prompt="sleep=0.2", language="en"))  # type: ignore[arg-type]
                wait_until(lambda: server.count_jobs()[0], 30, "the job runs")
                clock.shift(jump_s)
                check_windows(asked.result().json()["text"], 7.0)
            assert client.get(f"/v1/jobs/{ids[0]}/result").status_code == 200, jump_s
            assert abs(_created_at(server) - before) > 3000, "the clock did not jump"
        wait_until(lambda: server.count_jobs() == (0, 0), 30, "all is done")


def test_speech_outlasts_jumps(start_server: StartServer, clock: Clock) -> None:
    with start_server("tts", **FAKE_TTS, **clock.environment) as server, server.http() as client:
        speaking = Speaking.learn(client)
        for jump_s in JUMPS_S:
            clock.shift(jump_s)
            for text in TEXTS[:2]:
                answers = [client.post(SPEECH_URL, json=ask(text, timestamps="word")) for _ in range(2)]
                assert {answer.content for answer in answers} == {speaking.known[text]}, jump_s
                captions = client.get(answers[1].headers["x-captions"]).json()
                assert captions["status"] == "completed"
        assert "Traceback (most" not in server.log.read_text()


def test_idle_engines_end_by_no_jump(start_server: StartServer, clock: Clock) -> None:
    settings = {**FAKE_ASR, **clock.environment}
    with start_server("asr", "--idle-timeout-s", "120", **settings) as server, server.http() as client:
        client.post(URL, **form(1.0))  # type: ignore[arg-type]
        pid = server.engine_pid()
        for jump_s in JUMPS_S:
            clock.shift(jump_s)
            assert client.get("/health").status_code == 200
            assert client.post(URL, **form(1.0)).json()["text"] == "window 1.0 s."  # type: ignore[arg-type]
        assert server.engine_pid() == pid
