"""Languages: where in a film they are listened for, what opinions say together, and a film asked for as English."""

import json
import math
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.bazarr.film import DETECT, FAKE, GERMAN_LEVEL, asr_target, new_film
from asr.bazarr.wire import post
from conftest import StartServer
from running_server import RunningServer
from voice_stack.asr.listening.language_spread import EXCERPT_S, combine, excerpt_starts
from voice_stack.asr.request import LanguageVote

ENGLISH_REQUEST = asr_target(language="en")
HALF = 1800.0


def _vote(speech_s: float = 10.0, **probabilities: float) -> LanguageVote:
    return LanguageVote(tuple(probabilities.items()), speech_s)


def test_excerpts_are_spread_over_a_film() -> None:
    starts = list(islice(excerpt_starts(7200.0), 7))
    assert starts == [3600.0, 1800.0, 5400.0, 900.0, 4500.0, 2700.0, 6300.0]


@given(
    total_s=st.floats(0.1, 30_000),
    offset_s=st.floats(0, 40_000),
    length_s=st.none() | st.floats(0, 40_000),
)
def test_excerpts_lie_in_the_range_and_cover_it(total_s: float, offset_s: float, length_s: float | None) -> None:
    starts = list(excerpt_starts(total_s, offset_s, length_s))
    begin = offset_s if offset_s < total_s else 0.0
    end = min(total_s, begin + length_s) if length_s else total_s
    assert len(starts) == len(set(starts)) == max(1, math.floor((end - begin) / EXCERPT_S))
    assert all(begin <= start <= max(begin, end - EXCERPT_S) + 1e-6 for start in starts)


def test_mean_of_log_probabilities_decides() -> None:
    # Means by hand: exp of the mean logarithm is 0.6 for German and sqrt(0.9 * 0.02) = 0.134 for English.
    found = combine([_vote(de=0.4, en=0.9), _vote(de=0.9, en=0.02)])
    assert (found.code, found.votes) == ("de", 2)
    assert found.confidence == pytest.approx(0.6 / (0.6 + math.sqrt(0.018)))
    assert not found.is_sure


def test_three_opinions_that_agree_are_sure() -> None:
    assert combine([_vote(fr=0.97, en=0.03)] * 3).is_sure
    assert not combine([_vote(fr=0.97, en=0.03)] * 2).is_sure
    assert not combine([_vote(fr=0.97, en=0.03), _vote(fr=0.97, en=0.03), _vote(fr=0.01, en=0.99)]).is_sure


def test_guess_without_speech_counts_little_and_never_beside_speech() -> None:
    guess = combine([_vote(0.0, la=0.99, en=0.01)])
    assert (guess.code, guess.votes) == ("la", 0)
    assert guess.confidence <= 0.1
    assert combine([_vote(0.0, la=0.99, en=0.01), _vote(5.0, en=0.9, la=0.1)]).code == "en"


def test_language_is_heard_in_several_places(fake_bazarr: RunningServer) -> None:
    english, german = new_film(HALF), new_film(HALF, level=GERMAN_LEVEL)
    found = json.loads(post(fake_bazarr.port, DETECT, german).body)
    assert (found["detected_language"], found["language_code"]) == ("german", "de")
    assert found["confidence"] == pytest.approx(0.95)
    # Two minutes of logos and music in another language at the start decide nothing.
    intro = new_film(120.0) + german
    assert json.loads(post(fake_bazarr.port, DETECT, intro).body)["language_code"] == "de"
    # The query can name the place.
    both = german + english
    answers = [
        json.loads(post(fake_bazarr.port, f"{DETECT}&detect_lang_offset={offset}&detect_lang_length=900", both).body)
        for offset in (0, int(HALF))
    ]
    assert [answer["language_code"] for answer in answers] == ["de", "en"]


def test_german_film_asked_for_as_english_is_translated(fake_bazarr: RunningServer) -> None:
    """Bazarr does so for films whose language tag it does not know, and labels the subtitles English."""
    german, english = new_film(200.0, level=GERMAN_LEVEL), new_film(200.0)
    answer = post(fake_bazarr.port, ENGLISH_REQUEST, german)
    assert b"translated" in answer.body
    assert b"window" not in answer.body
    assert "film is not English: it is translated" in fake_bazarr.log.read_text()
    assert b"window" in post(fake_bazarr.port, ENGLISH_REQUEST, english).body
    # Only English is doubted: it is what Bazarr says when it does not know.
    assert b"window" in post(fake_bazarr.port, asr_target(language="fr"), german).body


def test_keys_can_be_waived_for_bazarr_alone(start_server: StartServer) -> None:
    with start_server("asr", **FAKE, API_KEYS="secret", ASR_BAZARR_OPEN="true") as server:
        assert post(server.port, asr_target(), new_film(1.0)).status == 200
        assert post(server.port, DETECT, new_film(1.0)).status == 200
        with server.http() as client:
            assert [client.get(path).status_code for path in ("/status", "/v1/models")] == [200, 401]
    with start_server("asr", **FAKE, API_KEYS="secret") as server, server.http() as client:
        assert client.post("/asr").status_code == 401
