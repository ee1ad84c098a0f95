"""Turns put in order, speakers numbered as they are heard, and names only where a voice is theirs."""

import numpy as np
import pytest

from voice_stack.asr.speakers.base import VoiceTurn
from voice_stack.asr.speakers.naming import SAME_VOICE, name_turns, tidy_turns

TURNS = [VoiceTurn(0.0, 2.0, 1), VoiceTurn(2.0, 5.0, 0), VoiceTurn(5.0, 7.0, 1)]


def voices(*angles: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Voices on a circle: those of 0 and 60 degrees are exactly half alike."""
    return np.array([[np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))] for angle in angles], np.float32)


def labels(heard: tuple[float, ...], known: dict[str, float]) -> list[str]:
    named = name_turns(TURNS, voices(*heard), {name: voices(angle)[0] for name, angle in known.items()})
    return [turn.speaker.label for turn in named]


def test_speakers_are_numbered_as_they_are_heard() -> None:
    assert labels((0, 90), {}) == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_00"]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"Ada": 92.0}, ["Ada", "SPEAKER_01", "Ada"]),
        ({"Ada": 92.0, "Bob": 3.0}, ["Ada", "Bob", "Ada"]),
        # Both are most like Ada: the one who is more like her gets the name, and the other none that is not theirs.
        ({"Ada": 80.0, "Cid": 200.0}, ["Ada", "SPEAKER_01", "Ada"]),
        ({"Cid": 180.0}, ["SPEAKER_00", "SPEAKER_01", "SPEAKER_00"]),
    ],
)
def test_a_name_goes_to_one_speaker_and_only_where_the_voice_is_theirs(
    known: dict[str, float], expected: list[str]
) -> None:
    assert labels((0, 90), known) == expected


def test_who_is_a_little_like_somebody_is_nobody_known() -> None:
    almost = float(np.rad2deg(np.arccos(SAME_VOICE))) + 1
    assert "Ada" not in labels((0, 180), {"Ada": almost})
    (first, *_) = name_turns(TURNS, voices(180, 0), {"Ada": voices(almost - 2)[0]})
    assert (first.speaker.name, round(first.speaker.score, 1)) == ("Ada", 0.5)


def test_a_pair_that_suits_everybody_goes_before_the_best_single_one() -> None:
    # Bob is more like voice 0 than Ada is, but she is like no other.
    assert labels((0, 55), {"Ada": -30.0, "Bob": 5.0}) == ["Bob", "Ada", "Bob"]


def test_short_pauses_are_closed_before_short_turns_are_dropped() -> None:
    turns = [VoiceTurn(0.0, 0.4, 0), VoiceTurn(0.5, 1.0, 0), VoiceTurn(0.9, 1.1, 1), VoiceTurn(3.0, 4.0, 0)]
    assert tidy_turns(turns, 0.2, 0.5) == [VoiceTurn(0.0, 1.0, 0), VoiceTurn(3.0, 4.0, 0)]
    assert tidy_turns(turns, 0.0, 0.0) == turns
