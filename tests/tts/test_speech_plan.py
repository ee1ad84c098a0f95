"""What is cut of a text first: a short beginning where somebody waits, a shorter one where several do."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from voice_stack.core.feeds import Inbox
from voice_stack.core.jobs import Again, Job, Output, RunResult, Unit, UnitDone, Urgency
from voice_stack.tts.engine.base import Spoken, TtsEngine, VoiceOptions
from voice_stack.tts.models import CAPABILITIES
from voice_stack.tts.request import Passage, SpeechRequest
from voice_stack.tts.workload import TtsWorkload

SENTENCE = "The museum opens at ten in the morning and closes at six on every day of the week."
RATE = 16_000


class Hummer(TtsEngine):
    """Hums four pieces of half a second for a clause that is awaited, else all at once."""

    sample_rate = RATE
    is_quick = True

    def synthesize(self, text: str, options: VoiceOptions) -> Iterator[Spoken]:
        hum = (0.2 * np.sin(np.arange(2 * RATE) * 0.1)).astype(np.float32)
        pieces = np.split(hum, 4) if options.is_awaited else [hum]
        for index, piece in enumerate(pieces, start=1):
            yield Spoken(piece, goes_on=index < len(pieces))


def open_workload(engine: str) -> TtsWorkload:
    workload = TtsWorkload(CAPABILITIES[engine], lambda: Hummer(Path(), device="cpu", threads=1))
    workload.load()
    return workload


def request(*, is_awaited: bool = True) -> SpeechRequest:
    return SpeechRequest((Passage(SENTENCE, VoiceOptions(language="en"), ("en",)),), is_awaited=is_awaited)


def cut(workload: TtsWorkload, name: str, *, is_awaited: bool = True) -> list[Unit]:
    steps = workload.plan(Job(name, request(is_awaited=is_awaited), ""), Inbox())
    return [step for step in steps if isinstance(step, Unit)]


def texts(units: list[Unit]) -> list[str]:
    return [unit.data.clause.text for unit in units]  # type: ignore[attr-defined]


def run(workload: TtsWorkload, unit: Unit) -> list[RunResult]:
    return list(workload.run([unit], Urgency.ALONE))


def test_who_waits_alone_hears_the_whole_sentence() -> None:
    assert texts(cut(open_workload("kokoro"), "a")) == [SENTENCE]


def test_where_another_waits_the_beginning_is_short() -> None:
    workload = open_workload("kokoro")
    cut(workload, "a")
    first, rest = texts(cut(workload, "b"))
    assert first == "The museum opens at ten"
    assert f"{first} {rest}" == SENTENCE


def test_nothing_is_cut_for_who_wants_it_whole() -> None:
    workload = open_workload("kokoro")
    cut(workload, "a")
    assert texts(cut(workload, "b", is_awaited=False)) == [SENTENCE]


def test_those_who_are_heard_already_are_no_crowd() -> None:
    workload = open_workload("kokoro")
    (unit,) = cut(workload, "a")
    run(workload, unit)
    assert texts(cut(workload, "b")) == [SENTENCE]


def test_an_engine_that_streams_cuts_nothing() -> None:
    workload = open_workload("piper")
    cut(workload, "a")
    assert texts(cut(workload, "b")) == [SENTENCE]


def test_others_may_begin_between_two_pieces() -> None:
    workload = open_workload("piper")
    (unit,) = cut(workload, "a")
    begun = run(workload, unit)
    assert [type(result) for result in begun] == [Output, Again]
    assert isinstance(begun[-1], Again)
    again = begun[-1].unit
    assert not again.is_awaited
    rest = run(workload, again)
    assert [type(result) for result in rest] == [Output, Output, Output, UnitDone]
    assert workload.finish(Job("a", request(), "")).audio_out_s > 1.5
