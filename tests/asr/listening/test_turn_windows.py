"""Turns of real sound: when they begin and end, which windows the model gets, how much is held."""

import itertools
import os
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from piper_speech import speak
from voice_stack.asr.listening.live_sound import LiveSoundReader
from voice_stack.asr.listening.turn_detection import PauseEnded
from voice_stack.asr.listening.turn_windows import CutEvent, TurnCutter, TurnPause, TurnWindow
from voice_stack.asr.listening.windows import Window, WindowCutter
from voice_stack.asr.live.turns import SoundFormat, SpeechStarted, SpeechStopped, TurnClosed, TurnRules
from voice_stack.utils.audio.vad import FRAME, SAMPLE_RATE, StreamingVad, VadOptions, speech_probabilities

Samples = NDArray[np.float32]
FRAME_S = FRAME / SAMPLE_RATE
SPEECH_DIR = os.environ.get("VOICE_STACK_SPEECH_DIR")
RECORDINGS = sorted(Path(SPEECH_DIR).glob("*.wav")) if SPEECH_DIR else []


def silence(duration_s: float) -> Samples:
    return np.zeros(round(duration_s * SAMPLE_RATE), np.float32)


def spoken_part(samples: Samples) -> Samples:
    """From the first to the last frame with speech."""
    voiced = np.flatnonzero(speech_probabilities(samples) >= 0.5)
    return samples[voiced[0] * FRAME : (voiced[-1] + 1) * FRAME]


def listen(samples: Samples, rules: TurnRules, step: int = 3200) -> list[CutEvent]:
    """All that is told of a sound and then the end of the stream."""
    cutter, vad = TurnCutter(rules), StreamingVad(levels=True)
    pieces = [samples[at : at + step] for at in range(0, samples.size, step)]
    told = [event for piece in pieces for event in cutter.push(piece, vad.probabilities(piece))]
    return told + cutter.finish()


def closed(events: list[CutEvent]) -> list[TurnClosed]:
    return [event for event in events if isinstance(event, TurnClosed)]


def windows_of(events: list[CutEvent], turn: int) -> list[Window]:
    return [e.window for e in events if isinstance(e, TurnWindow) and e.turn == turn and e.window]


@pytest.fixture(scope="session")
def sentence() -> Samples:
    return spoken_part(speak("The lamp stands on the table."))


@pytest.mark.parametrize("pause_s", [0.4, 0.9])
def test_a_pause_of_400_ms_stays_in_the_turn(sentence: Samples, pause_s: float) -> None:
    sound = np.concatenate([silence(1), sentence, silence(pause_s), sentence, silence(pause_s), sentence, silence(1)])
    events = listen(sound, TurnRules())
    assert len(closed(events)) == (1 if pause_s < 0.5 else 3)
    length_s, ends = sentence.size / SAMPLE_RATE, closed(events)
    if pause_s < 0.5:
        starts_s, ends_s = [1.0], [1 + 3 * length_s + 2 * pause_s]
    else:
        starts_s = [1 + number * (length_s + pause_s) for number in range(3)]
        ends_s = [start_s + length_s for start_s in starts_s]
    for turn, start_s, end_s in zip(ends, starts_s, ends_s, strict=True):
        assert turn.start_s == pytest.approx(max(0.0, start_s - 0.3), abs=2 * FRAME_S)
        assert turn.end_s == pytest.approx(end_s + 0.5, abs=2 * FRAME_S)
        (window,) = windows_of(events, turn.turn)
        assert window.start_s <= start_s + FRAME_S
        assert window.end_s >= end_s - FRAME_S


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_turns_of_people_are_those_of_the_recordings(path: Path) -> None:
    with wave.open(str(path)) as file:
        data, rate = file.readframes(file.getnframes()), file.getframerate()
    reader = LiveSoundReader(SoundFormat("pcm", rate))
    speech = spoken_part(np.concatenate([reader.push(data), reader.flush()]))
    # People pause where they like: the silence that ends a turn is longer than any of theirs.
    sound = np.concatenate([silence(2), speech, silence(2), speech, silence(2)])
    events = listen(sound, TurnRules(silence_s=1.2))
    found, voice = closed(events), StreamingVad(levels=True).probabilities(sound)
    assert len(found) == 2
    for turn, start_s in zip(found, (2.0, 4.0 + speech.size / SAMPLE_RATE), strict=True):
        first, end = (round((start_s + edge_s) / FRAME_S) for edge_s in (-1.0, speech.size / SAMPLE_RATE + 1.0))
        voiced = first + np.flatnonzero(voice[first:end] >= 0.5)
        quiet = next(frame for frame in range(voiced[-1], len(voice)) if voice[frame] < 0.35)
        assert turn.start_s == pytest.approx(voiced[0] * FRAME_S - 0.3, abs=FRAME_S)
        assert turn.end_s == pytest.approx(quiet * FRAME_S + 1.2, abs=FRAME_S)
        assert turn.start_s <= start_s
        assert turn.end_s >= start_s + speech.size / SAMPLE_RATE
    assert [event for event in events if isinstance(event, SpeechStarted)] == [
        SpeechStarted(turn.turn, turn.start_s) for turn in found
    ]


