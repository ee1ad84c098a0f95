"""Live sound through the plan and a real engine: turns told as they come, drafts that stay, finals as of a file."""

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from voice_stack.asr.engine_factory import load_engine
from voice_stack.asr.listening.workload import AsrWorkload
from voice_stack.asr.live.turns import (
    Clear,
    Cleared,
    Commit,
    LiveRequest,
    LiveSound,
    NothingToCommit,
    SoundFormat,
    SpeechStarted,
    SpeechStopped,
    TurnClosed,
    TurnDraft,
    TurnRules,
    TurnText,
)
from voice_stack.asr.request import AsrWorkerConfig, DecodeOptions, EngineOptions
from voice_stack.asr.settings import AsrSettings
from voice_stack.core.feeds import Feed, Inbox, Notice, Settled, Starved, Verdict
from voice_stack.core.jobs import Again, Job, Output, Unit, Urgency, options_from
from voice_stack.utils.audio.decode import decode_blocks

SPEECH_DIR = os.environ.get("VOICE_STACK_SPEECH_DIR")
pytestmark = pytest.mark.skipif(not SPEECH_DIR, reason="no folder of recordings is named")
RATE = 16_000
REQUEST = LiveRequest(DecodeOptions("en"), SoundFormat("pcm", RATE))


@pytest.fixture(scope="module")
def workload() -> AsrWorkload:
    settings = AsrSettings.read()  # not offline: that would hold for all tests of this process
    options = EngineOptions(device="cpu", threads=2)
    config = options_from(AsrWorkerConfig, settings, options=options, model="tiny.en", operator_paths=())
    work = AsrWorkload(config, lambda: load_engine(config))
    work.load()
    return work


KindT = TypeVar("KindT")


class Session:
    """A live job whose units run at once, as one lane would run them; what is tentative waits for its verdict."""

    def __init__(self, workload: AsrWorkload, request: LiveRequest = REQUEST, job: Job | None = None) -> None:
        self.job = job or Job("live", request, "", is_fed=True)
        self._workload, self._fed, self._number = workload, Inbox(), -1
        self._plan = workload.plan(self.job, self._fed)
        self._tentative: dict[int, list[object]] = {}
        self.heard: list[object] = []
        self.settled: Settled | None = None

    def feed(self, *pieces: object) -> "Session":
        for piece in pieces:
            self._number += 1
            self._fed.put(Feed(self.job.id, self._number, piece))
            self._go_on()
        return self

    def close(self) -> list[object]:
        self._fed.put(Feed(self.job.id, self._number + 1, None, is_last=True))
        self._go_on()
        self._workload.forget(self.job)
        return self.heard

    def of(self, kind: type[KindT]) -> list[KindT]:
        return [one for one in self.heard if isinstance(one, kind)]

    def _go_on(self) -> None:
        for step in self._plan:
            match step:
                case Unit(is_tentative=True):
                    self._tentative[step.index] = list(self._run(step))
                case Unit():
                    self.heard += self._run(step)
                case Verdict(index, is_kept):
                    self.heard += self._tentative.pop(index) if is_kept else []
                case Notice(_, payload):
                    self.heard.append(payload)
                case Settled():
                    self.settled = step
                case Starved():
                    return

    def _run(self, unit: Unit) -> Iterator[object]:
        for result in self._workload.run([unit], Urgency.ALONE):
            if isinstance(result, Again):
                yield from self._run(result.unit)
            elif isinstance(result, Output):
                yield result.payload


def sound(name: str) -> bytes:
    samples = np.concatenate(list(decode_blocks(Path(SPEECH_DIR or "") / name)))
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def silence(seconds: float) -> bytes:
    return bytes(int(seconds * RATE) * 2)


def pieces(data: bytes, seconds: float = 0.1) -> list[LiveSound]:
    size = int(seconds * RATE) * 2
    return [LiveSound(data[at : at + size]) for at in range(0, len(data), size)]


def text(session: Session, turn: int) -> str:
    texts = [one for one in session.of(TurnText) if one.turn == turn]
    assert texts[-1].is_last
    return "".join(segment.text for one in texts for segment in one.window.segments).strip()


def words(string: str) -> list[str]:
    return [word.strip(".,!?").lower() for word in string.replace("-", " ").split()]


FIRST, SECOND = "librivox-0880.wav", "librivox-0890.wav"


def test_turns_come_one_after_another_with_their_texts(workload: AsrWorkload) -> None:
    session = Session(workload).feed(*pieces(sound(FIRST) + silence(1.5) + sound(SECOND) + silence(1.5)))
    session.close()
    kinds = [type(one) for one in session.heard if not isinstance(one, TurnDraft)]
    assert kinds == [SpeechStarted, SpeechStopped, TurnClosed, TurnText] * 2
    assert words(text(session, 0)) == words((Path(SPEECH_DIR or "") / "librivox-0880.txt").read_text("utf-8"))


def test_words_are_told_while_they_are_spoken_and_stay(workload: AsrWorkload) -> None:
    session = Session(workload).feed(*pieces(sound(SECOND) + silence(1.5)))
    session.close()
    drafts = [one.text for one in session.of(TurnDraft)]
    assert session.heard.index(session.of(TurnDraft)[0]) < session.heard.index(session.of(TurnClosed)[0])
    assert len(drafts) >= 2
    assert all(after.startswith(before) for before, after in pairwise(drafts))
    assert len(words(drafts[-1])) >= len(words(text(session, 0))) / 2


def test_the_first_words_are_told_after_a_second_of_speech(workload: AsrWorkload) -> None:
    session, fed_s = Session(workload), 0.0
    for piece in pieces(silence(1) + sound(SECOND)):
        session.feed(piece)
        fed_s += 0.1
        if session.of(TurnDraft):
            break
    assert fed_s <= session.of(SpeechStarted)[0].at_s + REQUEST.rules.prefix_s + 1.3
    session.close()


def test_who_begins_anew_after_a_turn_loses_nothing_and_repeats_nothing(workload: AsrWorkload) -> None:
    fed = pieces(sound(FIRST) + silence(1.5) + sound(SECOND) + silence(1.5))
    whole = Session(workload).feed(*fed)
    whole.close()
    first = Session(workload).feed(*fed[: len(fed) // 2])
    while not first.of(TurnText):
        first.feed(*fed[len(fed) // 2 :])
    assert first.settled is not None
    job = replace(first.job, id="again", mark=first.settled.mark, first_unit=1)
    again = Session(workload, job=job).feed(*fed[first.settled.feed :])
    again.close()
    assert [one.turn for one in again.of(TurnText)] == [1]
    assert words(text(again, 1)) == words(text(whole, 1))
    starts_s = [one.at_s for session in (whole, again) for one in session.of(SpeechStarted)]
    assert starts_s[2:] == [pytest.approx(starts_s[1], abs=0.1)]


def test_commits_make_turns_where_nothing_else_does(workload: AsrWorkload) -> None:
    request = replace(REQUEST, rules=TurnRules("none"))
    session = Session(workload, request).feed(Commit(), *pieces(sound(FIRST)), Commit(), Commit())
    session.feed(*pieces(silence(1)), Clear()).close()
    kinds = [type(one) for one in session.heard if not isinstance(one, TurnDraft)]
    assert kinds == [NothingToCommit, TurnClosed, TurnText, NothingToCommit, Cleared]
    assert "young" in words(text(session, 0))
