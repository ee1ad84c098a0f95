"""Which unit runs next, by table: the decision is pure, so no engine and no clock is needed."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from voice_stack.core.jobs import Unit, Urgency
from voice_stack.core.worker.scheduler import HALF_LIFE_S, Scheduler


def unit(job_id: str, index: int = 0, cost_s: float = 3.0, key: str = "same") -> Unit:
    return Unit(job_id, index, cost_s, key, None)


def schedule(*jobs: tuple[str, float, int], now: float = 0.0) -> Scheduler:
    """A scheduler with jobs given as (id, seconds left, waiting units)."""
    scheduler = Scheduler()
    for job_id, remaining_s, count in jobs:
        scheduler.open(job_id, now)
        scheduler.expect(job_id, remaining_s)
        for index in range(count):
            scheduler.add(unit(job_id, index), 0.0)
    return scheduler


def test_the_job_with_the_least_work_left_goes_first() -> None:
    scheduler = schedule(("film", 7200, 4), ("command", 3, 1))
    assert [(u.job_id, u.index) for u in scheduler.next(0.0, 1)] == [("command", 0)]
    assert [(u.job_id, u.index) for u in scheduler.next(0.0, 1)] == [("film", 0)]


def test_who_waits_for_a_beginning_goes_before_who_hears_already() -> None:
    scheduler = schedule(("heard", 12, 4), ("waiting", 15, 0))
    scheduler.add(replace(unit("waiting"), is_awaited=True), 0.0)
    scheduler.add(unit("waiting", 1), 0.0)
    order = [scheduler.next(0.0, 1)[0] for _ in range(3)]
    assert [(u.job_id, u.index) for u in order] == [("waiting", 0), ("heard", 0), ("heard", 1)]


def test_units_of_a_job_run_in_order_even_when_one_comes_back() -> None:
    scheduler = schedule(("film", 60, 3))
    first = scheduler.next(0.0, 1)[0]
    scheduler.add(first, 0.0)
    assert [scheduler.next(0.0, 1)[0].index for _ in range(3)] == [0, 1, 2]


def test_a_film_goes_on_under_constant_short_load() -> None:
    scheduler = schedule(("film", 7200, 100))
    served = 0
    for second in range(300):
        scheduler.open(f"command-{second}", float(second))
        scheduler.add(unit(f"command-{second}"), 0.0)
        served += scheduler.next(float(second), 1)[0].job_id == "film"
    # Two hours against three seconds are 11.2 halvings: a unit about every 34 seconds, so at least 5 in 300.
    assert 5 <= served <= 300 / (8 * HALF_LIFE_S)


def test_a_batch_is_shared_between_jobs_before_one_fills_it() -> None:
    scheduler = schedule(("a", 3, 3), ("b", 6, 3))
    assert [(u.job_id, u.index) for u in scheduler.next(0.0, 4)] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_units_with_other_options_stay_out_of_the_batch() -> None:
    scheduler = schedule(("a", 3, 1))
    scheduler.open("b", 0.0)
    scheduler.add(unit("b", key="other"), 0.0)
    assert [u.job_id for u in scheduler.next(0.0, 4)] == ["a"]
    assert [u.job_id for u in scheduler.next(0.0, 4)] == ["b"]


def test_a_job_that_is_tried_again_runs_alone() -> None:
    scheduler = schedule(("a", 3, 2))
    scheduler.open("suspect", 0.0, alone=True)
    scheduler.add(unit("suspect", cost_s=1.0), 0.0)
    assert [u.job_id for u in scheduler.next(0.0, 4)] == ["suspect"]
    assert [u.job_id for u in scheduler.next(0.0, 4)] == ["a", "a"]


def test_a_job_that_runs_alone_waits_for_the_others_and_they_for_it() -> None:
    scheduler = schedule(("a", 3, 1))
    scheduler.open("suspect", 0.0, alone=True)
    scheduler.add(unit("suspect", cost_s=1.0), 0.0)
    assert scheduler.next(0.0, 4, running={"b"}) == []
    assert [u.job_id for u in scheduler.next(0.0, 4)] == ["suspect"]
    assert scheduler.next(0.0, 4, running={"suspect"}) == []
    assert [u.job_id for u in scheduler.next(0.0, 4)] == ["a"]


def test_units_whose_results_shape_the_next_run_one_after_another() -> None:
    scheduler = Scheduler()
    for job_id in ("unknown", "other"):
        scheduler.open(job_id, 0.0)
        for index in range(2):
            scheduler.add(Unit(job_id, index, 3.0, "same", None, is_sequential=job_id == "unknown"), 0.0)
    assert [(u.job_id, u.index) for u in scheduler.next(0.0, 4)] == [("unknown", 0)]
    assert [u.job_id for u in scheduler.next(0.0, 4, running={"unknown"})] == ["other", "other"]
    assert scheduler.next(0.0, 4, running={"unknown"}) == []
    assert [(u.job_id, u.index) for u in scheduler.next(0.0, 4)] == [("unknown", 1)]


def test_short_jobs_do_not_share_a_batch_with_long_ones() -> None:
    scheduler = schedule(("film", 7200, 4), ("command", 3, 1), ("question", 4, 1))
    assert [u.job_id for u in scheduler.next(0.0, 8)] == ["command", "question"]
    assert [u.job_id for u in scheduler.next(0.0, 8)] == ["film"] * 4


def test_short_jobs_share_a_batch_up_to_a_limit_of_work() -> None:
    scheduler = schedule(*((f"command-{n}", 3, 1) for n in range(8)))
    assert len(scheduler.next(0.0, 8, short_limit_s=10.0)) == 3
    scheduler = Scheduler()
    scheduler.open("long sentence", 0.0)
    scheduler.add(unit("long sentence", cost_s=20.0), 0.0)
    assert len(scheduler.next(0.0, 8, short_limit_s=10.0)) == 1


def test_what_waits_is_spread_over_the_free_lanes() -> None:
    scheduler = schedule(("a", 3, 1), ("b", 3, 1), ("c", 3, 1))
    assert len(scheduler.next(0.0, 8, free_lanes=2)) == 2
    assert len(scheduler.next(0.0, 8, free_lanes=1)) == 1


def test_the_express_lane_takes_no_film() -> None:
    scheduler = schedule(("film", 7200, 4), ("command", 3, 1))
    assert scheduler.is_short("command")
    assert not scheduler.is_short("film")
    assert [u.job_id for u in scheduler.next(0.0, 8, only_short=True)] == ["command"]
    assert scheduler.next(0.0, 8, only_short=True) == []


def test_urgency_is_what_else_there_is_to_do() -> None:
    scheduler = schedule(("film", 7200, 4), ("command", 3, 1), ("other", 3, 1))
    (command,) = scheduler.next(0.0, 1)
    assert scheduler.urgency({command.job_id}, set()) is Urgency.SHARED
    scheduler.next(0.0, 1)
    assert scheduler.urgency({"command"}, {"other"}) is Urgency.SHARED
    scheduler.close("other")
    assert scheduler.urgency({"command"}, {"film"}) is Urgency.FIRST
    assert scheduler.urgency({"command"}, {"command"}) is Urgency.ALONE
    assert scheduler.urgency({"film"}, {"command"}) is Urgency.LONG


def test_a_paused_job_waits_and_a_closed_one_is_gone() -> None:
    scheduler = schedule(("slow reader", 1, 1), ("gone", 1, 1))
    scheduler.pause("slow reader", True)
    scheduler.close("gone")
    assert scheduler.next(0.0, 4) == []
    scheduler.pause("slow reader", False)
    assert [u.job_id for u in scheduler.next(0.0, 4)] == ["slow reader"]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0.1, 30), st.sampled_from("xy")), max_size=40), st.integers(1, 8)
)
def test_every_unit_runs_exactly_once(rows: list[tuple[int, float, str]], limit: int) -> None:
    scheduler = Scheduler()
    waiting = [unit(f"job-{job}", index, cost_s, key) for index, (job, cost_s, key) in enumerate(rows)]
    for job_id in {u.job_id for u in waiting}:
        scheduler.open(job_id, 0.0)
    for u in waiting:
        scheduler.add(u, 0.0)
    ran: list[Unit] = []
    while batch := scheduler.next(float(len(ran)), limit):
        assert len(batch) <= limit
        assert len({u.batch_key for u in batch}) == 1
        ran += batch
    assert sorted(ran, key=lambda u: u.index) == waiting


def test_nothing_of_its_job_runs_beside_what_is_wanted_at_once() -> None:
    scheduler = schedule(("speech", 12, 0))
    scheduler.add(replace(unit("speech"), is_sequential=True), 0.0)
    scheduler.add(unit("speech", 1), 0.0)
    (first,) = scheduler.next(0.0, 1)
    assert scheduler.next(0.0, 1, running={"speech"}) == []
    # Its beginning has been heard: the rest of it and the next run side by side.
    scheduler.add(replace(first, is_sequential=False), 0.0)
    assert scheduler.next(0.0, 1)[0].index == 0
    assert scheduler.next(0.0, 1, running={"speech"})[0].index == 1


def draft(job_id: str, cost_s: float = 3.0, *, number: int = 1) -> Unit:
    return replace(unit(job_id, -number, cost_s, "draft"), is_draft=True)


def test_drafts_go_behind_what_somebody_waits_for_and_before_films() -> None:
    scheduler = schedule(("film", 7200, 1), ("talk", 0, 0), ("other", 0, 1))
    scheduler.add(draft("talk"), 0.0)
    assert [scheduler.next(0.0, 1)[0].job_id for _ in range(3)] == ["other", "talk", "film"]


def test_the_newest_draft_takes_the_place_of_one_that_waits() -> None:
    scheduler = schedule(("talk", 0, 0))
    scheduler.add(draft("talk", number=1), 0.0)
    scheduler.add(draft("talk", number=2), 0.0)
    assert [u.index for u in scheduler.next(0.0, 4)] == [-2]
    assert not scheduler.next(0.0, 4)


def test_a_final_ends_the_draft_before_it() -> None:
    scheduler = schedule(("talk", 0, 0))
    scheduler.add(draft("talk"), 0.0)
    scheduler.add(unit("talk"), 0.0)
    assert [u.index for u in scheduler.next(0.0, 4)] == [0]
    assert not scheduler.next(0.0, 4)


def test_one_job_has_one_draft_at_a_time_and_its_finals_do_not_wait_for_that() -> None:
    scheduler = schedule(("talk", 0, 0), ("other", 0, 0))
    scheduler.add(draft("talk"), 0.0)
    scheduler.add(draft("other"), 0.0)
    assert [u.job_id for u in scheduler.next(0.0, 4, drafting={"talk"})] == ["other"]
    scheduler.add(unit("talk"), 0.0)
    assert [u.index for u in scheduler.next(0.0, 4, drafting={"talk"})] == [0]


def test_no_draft_takes_the_last_lane() -> None:
    scheduler = schedule(("command", 3, 1))
    scheduler.open("talk", 0.0)
    scheduler.add(draft("talk"), 0.0)
    assert [u.job_id for u in scheduler.next(0.0, 4, may_draft=False)] == ["command"]
    assert scheduler.next(0.0, 4, may_draft=False) == []
    assert [u.job_id for u in scheduler.next(0.0, 4)] == ["talk"]


def test_drafts_share_a_batch_and_the_lanes() -> None:
    scheduler = schedule(*((name, 0, 0) for name in "abcd"))
    for name in "abcd":
        scheduler.add(draft(name), 0.0)
    assert len(scheduler.next(0.0, 4, free_lanes=2)) == 2
    assert len(scheduler.next(0.0, 4)) == 2


def awaited(job_id: str, cost_s: float = 3.0) -> Unit:
    return replace(unit(job_id, cost_s=cost_s), is_awaited=True)


def test_what_may_be_of_no_use_waits_for_what_is_wanted_until_it_is_wanted_too() -> None:
    scheduler = schedule(("pause", 0, 0), ("end", 0, 0))
    scheduler.add(replace(awaited("pause"), is_tentative=True), 0.0)
    scheduler.add(awaited("end", cost_s=4.0), 0.0)
    assert scheduler.next(0.0, 1)[0].job_id == "end"
    scheduler.add(awaited("end", cost_s=4.0), 0.0)
    scheduler.keep("pause", 0)
    assert scheduler.next(0.0, 1)[0].job_id == "pause"


def test_nobody_who_waits_for_one_unit_waits_for_those_of_others() -> None:
    scheduler = schedule(("a", 0, 0), ("b", 0, 0))
    for name in "ab":
        scheduler.add(awaited(name), 0.0)
    assert [u.job_id for u in scheduler.next(0.0, 8, short_limit_s=30.0)] == ["a"]
    scheduler.add(awaited("a"), 0.0)
    assert len(scheduler.next(0.0, 8)) == 2  # an engine for which a batch takes no longer


def test_the_longest_wait_ends_first() -> None:
    scheduler = schedule(("long", 0, 0), ("short", 0, 0))
    scheduler.add(awaited("long", cost_s=7.0), 0.0)
    scheduler.add(awaited("short", cost_s=2.0), 1.0)
    assert scheduler.next(1.0, 1)[0].job_id == "long"


def test_many_who_speak_are_a_crowd_while_they_do() -> None:
    scheduler = schedule(*((name, 0, 0) for name in "abcd"))
    for name in "abc":
        scheduler.add(draft(name), 0.0)
    assert not scheduler.is_crowd(0.5)
    scheduler.add(draft("d"), 0.5)
    assert scheduler.is_crowd(0.9)
    assert not scheduler.is_crowd(1.2)
