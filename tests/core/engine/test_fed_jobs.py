"""Jobs whose input comes over time, in a real engine process: what is fed, told, drafted, held and settled."""

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection

import pytest

from voice_stack.core.errors import EngineError
from voice_stack.core.feeds import (
    INPUT_FULL_BYTES,
    LEAST_FEED_BYTES,
    TOLD_BYTES,
    Draft,
    Feed,
    Inbox,
    InputFeeds,
    Notice,
    Settled,
    Starved,
    Verdict,
)
from voice_stack.core.jobs import (
    Command,
    Event,
    Job,
    JobDone,
    JobEvent,
    Output,
    PlanStep,
    RunResult,
    Submit,
    Unit,
    UnitDone,
    Urgency,
    Workload,
)
from voice_stack.core.worker.loop import serve_engine

TIMEOUT_S = 30.0


class Listener(Workload):
    """Says back what it is fed: a word is a unit, `word?` a draft, `word~` a tentative unit, `+` and `-` judge it.

    `.` settles what came before it; `!` is told.
    """

    def __init__(self, _config: object) -> None:
        pass

    def load(self) -> None:
        pass

    def plan(self, job: Job, fed: Inbox) -> Iterator[PlanStep]:
        index, drafts, judged = job.first_unit, 0, 0
        if job.mark is not None:
            yield Notice(job.id, f"goes on after {job.mark}")
        while True:
            for word in fed.take():
                assert isinstance(word, str)
                if word.endswith("?"):
                    drafts += 1
                    yield Unit(job.id, -drafts, 1.0, "draft", word, is_draft=True)
                elif word in {"+", "-"}:
                    yield Verdict(judged, word == "+")
                elif word == ".":
                    yield Settled(job.id, fed.taken, index)
                elif word == "!":
                    yield Notice(job.id, word)
                else:
                    judged = index
                    yield Unit(job.id, index, 1.0, "word", word, is_tentative=word.endswith("~"))
                    index += 1
            if fed.is_closed and not fed:
                return
            yield Starved(job.id, fed.taken)

    def run(self, units: Sequence[Unit], urgency: Urgency) -> Iterator[RunResult]:
        for unit in units:
            if unit.data == "fails?":
                raise EngineError("it fails")
            yield unit.output(unit.data)
            yield unit.done()

    def finish(self, job: Job) -> object:
        return "complete"

    def forget(self, job: Job) -> None:
        pass


