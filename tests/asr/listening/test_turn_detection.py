"""Turns: the rules on invented probability tracks with a clock of samples; nothing depends on how sound is cut."""

import itertools
from collections.abc import Callable
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.asr.listening.turn_detection import LONGEST_TURN, PauseBegan, PauseEnded, TurnDetector, TurnEvent
from voice_stack.asr.live.turns import (
    Cleared,
    Eagerness,
    NothingToCommit,
    SpeechStarted,
    SpeechStopped,
    TurnClosed,
    TurnRules,
)
from voice_stack.utils.audio.vad import FRAME, SAMPLE_RATE

FRAME_S = FRAME / SAMPLE_RATE
Judge = Callable[[int, int], float]


def track(*runs: tuple[int, float]) -> list[float]:
    """Runs of (frames, probability)."""
    return [probability for frames, probability in runs for _ in range(frames)]


def feed(detector: TurnDetector, probabilities: list[float], step: int = 1) -> list[TurnEvent]:
    """All events, fed `step` frames at a time."""
    pieces = [probabilities[at : at + step] for at in range(0, len(probabilities), step)]
    return [event for piece in pieces for event in detector.push(len(piece) * FRAME, piece)]


def turns(rules: TurnRules, *runs: tuple[int, float], judge: Judge | None = None) -> list[tuple[float, float]]:
    """Start and end of each turn."""
    events = feed(TurnDetector(rules, judge), track(*runs))
    return [(event.start_s, event.end_s) for event in events if isinstance(event, TurnClosed)]


def test_a_turn_begins_before_its_speech_and_ends_after_its_silence() -> None:
    detector = TurnDetector(TurnRules())
    started_s, stopped_s = 50 * FRAME_S - 0.3, 110 * FRAME_S + 0.5
    assert feed(detector, track((50, 0.0), (60, 1.0), (40, 0.0))) == [
        SpeechStarted(0, pytest.approx(started_s)),
        PauseBegan(0, 110 * FRAME + 3200),
        SpeechStopped(0, pytest.approx(stopped_s)),
        TurnClosed(0, pytest.approx(started_s), pytest.approx(stopped_s)),
    ]


@pytest.mark.parametrize("silence_s", [0.0, 0.1, 0.2, 0.25, 0.35, 0.5, 0.7, 1.0, 3.0])
def test_silence_ends_a_turn_within_a_frame(silence_s: float) -> None:
    detector = TurnDetector(TurnRules(silence_s=silence_s))
    feed(detector, track((10, 0.0), (30, 1.0)))
    quiet = 0
    while not any(isinstance(event, TurnClosed) for event in feed(detector, [0.0])):
        quiet += 1
    assert quiet * FRAME_S < max(silence_s, FRAME_S) <= (quiet + 1) * FRAME_S
    assert turns(TurnRules(silence_s=silence_s), (10, 0.0), (30, 1.0), (200, 0.0)) == [
        (pytest.approx(10 * FRAME_S - 0.3), pytest.approx(40 * FRAME_S + silence_s))
    ]


@pytest.mark.parametrize(("silence_s", "told_after_s"), [(3.0, 0.2), (0.4, 0.2), (0.2, 0.1), (0.1, 0.05)])
def test_the_end_of_a_turn_is_expected_after_half_of_its_silence(silence_s: float, told_after_s: float) -> None:
    events = feed(TurnDetector(TurnRules(silence_s=silence_s)), track((50, 1.0), (100, 0.0)))
    assert [event for event in events if isinstance(event, PauseBegan)] == [
        PauseBegan(0, 50 * FRAME + round(told_after_s * 16_000))
    ]


def test_a_shorter_pause_stays_in_the_turn_and_is_said_to_be_one() -> None:
    detector = TurnDetector(TurnRules(silence_s=0.5))
    events = feed(detector, track((20, 1.0), (12, 0.0), (20, 1.0), (6, 0.0), (20, 1.0), (30, 0.0)))
    kinds = [type(event) for event in events]
    assert kinds == [SpeechStarted, PauseBegan, PauseEnded, PauseBegan, SpeechStopped, TurnClosed]


@pytest.mark.parametrize(
    ("probability", "threshold", "begins", "ends"),
    [
        *[(0.49, 0.5, False, False), (0.5, 0.5, True, False), (0.36, 0.5, False, False), (0.34, 0.5, False, True)],
        *[(0.7, 0.8, False, False), (0.64, 0.8, False, True), (0.1, 0.1, True, False), (0.009, 0.1, False, True)],
    ],
)
def test_speech_begins_at_the_threshold_and_ends_a_little_below(
    probability: float, threshold: float, begins: bool, ends: bool
) -> None:
    rules = TurnRules(threshold=threshold)
    assert bool(turns(rules, (50, probability), (50, 0.0))) == begins
    assert (turns(rules, (20, 1.0), (50, probability))[:1] != []) == ends


