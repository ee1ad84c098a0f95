"""When an engine that dies again and again is left alone, and when it is tried again."""

import pytest

from voice_stack.core.engine.crashes import FIRST_PAUSE_S, LONGEST_PAUSE_S, MAX_CRASHES, WINDOW_S, Circuit


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> Circuit:
    return Circuit(clock)


def _break(circuit: Circuit) -> None:
    for number in range(MAX_CRASHES):
        circuit.note_crash(frozenset({f"job-{number}"}))


def test_crashes_of_different_jobs_open_it_and_time_lets_one_job_try(circuit: Circuit, clock: Clock) -> None:
    for number in range(MAX_CRASHES - 1):
        assert not circuit.note_crash(frozenset({f"job-{number}"}))
        assert circuit.admit("next") == 0
    assert circuit.note_crash(frozenset())
    assert circuit.admit("early") == FIRST_PAUSE_S
    clock.now_s += FIRST_PAUSE_S
    assert circuit.admit("probe") == 0
    assert circuit.admit("another") > 0
    circuit.note_end("probe", is_done=True)
    assert circuit.admit("another") == 0


def test_one_job_that_kills_every_process_does_not_open_it(circuit: Circuit) -> None:
    # A batch of four dies, then the one of them that is to blame, which is tried alone.
    for suspects in (frozenset("abcd"), frozenset("a"), frozenset("a"), frozenset("a"), frozenset("a")):
        assert not circuit.note_crash(suspects)
    assert circuit.wait_s == 0


def test_jobs_that_are_done_in_between_keep_it_closed(circuit: Circuit) -> None:
    for number in range(3 * MAX_CRASHES):
        assert not circuit.note_crash(frozenset({f"job-{number}"}))
        circuit.note_end(f"other-{number}", is_done=True)


def test_crashes_long_ago_do_not_count(circuit: Circuit, clock: Clock) -> None:
    for number in range(3 * MAX_CRASHES):
        assert not circuit.note_crash(frozenset({f"job-{number}"}))
        clock.now_s += WINDOW_S / 2


def test_pauses_grow_to_a_limit_and_begin_anew_after_a_success(circuit: Circuit, clock: Clock) -> None:
    _break(circuit)
    pauses = []
    for number in range(10):
        pauses.append(circuit.wait_s)
        clock.now_s += circuit.wait_s
        assert circuit.admit(f"probe-{number}") == 0
        assert circuit.note_crash(frozenset({f"probe-{number}"}))
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert max(pauses) == LONGEST_PAUSE_S
    clock.now_s += circuit.wait_s
    circuit.admit("well")
    circuit.note_end("well", is_done=True)
    _break(circuit)
    assert circuit.wait_s == FIRST_PAUSE_S


def test_a_probe_that_nobody_wants_any_more_makes_room_for_another(circuit: Circuit, clock: Clock) -> None:
    _break(circuit)
    clock.now_s += FIRST_PAUSE_S
    assert circuit.admit("left") == 0
    circuit.note_end("left", is_done=False)
    assert circuit.admit("next") == 0
