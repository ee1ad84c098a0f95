"""Many who speak at once: who is let in is heard to the end, who is not is told before; and nobody falls behind."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from websockets.exceptions import InvalidStatus
from whisper_normalizer.basic import BasicTextNormalizer

from chaos.live import RATE, LiveSession, listen, silence, to_pcm
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]
Spoken = Callable[[str], bytes]
TEXT = "My sister lives in the old house by the river, and the garden gate is open."
CROWD, PATIENCE_S = 64, 100.0
STREAMS, TURNS, PAUSE_S = 4, 6, 0.9
LATER_S = 3.0
normalize = BasicTextNormalizer()


def test_of_sixty_four_who_speak_at_once_those_let_in_are_heard(start_server: StartServer, spoken: Spoken) -> None:
    pcm = to_pcm(spoken(TEXT)) + silence(0.8)
    begin, refused, heard = threading.Barrier(CROWD), list[tuple[int, str]](), list[LiveSession]()

    def speak(server: RunningServer) -> None:
        begin.wait()
        try:
            with listen(server, transcription={"language": "en"}) as session:
                session.say(pcm, speed=1)
                session.until_heard(1, PATIENCE_S)
                heard.append(session)
        except InvalidStatus as error:
            refused.append((error.response.status_code, error.response.headers["retry-after"]))

    with start_server("asr", ASR_MODEL="base") as server, ThreadPoolExecutor(CROWD) as threads:
        with listen(server, transcription={"language": "en"}) as alone:
            alone.say(pcm)
            (text,) = alone.until_heard(1)
        begun = time.monotonic()
        for one in [threads.submit(speak, server) for _ in range(CROWD)]:
            one.result()
        print(f"{len(heard)} heard in {time.monotonic() - begun:.0f} s, {len(refused)} refused")
    assert len(heard) + len(refused) == CROWD
    assert refused
    assert len(heard) >= STREAMS
    assert {status for status, _ in refused} == {429}
    assert all(int(wait_s) >= 1 for _, wait_s in refused)
    assert normalize(text) == normalize(TEXT)
    for session in heard:
        assert [normalize(final) for final in session.finals()] == [normalize(TEXT)]
        assert not session.of("error")
        assert session.code in {None, 1000}  # who was let in is not sent away


def test_four_who_speak_and_pause_are_not_answered_later_and_later(start_server: StartServer, spoken: Spoken) -> None:
    speech = to_pcm(spoken("The garden gate was open again."))
    turn = speech + silence(PAUSE_S)
    turns = [turn] * (TURNS - 1) + [silence(3) + turn]  # others have fallen behind after a pause

    def lags_s(server: RunningServer) -> list[float]:
        # Each draft takes as long as a final: not all of them can be had.
        with listen(server, transcription={"language": "en", "prompt": "sleep=0.2"}) as session:
            ends = list[float]()
            for one in turns:
                session.say(one, speed=1)
                ends.append(time.monotonic() - PAUSE_S)
            session.until_heard(TURNS)
            completed = session.of("completed")
            told = [at for event, at in zip(session.events, session.told_at, strict=True) if event in completed]
            return [late - end for late, end in zip(told, ends, strict=True)]

    with (
        start_server("asr", ASR_ENGINE="fake", ASR_MODEL="fake") as server,
        ThreadPoolExecutor(STREAMS) as threads,
    ):
        streams = [lag.result() for lag in [threads.submit(lags_s, server) for _ in range(STREAMS)]]
    print([[round(lag, 2) for lag in lags] for lags in streams])
    assert all(max(lags) < lags[0] + LATER_S for lags in streams)
    assert len(speech) > 2 * RATE
