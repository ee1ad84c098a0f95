"""Clauses one after the other: their own silence goes, pauses are those of the text, nothing clicks."""

import numpy as np
import pytest

from voice_stack.tts.sound.finishing import FADE_S, LAST_TAIL_S, LEAD_S, TAIL_S, ClauseTrimmer, pause_after
from voice_stack.utils.audio.pcm import Samples

RATE = 22_050


def tone(duration_s: float) -> Samples:
    return (0.3 * np.sin(2 * np.pi * 200 * np.arange(round(duration_s * RATE)) / RATE)).astype(np.float32)


def quiet(duration_s: float) -> Samples:
    """A voice's silence is never quite silent."""
    return np.random.default_rng(1).normal(0, 2e-5, round(duration_s * RATE)).astype(np.float32)


def clause(lead_s: float, tail_s: float, sound_s: float = 0.5) -> Samples:
    return np.concatenate([quiet(lead_s), tone(sound_s), quiet(tail_s)])


def trim(samples: Samples, *, is_last: bool = False, size: int | None = None) -> Samples:
    trimmer = ClauseTrimmer(RATE, is_last=is_last)
    starts = range(0, len(samples), size or max(len(samples), 1))
    pieces = [trimmer.push(samples[start : start + (size or len(samples))]) for start in starts]
    return np.concatenate([*pieces, trimmer.finish()])


def gaps_s(samples: Samples) -> list[float]:
    """Lengths of the silences between sounds."""
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    steps = np.diff(loud)
    return [float(step) / RATE for step in steps[steps > 0.03 * RATE]]


@pytest.mark.parametrize("pause_s", [0.1, 0.35, 0.7, 2.0])
@pytest.mark.parametrize("silences_s", [(0.0, 0.0), (0.04, 0.15), (0.3, 1.0)])
def test_the_pause_is_as_long_as_the_text_asks_for(silences_s: tuple[float, float], pause_s: float) -> None:
    lead_s, tail_s = silences_s
    sound = clause(lead_s, tail_s)
    speech = np.concatenate([trim(sound), pause_after(pause_s, 1.0, RATE), trim(sound, is_last=True)])
    missing_s = max(LEAD_S - lead_s, 0) + max(TAIL_S - tail_s, 0)
    assert gaps_s(speech) == [pytest.approx(pause_s - missing_s, abs=0.015)]


def test_faster_speech_has_shorter_rests_in_its_pauses() -> None:
    assert len(pause_after(0.5, 2.0, RATE)) / RATE == pytest.approx(0.5 - (LEAD_S + TAIL_S) / 2, abs=0.001)
    assert len(pause_after(0.0, 1.0, RATE)) == 0


def test_the_very_end_dies_away() -> None:
    kept_s = len(trim(clause(0.1, 0.5), is_last=True)) / RATE
    assert kept_s == pytest.approx(LEAD_S + 0.5 + LAST_TAIL_S, abs=0.012)


@pytest.mark.parametrize("size", [100, 1_500, 9_000])
def test_pieces_make_the_same_clause(size: int) -> None:
    sound = np.concatenate([clause(0.1, 0.2), clause(0.1, 0.3)])
    whole, pieces = trim(sound), trim(sound, size=size)
    assert len(pieces) == pytest.approx(len(whole), abs=2 * 0.005 * RATE)
    sounding = slice(0, len(whole) - round((TAIL_S + 0.01) * RATE))
    np.testing.assert_allclose(pieces[sounding], whole[sounding], atol=1e-6)


def test_pieces_are_given_while_the_engine_still_speaks() -> None:
    trimmer = ClauseTrimmer(RATE, is_last=False)
    assert len(trimmer.push(clause(0.2, 0.0))) > 0.45 * RATE
    assert trimmer.cut == pytest.approx((0.2 - LEAD_S) * RATE, abs=0.006 * RATE)


@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_edges_are_soft_even_where_the_sound_is_cut(offset: float) -> None:
    sound = trim(tone(0.5) + np.float32(offset))
    assert abs(sound[0]) < 0.01
    assert abs(sound[-1]) < 0.01
    assert np.abs(np.diff(sound[: round(FADE_S * RATE)])).max() < 0.05


@pytest.mark.parametrize("count", [0, 1, 50, 5_000])
def test_a_clause_without_sound_is_nothing(count: int) -> None:
    assert len(trim(np.zeros(count, np.float32))) == 0


@pytest.mark.parametrize("count", [1, 30, 200])
def test_a_very_short_sound_is_kept(count: int) -> None:
    assert len(trim(np.full(count, 0.5, np.float32))) == count