def test_between_the_thresholds_nothing_changes() -> None:
    assert turns(TurnRules(), (20, 1.0), (100, 0.4), (20, 1.0), (30, 0.0)) == [
        (0.0, pytest.approx(140 * FRAME_S + 0.5))
    ]
    # A pause is not ended by what would begin no speech.
    assert len(turns(TurnRules(), (20, 1.0), (1, 0.0), (20, 0.4), (20, 1.0), (30, 0.0))) == 2


@pytest.mark.parametrize(("frames", "count"), [(1, 0), (2, 0), (3, 0), (4, 1), (5, 1)])
def test_a_click_is_no_turn_and_a_short_word_is(frames: int, count: int) -> None:
    assert len(turns(TurnRules(), (30, 0.0), (frames, 1.0), (30, 0.0))) == count


def test_clicks_do_not_add_up() -> None:
    assert turns(TurnRules(), *[(2, 1.0), (5, 0.0)] * 50) == []
    # But a stop inside a word does not begin it anew.
    assert len(turns(TurnRules(), (3, 1.0), (1, 0.0), (3, 1.0), (30, 0.0))) == 1


def test_the_prefix_never_reaches_into_the_turn_before() -> None:
    rules = TurnRules(silence_s=0.2, prefix_s=1.0)
    (_, first_end_s), (second_start_s, _) = turns(rules, (20, 1.0), (10, 0.0), (20, 1.0), (20, 0.0))
    assert second_start_s == first_end_s == pytest.approx(20 * FRAME_S + 0.2)


def test_the_client_commits_in_mid_word_and_in_mid_frame() -> None:
    detector = TurnDetector(TurnRules())
    feed(detector, track((20, 1.0)))
    detector.push(100, [])
    end_s = (20 * FRAME + 100) / SAMPLE_RATE
    assert detector.commit() == [SpeechStopped(0, end_s), TurnClosed(0, 0.0, end_s)]
    assert detector.commit() == [NothingToCommit()]
    detector.push(412, [1.0])
    assert feed(detector, track((3, 1.0)))[0] == SpeechStarted(1, end_s)


def test_without_rules_only_the_client_ends_turns() -> None:
    detector = TurnDetector(TurnRules(kind="none"))
    events = feed(detector, track((50, 1.0), (300, 0.0)))
    assert [type(event) for event in events] == [PauseBegan]
    assert detector.commit() == [TurnClosed(0, 0.0, pytest.approx(350 * FRAME_S))]
    detector.push(1599, [0.0, 0.0, 0.0])
    assert detector.commit() == [NothingToCommit()]
    detector.push(1, [])
    assert detector.commit() == [TurnClosed(1, pytest.approx(350 * FRAME_S), pytest.approx(350 * FRAME_S + 0.1))]
    assert detector.finish() == []


def test_a_commit_where_nobody_was_heard_takes_the_last_ten_seconds() -> None:
    detector = TurnDetector(TurnRules())
    feed(detector, track((2000, 0.0)))
    assert detector.commit() == [TurnClosed(0, pytest.approx(64 - 10), pytest.approx(64))]


def test_clear_forgets_what_was_not_committed() -> None:
    detector = TurnDetector(TurnRules())
    assert detector.clear() == [Cleared(None)]
    feed(detector, track((20, 1.0)))
    assert detector.clear() == [Cleared(0)]
    assert feed(detector, track((20, 1.0))) == [SpeechStarted(1, pytest.approx(20 * FRAME_S))]
    silent = TurnDetector(TurnRules(kind="none"))
    silent.push(8000, [0.0] * 15)
    assert (silent.clear(), silent.commit()) == ([Cleared(0)], [NothingToCommit()])


def test_rules_change_in_the_middle() -> None:
    detector = TurnDetector(TurnRules())
    feed(detector, track((20, 1.0)))
    assert detector.change(TurnRules(kind="none")) == []
    assert feed(detector, track((5, 0.0))) == []
    assert [type(event) for event in feed(detector, track((100, 0.0)))] == [PauseBegan]
    assert detector.change(TurnRules(silence_s=0.3)) == []
    assert feed(detector, [0.0])[-1] == TurnClosed(0, 0.0, pytest.approx(20 * FRAME_S + 0.3))
    # What was said before there were rules begins the turn.
    detector.change(TurnRules(kind="none"))
    feed(detector, track((20, 0.0), (20, 1.0), (40, 0.0), (20, 1.0)))
    start_s = pytest.approx(20 * FRAME_S + 0.3)
    assert detector.change(TurnRules()) == [SpeechStarted(1, start_s)]
    assert feed(detector, track((20, 0.0)))[-1] == TurnClosed(1, start_s, pytest.approx(226 * FRAME_S + 0.5))


