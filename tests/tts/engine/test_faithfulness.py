"""Clauses against the length that their texts predict: what is kept, what is cut, what is spoken again."""

import logging

import numpy as np
import pytest

from voice_stack.tts.engine.faithfulness import (
    PACE_RANGE,
    USUAL_PACE,
    Expectation,
    Paces,
    StreamGuard,
    best_take,
    end_faithfully,
)
from voice_stack.utils.audio.pcm import Samples

RATE = 24_000
TEXT = "Please turn on the light in the kitchen."
EXPECTED = Expectation(expected_s=2.0, shortest_s=1.0, longest_s=4.0)


def speech(duration_s: float, *, level: float = 0.3) -> Samples:
    """Noise in syllables: loud and less loud five times a second, silent nowhere."""
    count = round(duration_s * RATE)
    noise = np.random.default_rng(0).uniform(-level, level, count)
    return (noise * (0.6 + 0.4 * np.sin(2 * np.pi * 5 * np.arange(count) / RATE))).astype(np.float32)


def silence(duration_s: float) -> Samples:
    return speech(duration_s, level=0.0005)


def joined(*parts: Samples) -> Samples:
    return np.concatenate(parts)


def length_s(samples: Samples) -> float:
    return samples.size / RATE


def ends_softly(samples: Samples) -> bool:
    return abs(float(samples[-1])) < 0.001


class TestPaces:
    def test_a_text_of_a_reader_is_as_long_as_the_recording(self) -> None:
        # Words and length of a public recording, LibriVox, Sense and Sensibility.
        text = (
            "and mister john dashwood had then leisure to consider how much there might "
            "prudently be in his power to do for them"
        )
        assert Paces().expect("anybody", text, "en").fits(7.1)

    @pytest.mark.parametrize(("factor", "fits"), [(0.2, False), (0.6, True), (1.0, True), (1.6, True), (4.0, False)])
    def test_only_lengths_that_are_far_off_do_not_fit(self, factor: float, fits: bool) -> None:
        expectation = Paces().expect("voice", TEXT * 3, "en")
        assert expectation.fits(factor * expectation.expected_s) is fits

    def test_speed_shortens_what_is_expected(self) -> None:
        paces = Paces()
        assert paces.expect("v", TEXT, "en", 2.0).expected_s == pytest.approx(
            paces.expect("v", TEXT, "en").expected_s / 2
        )

    def test_the_pace_of_a_voice_is_learned_and_is_its_own(self) -> None:
        paces = Paces()
        before = paces.expect("slow", TEXT, "en")
        for _ in range(40):
            paces.learn("slow", TEXT, "en", 1.4 * before.expected_s)
        after = paces.expect("slow", TEXT, "en")
        assert after.expected_s == pytest.approx(1.4 * before.expected_s, rel=0.1)
        assert after.longest_s / after.expected_s < before.longest_s / before.expected_s
        assert paces.expect("another", TEXT, "en") == before

    def test_speed_does_not_pass_for_a_pace(self) -> None:
        paces = Paces()
        usual_s = paces.expect("v", TEXT, "en").expected_s
        for _ in range(40):
            paces.learn("v", TEXT, "en", usual_s / 1.25, 1.25)
        assert paces.expect("v", TEXT, "en").expected_s == pytest.approx(usual_s, rel=0.01)

    def test_a_model_that_always_babbles_does_not_become_the_measure(self) -> None:
        paces = Paces()
        for _ in range(200):
            paces.learn("v", "Yes.", "en", 60.0)
        assert paces.pace("v") == PACE_RANGE[0] * USUAL_PACE


class TestBabble:
    @pytest.mark.parametrize(
        "said", [speech(2.0), joined(speech(1.0), silence(0.6), speech(1.0)), joined(speech(2.0), silence(9.0))]
    )
    def test_speech_that_fits_is_left_as_it_is(self, said: Samples) -> None:
        assert end_faithfully(said, RATE, EXPECTED) is said

    def test_it_is_cut_in_the_pause_before_it(self) -> None:
        kept = end_faithfully(joined(speech(2.3), silence(0.3), speech(4.0)), RATE, EXPECTED)
        assert 2.3 <= length_s(kept) <= 2.6
        assert ends_softly(kept)

    def test_without_a_pause_it_is_cut_all_the_same(self) -> None:
        kept = end_faithfully(speech(9.0), RATE, EXPECTED)
        assert EXPECTED.expected_s <= length_s(kept) <= EXPECTED.longest_s
        assert ends_softly(kept)

    @pytest.mark.parametrize("nothing", [np.zeros(0, np.float32), np.zeros(RATE, np.float32)], ids=["empty", "zeros"])
    def test_nothing_is_not_too_long(self, nothing: Samples) -> None:
        assert end_faithfully(nothing, RATE, EXPECTED) is nothing


