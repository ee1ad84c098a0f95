"""What every ASR engine keeps, whatever is behind it: the suites of the engines inherit these tests."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from piper_speech import speak
from voice_stack.asr.engine.base import AsrEngine, WindowResult
from voice_stack.asr.request import DecodeOptions
from voice_stack.asr.transcript import Word
from voice_stack.core.errors import EngineError
from voice_stack.utils.language import find_language

Samples = NDArray[np.float32]
PLAIN = DecodeOptions(language="en", beam_size=2)
TIMED = replace(PLAIN, word_timestamps=True)
RATE = 16_000


def text_of(result: WindowResult) -> str:
    return "".join(segment.text for segment in result.segments)


def words_of(result: WindowResult) -> list[Word]:
    return [word for segment in result.segments for word in segment.words]


@pytest.fixture(scope="module")
def spoken() -> tuple[Samples, Samples]:
    """Windows of two lengths."""
    return speak("The train to the coast leaves at nine. Please do not be late."), speak("Open the window.")


class LanguageContract:
    """What it says of its languages and tasks; a subclass has a fixture `engine`, and imports `spoken`."""

    def test_languages_are_known_and_one_that_is_not_is_refused(
        self, engine: AsrEngine, spoken: tuple[Samples, Samples]
    ) -> None:
        can = engine.capabilities
        assert len(set(can.languages)) == len(can.languages)
        known = [find_language(code) for code in can.languages]
        assert [language.code for language in known if language] == list(can.languages)
        foreign = replace(PLAIN, language="tlh")
        if can.language_detection:
            with pytest.raises(EngineError, match=r"'tlh' is not one of .*en"):
                engine.decode([spoken[1]], foreign)
        else:
            assert len(can.languages) == 1
            assert engine.decode([spoken[1]], foreign) == engine.decode([spoken[1]], PLAIN)

    def test_the_detected_languages_are_those_of_the_model(
        self, engine: AsrEngine, spoken: tuple[Samples, Samples]
    ) -> None:
        found = engine.detect_language(spoken[0])
        assert set(found) <= set(engine.capabilities.languages)
        assert sum(found.values()) == pytest.approx(1.0, abs=0.01)
        assert list(found.values()) == sorted(found.values(), reverse=True)

    def test_what_it_says_of_tasks_prompts_and_temperatures_is_true(
        self, engine: AsrEngine, spoken: tuple[Samples, Samples]
    ) -> None:
        can = engine.capabilities
        (plain,) = engine.decode([spoken[1]], PLAIN)
        translation = replace(PLAIN, task="translate")
        if can.translate:
            assert len(engine.decode([spoken[1]], translation)) == 1
        else:
            with pytest.raises(EngineError, match="'translate' is not one of this model's: transcribe"):
                engine.decode([spoken[1]], translation)
        if not can.prompt:
            assert engine.decode([spoken[1]], replace(PLAIN, prompt="Penguins.")) == [plain]
        (hot,) = engine.decode([spoken[1]], replace(PLAIN, temperature=0.6))
        assert {segment.temperature for segment in hot.segments} == {0.6}
        if not can.temperature:
            assert text_of(hot) == text_of(plain)


class EngineContract(LanguageContract):
    """All of it."""

    def test_a_text_is_aligned_if_it_says_so(self, engine: AsrEngine, spoken: tuple[Samples, Samples]) -> None:
        texts = [["The", "train", "to", "the", "coast"], ["Open", "the", "window."]]
        if not engine.capabilities.alignment:
            with pytest.raises(EngineError, match="does not align"):
                engine.align(spoken, texts, PLAIN)
            return
        aligned = engine.align(spoken, texts, PLAIN)
        for words, text, window in zip(aligned, texts, spoken, strict=True):
            assert [word.text for word in words] == text
            edges = [edge for word in words for edge in (word.start_s, word.end_s)]
            assert edges == sorted(edges)
            assert 0 <= edges[0] < edges[-1] <= window.size / RATE
            assert all(0 < word.probability <= 1 for word in words)

    def test_nothing_to_decode_gives_nothing(self, engine: AsrEngine) -> None:
        assert engine.decode([], PLAIN) == []

    def test_a_window_of_thirty_seconds_is_decoded(self, engine: AsrEngine, spoken: tuple[Samples, Samples]) -> None:
        window = np.zeros(30 * RATE, np.float32)
        window[: spoken[1].size] = window[-spoken[1].size :] = spoken[1]
        (result,) = engine.decode([window], TIMED)
        assert text_of(result).strip()
        assert_times_are_in_order(result, 30.0)

    @pytest.mark.parametrize("samples", [1, 800])
    def test_the_shortest_windows_are_decoded(self, engine: AsrEngine, samples: int) -> None:
        (result,) = engine.decode([np.zeros(samples, np.float32)], TIMED)
        assert_times_are_in_order(result, samples / RATE)

    @pytest.mark.parametrize(
        ("window", "reason"),
        [
            (np.zeros(RATE), "1-D float64"),
            (np.zeros((2, RATE), np.float32), "2-D float32"),
            (np.zeros(0, np.float32), "no samples"),
            (np.zeros(30 * RATE + 1, np.float32), "30 s is the longest"),
            (np.full(RATE, np.inf, np.float32), "not finite"),
        ],
        ids=["float64", "stereo", "empty", "too long", "not finite"],
    )
    def test_what_is_no_window_is_refused(self, engine: AsrEngine, window: Samples, reason: str) -> None:
        with pytest.raises(EngineError, match=reason):
            engine.decode([window], PLAIN)
        with pytest.raises(EngineError, match=reason):
            engine.detect_language(window)

    @pytest.fixture(scope="class")
    @classmethod
    def timed(cls, engine: AsrEngine, spoken: tuple[Samples, Samples]) -> list[WindowResult]:
        """Both windows in one batch, with the times of words."""
        return engine.decode(spoken, TIMED)

    def test_a_batch_gives_what_its_windows_give_one_by_one(
        self, engine: AsrEngine, spoken: tuple[Samples, Samples], timed: list[WindowResult]
    ) -> None:
        assert len(timed) == len(spoken)
        for window, together in zip(spoken, timed, strict=True):
            (alone,) = engine.decode([window], TIMED)
            assert text_of(together) == text_of(alone)
            assert together.avg_logprob == pytest.approx(alone.avg_logprob, abs=0.02)
            assert [word.text for word in words_of(together)] == [word.text for word in words_of(alone)]
            starts = [[word.start_s for word in words_of(result)] for result in (together, alone)]
            assert starts[0] == pytest.approx(starts[1], abs=0.05)

    def test_words_make_up_the_text_and_lie_in_their_segments(
        self, engine: AsrEngine, spoken: tuple[Samples, Samples], timed: list[WindowResult]
    ) -> None:
        for window, result in zip(spoken, timed, strict=True):
            assert_times_are_in_order(result, window.size / RATE)
            assert bool(words_of(result)) == engine.capabilities.words
            for segment in result.segments if engine.capabilities.words else ():
                assert " ".join(word.text for word in segment.words) == segment.text.strip()
                # The Whisper libraries let a word reach half a second beyond its segment.
                assert all(segment.start_s - 0.5 <= word.start_s for word in segment.words)
                assert all(word.end_s <= segment.end_s + 0.5 for word in segment.words)
                assert all(0.0 < word.probability <= 1.0 for word in segment.words)
        assert not any(words_of(result) for result in engine.decode(spoken, PLAIN))

    def test_figures_of_a_result_are_possible(self, engine: AsrEngine, spoken: tuple[Samples, Samples]) -> None:
        (result,) = engine.decode([spoken[0]], PLAIN)
        assert result.avg_logprob <= 0.0
        assert 0.0 <= result.no_speech_prob <= 1.0
        assert result.compression_ratio > 0.0
        assert 0.0 <= result.is_complete_until_s <= spoken[0].size / RATE
        assert {segment.temperature for segment in result.segments} <= {0.0}
        assert all(segment.tokens and segment.seek == 0 for segment in result.segments)

    def test_as_many_threads_as_it_has_lanes_hear_the_same(
        self, engine: AsrEngine, spoken: tuple[Samples, Samples]
    ) -> None:
        alone = [text_of(engine.decode([window], PLAIN)[0]) for window in spoken]
        windows = [*spoken, *spoken]
        with ThreadPoolExecutor(engine.lanes + engine.has_express_lane) as threads:
            together = threads.map(lambda window: text_of(engine.decode([window], PLAIN)[0]), windows)
            assert list(together) == [*alone, *alone]


def assert_times_are_in_order(result: WindowResult, duration_s: float) -> None:
    """Segments and words one after another, all inside the window."""
    for times in (result.segments, words_of(result)):
        edges = [edge for item in times for edge in (item.start_s, item.end_s)]
        assert edges == sorted(edges)
        assert all(0.0 <= edge <= duration_s for edge in edges)