def test_g711_has_the_turns_of_pcm(sentence: Samples) -> None:
    sound = np.concatenate([silence(1), sentence, silence(1), sentence, silence(1)])[::2]
    values = LiveSoundReader(SoundFormat("pcmu"))._decode(bytes(range(256)))
    codes = np.abs(values[None] - sound[:, None]).argmin(axis=1).astype(np.uint8).tobytes()
    times = []
    for kind, data in [("pcm", np.rint(sound * 32767).astype("<i2").tobytes()), ("pcmu", codes)]:
        reader = LiveSoundReader(SoundFormat(kind, 8000))  # type: ignore[arg-type]
        events = listen(np.concatenate([reader.push(data), reader.flush()]), TurnRules())
        times.append([(event.start_s, event.end_s) for event in closed(events)])
    assert len(times[0]) == 2
    np.testing.assert_allclose(times[0], times[1], atol=FRAME_S + 1e-6)


RUNS = st.lists(st.tuples(st.integers(1, 200), st.sampled_from([0.0, 0.3, 0.4, 0.9])), min_size=1, max_size=8)


def invented(runs: list[tuple[int, float]]) -> tuple[Samples, Samples]:
    probabilities = np.concatenate([np.full(frames, p, np.float32) for frames, p in runs])
    return np.arange(probabilities.size * FRAME, dtype=np.float32) / (1 << 24), probabilities