class Engine:
    """A process with a `Listener`, and the jobs in it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.events: list[Event] = []
        self._fed: dict[str, int] = {}

    def send(self, command: Command) -> None:
        self._connection.send(command)

    def feed(self, job_id: str, *words: str) -> None:
        for word in words:
            number = self._fed[job_id] = self._fed.get(job_id, -1) + 1
            self.send(Feed(job_id, number, word))

    def close(self, job_id: str) -> None:
        self.send(Feed(job_id, self._fed.get(job_id, -1) + 1, None, is_last=True))

    def until(self, kind: type[Event], job_id: str) -> list[object]:
        """What the job gave, drafted, told and settled, until an event of a kind has come."""
        seen: list[JobEvent] = []
        while not (seen and isinstance(seen[-1], kind)):
            assert self._connection.poll(TIMEOUT_S)
            event = self._connection.recv()
            if getattr(event, "job_id", None) == job_id:
                seen.append(event)
        return [event.payload for event in seen if isinstance(event, Output | Draft | Notice)] + [
            event.feed for event in seen if isinstance(event, Settled)
        ]


@contextmanager
def engine() -> Iterator[Engine]:
    spawn = multiprocessing.get_context("spawn")
    api, far_end = spawn.Pipe()
    arguments = (far_end, f"{__name__}:Listener", None, "INFO", "text", False)
    process = spawn.Process(target=serve_engine, args=arguments, daemon=True)
    process.start()
    try:
        yield Engine(api)
    finally:
        process.kill()
        process.join()


@pytest.fixture(scope="module")
def running() -> Iterator[Engine]:
    with engine() as one:
        yield one


def test_what_is_fed_is_worked_on_while_more_is_to_come(running: Engine) -> None:
    running.send(Submit(Job("a", None, "", is_fed=True)))
    running.feed("a", "!")
    assert running.until(Notice, "a") == ["!"]
    running.feed("a", "one")
    assert running.until(UnitDone, "a") == ["one"]
    running.feed("a", "two")
    assert running.until(UnitDone, "a") == ["two"]
    running.close("a")
    assert running.until(JobDone, "a") == []


def test_a_job_that_waits_for_input_holds_nobody_up(running: Engine) -> None:
    running.send(Submit(Job("waiting", None, "", is_fed=True)))
    running.send(Submit(Job("whole", None, "", is_fed=True)))
    running.feed("whole", "all", "of", "it")
    running.close("whole")
    assert running.until(JobDone, "whole") == ["all", "of", "it"]
    running.close("waiting")
    assert running.until(JobDone, "waiting") == []


def test_drafts_leave_at_once_and_count_for_nothing(running: Engine) -> None:
    running.send(Submit(Job("drafts", None, "", is_fed=True)))
    running.feed("drafts", "fo?")
    assert running.until(UnitDone, "drafts") == ["fo?"]
    running.feed("drafts", "four")
    running.close("drafts")
    assert running.until(JobDone, "drafts") == ["four"]


def test_a_draft_that_fails_costs_nothing_else(running: Engine) -> None:
    running.send(Submit(Job("poor drafts", None, "", is_fed=True)))
    running.feed("poor drafts", "fails?")
    assert running.until(UnitDone, "poor drafts") == []
    running.feed("poor drafts", "fo?")
    assert running.until(UnitDone, "poor drafts") == ["fo?"]
    running.feed("poor drafts", "four")
    running.close("poor drafts")
    assert running.until(JobDone, "poor drafts") == ["four"]


def test_who_feeds_letter_by_letter_waits_too_and_goes_on() -> None:
    feeds, inbox = InputFeeds(), Inbox()
    while not feeds.is_full:
        inbox.put(feeds.add("letters", "a"))
    assert inbox.taken == 0
    assert len(list(inbox.take())) == INPUT_FULL_BYTES / LEAST_FEED_BYTES
    assert inbox.is_worth_telling(), "who waits is told when all was taken"
    feeds.take(inbox.taken)
    assert not feeds.is_full
    for _ in range(TOLD_BYTES // LEAST_FEED_BYTES - 1):
        inbox.put(feeds.add("letters", "a"))
    assert set(inbox.take()) == {"a"}
    assert not inbox.is_worth_telling()


@pytest.mark.parametrize(("verdict", "left"), [("+", ["wait~", "next"]), ("-", ["next"])])
def test_what_is_tentative_waits_for_its_verdict(running: Engine, verdict: str, left: list[str]) -> None:
    name = f"tentative {verdict}"
    running.send(Submit(Job(name, None, "", is_fed=True)))
    running.feed(name, "wait~", "!")
    assert running.until(Notice, name) == ["!"]
    running.feed(name, verdict, "next")
    running.close(name)
    assert running.until(JobDone, name) == left


def test_what_is_settled_is_told_after_what_it_gave(running: Engine) -> None:
    running.send(Submit(Job("settled", None, "", is_fed=True)))
    running.feed("settled", "one", "two", ".")
    assert running.until(Settled, "settled") == ["one", "two", 3]
    running.feed("settled", ".")
    assert running.until(Settled, "settled") == [4]
    running.close("settled")
    running.until(JobDone, "settled")


def test_who_begins_anew_is_told_where(running: Engine) -> None:
    running.send(Submit(Job("anew", None, "", first_unit=7, is_fed=True, mark="six words")))
    running.send(Feed("anew", 9, "eight"))
    running.close("anew")
    assert running.until(JobDone, "anew") == ["goes on after six words", "eight"]