class TestBestTake:
    def test_the_first_take_that_fits_is_kept(self, caplog: pytest.LogCaptureFixture) -> None:
        takes = [speech(9.0), speech(0.4), speech(2.2), speech(2.0)]
        asked: list[int] = []

        def speak(number: int) -> Samples:
            asked.append(number)
            return takes[number]

        with caplog.at_level(logging.INFO):
            samples, fits = best_take(speak, RATE, EXPECTED, 3)
        assert (asked, fits) == ([0, 1, 2], True)
        assert length_s(samples) == pytest.approx(2.2, abs=0.01)
        (record,) = caplog.records
        assert record.getMessage() == "clause spoken again: its length fits now"
        assert record.__dict__["fields"] == {"expected_s": 2.0, "spoken_s": 2.2, "retries": 2}

    def test_what_fits_at_once_is_not_worth_a_line(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO):
            _, fits = best_take(lambda _: speech(2.0), RATE, EXPECTED, 2)
        assert fits
        assert not caplog.records

    def test_where_none_fits_the_nearest_is_kept_and_cut(self, caplog: pytest.LogCaptureFixture) -> None:
        takes = [speech(20.0), speech(4.5), speech(0.1)]
        samples, fits = best_take(takes.__getitem__, RATE, EXPECTED, 2)
        assert not fits
        assert EXPECTED.expected_s <= length_s(samples) <= EXPECTED.longest_s
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "what was too much is cut" in caplog.text

    def test_swallowed_text_is_spoken_all_the_same_and_told(self, caplog: pytest.LogCaptureFixture) -> None:
        samples, fits = best_take(lambda number: speech(0.3 + 0.2 * number), RATE, EXPECTED, 2)
        assert not fits
        assert length_s(samples) == pytest.approx(0.7, abs=0.01)
        assert "some of it may be missing" in caplog.text


class TestStreamGuard:
    def send(self, *pieces: Samples) -> tuple[Samples, StreamGuard, bool | None]:
        guard, sent = StreamGuard(RATE, EXPECTED), []
        for piece in pieces:
            sent.append(guard.push(piece))
            if guard.is_cut:
                return joined(*sent), guard, None
        rest, fits = guard.finish()
        return joined(*sent, rest), guard, fits

    def test_what_fits_is_sent_unchanged(self) -> None:
        said = joined(speech(0.9), silence(0.4), speech(0.9), silence(0.2))
        sent, _, fits = self.send(*np.array_split(said, 4))
        assert fits
        assert np.array_equal(sent, said)

    def test_the_beginning_leaves_before_the_rest_is_made(self) -> None:
        assert length_s(StreamGuard(RATE, EXPECTED).push(speech(0.9))) > 0.8

    def test_silence_is_held_back_until_sound_follows(self) -> None:
        guard = StreamGuard(RATE, EXPECTED)
        guard.push(speech(0.9))
        assert guard.push(silence(0.9)).size <= 0.05 * RATE
        assert length_s(guard.push(speech(0.5))) > 1.2

    def test_silence_at_the_end_does_not_count(self) -> None:
        _, guard, fits = self.send(speech(2.0), silence(3.0))
        assert fits
        assert not guard.is_cut

    def test_babble_is_cut_in_the_pause_before_it_while_that_is_not_out(self) -> None:
        sent, guard, _ = self.send(speech(2.5), silence(0.5), speech(3.0), speech(3.0))
        assert guard.is_cut
        assert 2.4 <= length_s(sent) <= 3.1
        assert ends_softly(sent)

    def test_babble_without_a_pause_ends_at_the_longest_that_can_be(self, caplog: pytest.LogCaptureFixture) -> None:
        sent, guard, _ = self.send(*[speech(0.9)] * 10)
        assert guard.is_cut
        assert EXPECTED.expected_s <= length_s(sent) <= EXPECTED.longest_s
        assert ends_softly(sent)
        assert "what was too much is cut" in caplog.text

    def test_a_clause_that_ended_too_early_is_told(self, caplog: pytest.LogCaptureFixture) -> None:
        _, _, fits = self.send(speech(0.5))
        assert fits is False
        assert "some of it may be missing" in caplog.text

    def test_a_clause_without_sound_does_not_fit(self) -> None:
        guard = StreamGuard(RATE, EXPECTED)
        assert guard.push(np.zeros(RATE, np.float32)).size == 0
        assert guard.spoken_s == 0.0
        assert guard.finish()[1] is False