def hear(rules: TurnRules, samples: Samples, probabilities: Samples, sizes: list[int]) -> list[CutEvent]:
    cutter, told, at = TurnCutter(rules, lambda asked: asked.size % 7 / 7, max_window_s=3.0), list[CutEvent](), 0
    for size in itertools.cycle(sizes):
        end = min(at + size, samples.size)
        told += cutter.push(samples[at:end], probabilities[at // FRAME : end // FRAME])
        at = end
        if at == samples.size:
            return told + cutter.commit()
    raise AssertionError


def outline(event: CutEvent) -> object:
    """All but the samples."""
    if isinstance(event, TurnPause):
        return event.turn, [window.pieces for window in event.windows]
    return (event.turn, event.window and event.window.pieces) if isinstance(event, TurnWindow) else event


@settings(max_examples=80, deadline=None)
@given(
    RUNS,
    st.sampled_from([TurnRules(), TurnRules(kind="none"), TurnRules(kind="semantic"), TurnRules(silence_s=0.2)]),
    st.lists(st.integers(1, 40_000), min_size=1, max_size=5),
)
def test_windows_do_not_depend_on_cutting(runs: list[tuple[int, float]], rules: TurnRules, sizes: list[int]) -> None:
    samples, probabilities = invented(runs)
    one = hear(rules, samples, probabilities, sizes)
    other = hear(rules, samples, probabilities, [samples.size])
    assert list(map(outline, one)) == list(map(outline, other))
    for turn in range(len(closed(one))):
        pieces = [window.pieces for window in windows_of(one, turn)]
        assert pieces == [window.pieces for window in windows_of(other, turn)]
        for window in windows_of(one, turn):
            places = [np.arange(p.file_start, p.file_start + p.length) for p in window.pieces]
            start = round(closed(one)[turn].start_s * SAMPLE_RATE)
            heard = np.concatenate(places)
            if len(places) == 1:
                np.testing.assert_array_equal(window.samples * (1 << 24), np.where(heard < start, 0, heard))
    last = [e for e in one if isinstance(e, TurnWindow) and e.is_last]
    assert [event.turn for event in last] == [event.turn for event in closed(one)]


def test_a_long_turn_has_the_windows_of_a_file() -> None:
    samples, probabilities = invented([(400, 0.9), (30, 0.0), (900, 0.9), (300, 0.0), (1500, 0.9)])
    file = WindowCutter(VadOptions())
    expected = file.push(samples, probabilities) + file.finish()
    cutter = TurnCutter(TurnRules(kind="none"))
    events = [
        event
        for at in range(0, samples.size, 800)
        for event in cutter.push(samples[at : at + 800], probabilities[at // FRAME : (at + 800) // FRAME])
    ]
    assert len(windows_of(events, 0)) >= 3  # their text need not wait for the commit
    events += cutter.commit()
    assert [window.pieces for window in windows_of(events, 0)] == [window.pieces for window in expected]
    assert [window.index for window in windows_of(events, 0)] == list(range(len(expected)))


def test_a_pause_shows_the_windows_that_the_turn_then_has() -> None:
    samples, probabilities = invented([(50, 0.0), (60, 0.9), (10, 0.0), (60, 0.9), (60, 0.0)])
    cutter = TurnCutter(TurnRules())
    events = cutter.push(samples, probabilities)
    first, second = (event.windows for event in events if isinstance(event, TurnPause))
    (window,) = windows_of(events, 0)
    assert (first[0].start_s, second[0].start_s) == (window.start_s, window.start_s)
    assert first[0].end_s == pytest.approx(110 * FRAME_S + 0.2)
    assert second[0].pieces[-1].speech_end == window.pieces[-1].speech_end
    assert isinstance(events[-3], SpeechStopped)


def test_a_window_that_is_complete_in_a_pause_is_not_shown_as_the_last_any_more() -> None:
    samples, probabilities = invented([(400, 0.9), (50, 0.0)])
    cutter = TurnCutter(TurnRules(kind="none"))
    pieces = [(samples[at * FRAME : (at + 5) * FRAME], probabilities[at : at + 5]) for at in range(0, 450, 5)]
    events = [event for piece in pieces for event in cutter.push(*piece)]
    assert [type(event) for event in events] == [TurnPause, PauseEnded, TurnWindow]
    assert cutter.commit()[-1] == TurnWindow(0, None, is_last=True)


def test_the_draft_is_the_window_in_progress() -> None:
    samples, probabilities = invented([(50, 0.0), (60, 0.9), (5, 0.0)])
    cutter = TurnCutter(TurnRules())
    assert cutter.draft() is None
    cutter.push(samples[: 50 * FRAME], probabilities[:50])
    assert cutter.draft() is None
    cutter.push(samples[50 * FRAME :], probabilities[50:])
    draft = cutter.draft()
    assert draft is not None
    assert (draft.start_s, draft.end_s) == (pytest.approx(50 * FRAME_S - 0.3), pytest.approx(115 * FRAME_S))
    assert cutter.detector.pause_s == pytest.approx(5 * FRAME_S)
    cutter.clear()
    assert cutter.draft() is None
