"""When a part of a file goes by another language than the rest: the rules alone."""

import numpy as np
import pytest

from voice_stack.asr.listening.languages import cut_stretches, name_stretches
from voice_stack.asr.listening.results import after, before
from voice_stack.asr.listening.windows import Window, WindowPiece

EN, FR, WELSH = {"en": 0.99, "fr": 0.01}, {"en": 0.02, "fr": 0.97}, {"cy": 0.95, "en": 0.01}
DOUBT = {"haw": 0.4, "fr": 0.3, "en": 0.2}
BOSNIAN = {"bs": 0.9, "hr": 0.05}


@pytest.mark.parametrize(
    ("opinions", "main", "codes"),
    [
        ([EN, EN], "en", "en en"),
        ([EN, FR, FR], "en", "en fr fr"),
        ([FR, FR, EN, EN], "en", "fr fr en en"),
        ([EN, DOUBT, FR], "en", "en fr fr"),
        ([DOUBT, DOUBT], "en", "en en"),
        ([{"fr": 0.7, "en": 0.2}] * 3, "en", "en en en"),
        ([{"fr": 0.85, "en": 0.15}] * 3, "en", "en en en"),
        ([{"es": 0.6, "it": 0.38}] * 2, "en", "es es"),
        ([WELSH] * 3, "en", "en en en"),
        ([BOSNIAN] * 3, "hr", "hr hr hr"),
    ],
)
def test_only_what_is_sure_leaves_the_language_of_the_file(
    opinions: list[dict[str, float]], main: str, codes: str
) -> None:
    assert name_stretches([5.0] * len(opinions), opinions, main, ()) == codes.split()


def test_languages_that_are_asked_for_may_be_rare_or_alike() -> None:
    assert name_stretches([5.0, 5.0], [EN, WELSH], "en", ("en", "cy")) == ["en", "cy"]
    assert name_stretches([5.0], [BOSNIAN], "hr", ("hr", "bs")) == ["bs"]


def test_a_word_or_two_have_no_language_of_their_own() -> None:
    assert name_stretches([5.0, 1.2, 5.0], [EN, FR, EN], "en", ()) == ["en"] * 3
    assert name_stretches([5.0, 2.0, 2.0], [EN, FR, FR], "en", ()) == ["en", "fr", "fr"]


def test_stretches_are_cut_in_pauses_and_last_about_five_seconds() -> None:
    assert cut_stretches([(0, 5), (5, 15), (15, 16)]) == [(0, 5), (5, 10), (10, 15)]
    assert cut_stretches([(0, 1), (1, 6)]) == [(0, 6)]
    assert cut_stretches([(0, 1)]) == []


def test_a_part_of_a_window_knows_only_its_own_speech() -> None:
    pieces = (WindowPiece(1000, 0, 4000, 1500, 4800), WindowPiece(9000, 4000, 6000, 9500, 14_500))
    window = Window(np.zeros(10_000, np.float32), pieces, 0)
    left, right = before(window, 5000), after(window, 5000)
    assert left.pieces == (pieces[0], WindowPiece(9000, 4000, 1000, 9500, 10_000))
    assert right.pieces == (WindowPiece(10_000, 0, 5000, 10_000, 14_500),)
    assert left.speech_s + right.speech_s == window.speech_s
