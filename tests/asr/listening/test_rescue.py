"""Windows that would be lost are decoded in halves; what a half is, and when it is taken."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.sounds import make_band
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from e2e.sound import tone
from piper_speech import speak
from voice_stack.asr.engine.base import SAMPLE_RATE, WindowResult
from voice_stack.asr.engine.fake import FakeEngine
from voice_stack.asr.engine_factory import engine_specs
from voice_stack.asr.listening.results import after, before, find_cut, rescue
from voice_stack.asr.listening.windows import Window, WindowPiece
from voice_stack.asr.listening.workload import AsrWorkload
from voice_stack.asr.request import AsrWorkerConfig, AudioFile, DecodeOptions, EngineOptions, TranscriptionRequest
from voice_stack.asr.settings import AsrSettings
from voice_stack.asr.transcript import Segment
from voice_stack.core.feeds import Inbox
from voice_stack.core.jobs import Again, Job, Output, Unit, Urgency


def result(text: str, *, logprob: float = -0.3, ratio: float = 1.5, no_speech: float = 0.1) -> WindowResult:
    segment = Segment(text, 0.0, 2.0, (), 0.0, logprob, ratio, no_speech)
    return WindowResult((segment,), logprob, ratio, no_speech, 2.0)


LOOP = result(" so so so so so so so so", ratio=8.0)
SILENT = result(" ?", logprob=-1.2, no_speech=0.8)
GOOD = result(" The harbour wakes.")


def window(samples: NDArray[np.float32]) -> Window:
    return Window(samples, (WindowPiece(0, 0, samples.size, 0, samples.size),), 0)


@pytest.fixture(scope="session")
def spoken() -> Window:
    pause = np.zeros(SAMPLE_RATE, np.float32)
    sentences = speak("The old harbour wakes before the town."), speak("Then the first boats return.")
    return window(np.concatenate([sentences[0], pause, sentences[1]]))


def decoder(answers: list[WindowResult]) -> Callable[[Window, float], WindowResult]:
    """Gives the answers in turn."""
    waiting = iter(answers)
    return lambda _window, _temperature: next(waiting)


@pytest.mark.parametrize("lost", [LOOP, SILENT], ids=["loop", "silence in speech"])
def test_lost_window_is_heard_in_halves(spoken: Window, lost: WindowResult) -> None:
    parts = rescue(spoken, lost, decoder([GOOD, GOOD]))
    assert [part.segments for _, part in parts] == [GOOD.segments] * 2
    assert sum(half.samples.size for half, _ in parts) == spoken.samples.size


def test_half_that_is_poor_gets_a_second_try(spoken: Window) -> None:
    parts = rescue(spoken, LOOP, decoder([GOOD, LOOP, GOOD]))
    assert [part for _, part in parts] == [GOOD, GOOD]


def test_what_halves_do_not_mend_stays_as_it_was(spoken: Window) -> None:
    assert rescue(spoken, LOOP, decoder([LOOP] * 4)) == [(spoken, LOOP)]


def test_good_windows_short_ones_and_music_are_left_alone(spoken: Window) -> None:
    music, short = window(make_band(10)), window(spoken.samples[: 3 * SAMPLE_RATE])
    for given_window, found in ((spoken, GOOD), (short, LOOP), (music, LOOP), (music, SILENT)):
        assert rescue(given_window, found, decoder([])) == [(given_window, found)]


def test_cut_lies_in_the_pause(spoken: Window) -> None:
    cut = find_cut(spoken)
    assert not spoken.samples[cut - 800 : cut + 800].any()


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=5), st.data())
def test_halves_map_to_the_same_times(runs: list[tuple[int, int]], data: st.DataObject) -> None:
    pieces, file_start, window_start = list[WindowPiece](), 0, 0
    for length, gap in runs:
        pieces.append(WindowPiece(file_start, window_start, length, file_start, file_start + length))
        file_start, window_start = file_start + length + gap, window_start + length
    whole = Window(np.arange(window_start, dtype=np.float32), tuple(pieces), 0)
    cut = data.draw(st.integers(1, max(1, window_start - 1)))
    if cut >= window_start:
        return
    halves = before(whole, cut), after(whole, cut)
    found = [half.to_file_s((n + 0.5) / SAMPLE_RATE) for half in halves for n in range(half.samples.size)]
    assert found == [whole.to_file_s((n + 0.5) / SAMPLE_RATE) for n in range(window_start)]


class LoopingEngine(FakeEngine):
    """Runs on in windows below two seconds that are not encoded at full width."""

    def decode(self, windows: Sequence[NDArray[np.float32]], options: DecodeOptions) -> list[WindowResult]:
        heard = zip(windows, super().decode(windows, options), strict=True)
        return [
            replace(result, has_run_on=not options.is_whole and window.size < 2 * SAMPLE_RATE)
            for window, result in heard
        ]


def test_nobody_waits_for_a_window_of_the_batch_that_is_decoded_again(tmp_path: Path) -> None:
    config = engine_specs(AsrSettings(engine="fake", model="fake", vad_enabled=False), "fake")[0].config
    assert isinstance(config, AsrWorkerConfig)
    workload = AsrWorkload(config, lambda: LoopingEngine(tmp_path, EngineOptions(device="cpu", threads=1)))
    workload.load()
    units = list[Unit]()
    for seconds in (1.0, 3.0):
        path = tmp_path / f"{seconds}.wav"
        path.write_bytes(tone(seconds))
        job = Job(path.stem, TranscriptionRequest(AudioFile(path), DecodeOptions("en")), "request")
        units += [step for step in workload.plan(job, Inbox()) if isinstance(step, Unit)]
    results = list(workload.run(units, Urgency.SHARED))
    (again,) = [result.unit for result in results if isinstance(result, Again)]
    assert [result.job_id for result in results if isinstance(result, Output)] == [units[1].job_id]
    assert (again.job_id, again.index) == (units[0].job_id, units[0].index)
    assert again.batch_key != units[0].batch_key
    alone = [result for result in workload.run([again], Urgency.SHARED) if isinstance(result, Output)]
    assert [result.job_id for result in alone] == [units[0].job_id]