def test_the_end_of_the_stream_ends_the_turn() -> None:
    detector = TurnDetector(TurnRules())
    assert detector.finish() == []
    feed(detector, track((20, 1.0)))
    assert detector.finish()[-1] == TurnClosed(0, 0.0, pytest.approx(20 * FRAME_S))


@pytest.mark.parametrize(
    ("eagerness", "needed", "longest_s"),
    [("low", 0.7, 8.0), ("medium", 0.5, 4.0), ("auto", 0.5, 4.0), ("high", 0.3, 2.0)],
)
def test_a_semantic_turn_ends_when_it_is_complete_or_has_waited_long(
    eagerness: Eagerness, needed: float, longest_s: float
) -> None:
    rules = TurnRules(kind="semantic", eagerness=eagerness)
    asked: list[tuple[float, float]] = []

    def judge(start: int, end: int) -> float:
        asked.append((start / SAMPLE_RATE, end / SAMPLE_RATE))
        return needed + 0.01 if end > 60_000 else needed

    speech_end_s = 20 * FRAME_S
    assert turns(rules, (20, 1.0), (20, 0.0), (20, 1.0), (100, 0.0), judge=judge) == [
        (0.0, pytest.approx(60 * FRAME_S + 2.0))
    ]
    assert asked[:2] == [(0.0, pytest.approx(speech_end_s + 0.2)), (0.0, pytest.approx(speech_end_s + 0.5))]
    asked.clear()
    assert turns(rules, (20, 1.0), (400, 0.0), judge=lambda *at: judge(*at) * 0) == [
        (0.0, pytest.approx(speech_end_s + longest_s))
    ]
    assert len(asked) == round(longest_s * 10 - 2) // 3 + 1


@pytest.mark.parametrize(("eagerness", "silence_s"), [("low", 1.2), ("auto", 0.8), ("high", 0.5)])
def test_where_nothing_can_tell_a_longer_silence_does(eagerness: Eagerness, silence_s: float) -> None:
    rules = TurnRules(kind="semantic", eagerness=eagerness)
    assert turns(rules, (20, 1.0), (100, 0.0)) == [(0.0, pytest.approx(20 * FRAME_S + silence_s))]


RULES = st.builds(
    TurnRules,
    kind=st.sampled_from(["none", "silence", "semantic"]),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    prefix_s=st.sampled_from([0.0, 0.3, 20.0]),
    silence_s=st.sampled_from([0.0, 0.2, 0.5, 2.0]),
    eagerness=st.sampled_from(["low", "auto", "high"]),
)
TRACKS = st.lists(st.tuples(st.integers(1, 80), st.sampled_from([0.0, 0.2, 0.34, 0.4, 0.5, 0.9, 1.0])), max_size=12)


@settings(max_examples=200, deadline=None)
@given(RULES, TRACKS, st.integers(2, 500), st.booleans())
def test_turns_do_not_depend_on_cutting_and_never_overlap(
    rules: TurnRules, runs: list[tuple[int, float]], step: int, has_judge: bool
) -> None:
    def judge(start: int, end: int) -> float:
        return (end - start) % 1000 / 1000

    detectors = [TurnDetector(rules, judge if has_judge else None) for _ in range(2)]
    events, others = (feed(one, track(*runs), size) for one, size in zip(detectors, (1, step), strict=True))
    assert events == others
    assert detectors[0].commit() == detectors[1].commit()
    closed = [event for event in events if isinstance(event, TurnClosed)]
    assert [event.turn for event in closed] == list(range(len(closed)))
    assert all(0 <= event.start_s < event.end_s for event in closed)
    assert all(before.end_s <= after.start_s for before, after in itertools.pairwise(closed))
    started = [event.at_s for event in events if isinstance(event, SpeechStarted)]
    assert started[: len(closed)] == [event.start_s for event in closed]


@pytest.mark.parametrize("kind", ["silence", "none"])
def test_a_turn_of_a_quarter_of_an_hour_is_followed_by_another(kind: Literal["silence", "none"]) -> None:
    long = LONGEST_TURN // FRAME
    detector = TurnDetector(TurnRules(kind, prefix_s=0.0))
    events = feed(detector, track((long + long // 2, 1.0)), step=100)
    assert [event for event in events if isinstance(event, TurnClosed)] == [
        TurnClosed(0, 0.0, pytest.approx(900, abs=FRAME_S))
    ]
    assert detector.open_start == pytest.approx(LONGEST_TURN, abs=FRAME), "no sound lies between them"
