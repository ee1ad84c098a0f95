"""A speech whose text comes in pieces: the sound of the whole text, begun before the text is complete."""

from collections.abc import Iterator

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from piper_speech import VOICE
from voice_stack.core.errors import UnsupportedValueError
from voice_stack.core.feeds import Feed, Inbox, Notice, Starved
from voice_stack.core.jobs import Again, Job, Output, PlanStep, Unit, Urgency
from voice_stack.tts.engine.base import VoiceOptions
from voice_stack.tts.engine.piper import PiperEngine
from voice_stack.tts.models import CAPABILITIES
from voice_stack.tts.request import Flush, LeftOut, Passage, Sound, SpeechRequest, TextOverTime
from voice_stack.tts.sound.finishing import Delivery
from voice_stack.tts.workload import TtsWorkload

TEXT = "The museum opens at ten.\n\nIt costs $43,000.50 a year, as Dr. Smith said. Nobody knew that!"


class Speaker:
    """A job in an engine of its own: what is fed to it, and what comes of it."""

    def __init__(self, *, is_fed: bool = True, text: str = "") -> None:
        onnxruntime.set_seed(1)  # of the noise in the voice, which is drawn anew for each engine
        self.workload = TtsWorkload(CAPABILITIES["piper"], lambda: PiperEngine(VOICE, device="cpu", threads=1))
        self.workload.load()
        passage = Passage(text, VoiceOptions(language="en"), ("en",))
        over_time = TextOverTime() if is_fed else None
        self.job = Job("a", SpeechRequest((passage,), over_time=over_time), "", is_fed=is_fed)
        self.fed = Inbox()
        self._plan = self.workload.plan(self.job, self.fed)
        self._count = 0

    def feed(self, *pieces: str | Flush) -> list[PlanStep]:
        for piece in pieces:
            self.fed.put(Feed("a", self._count, piece))
            self._count += 1
        return self.go_on()

    def end(self) -> list[PlanStep]:
        self.fed.put(Feed("a", self._count, None, is_last=True))
        return self.go_on()

    def go_on(self) -> list[PlanStep]:
        """The steps until the plan has no more text."""
        steps: list[PlanStep] = []
        for step in self._plan:
            if isinstance(step, Starved):
                break
            steps.append(step)
        return steps

    def speak(self, steps: list[PlanStep]) -> list[Sound]:
        return [output for output in self.run(steps) if isinstance(output, Sound)]

    def run(self, steps: list[PlanStep]) -> Iterator[object]:
        units = [step for step in steps if isinstance(step, Unit)]
        while units:
            for result in self.workload.run([units.pop(0)], Urgency.ALONE):
                if isinstance(result, Again):
                    units.insert(0, result.unit)
                elif isinstance(result, Output):
                    yield result.payload


def said(steps: list[PlanStep]) -> list[str]:
    return [step.data.clause.text for step in steps if isinstance(step, Unit) and isinstance(step.data, Delivery)]


def join(sounds: list[Sound]) -> NDArray[np.float32]:
    return np.concatenate([sound.samples for sound in sounds])


def test_the_sound_of_a_text_in_pieces_is_that_of_the_whole() -> None:
    complete, written = Speaker(is_fed=False, text=TEXT), Speaker()
    whole = complete.speak(complete.go_on())
    pieces = written.speak(written.feed(*(TEXT[start : start + 3] for start in range(0, len(TEXT), 3))))
    pieces += written.speak(written.end())
    assert np.array_equal(join(pieces), join(whole))
    assert [(sound.text, sound.words, sound.is_last) for sound in pieces] == [
        (sound.text, sound.words, sound.is_last) for sound in whole
    ]
    done = [speaker.workload.finish(speaker.job) for speaker in (complete, written)]
    assert done[0] == done[1]
    assert done[1].characters_in == len(TEXT)


def test_the_first_clause_is_spoken_before_the_second_piece_is_written() -> None:
    speaker = Speaker()
    steps = speaker.feed("The museum opens at ten. It costs")
    assert said(steps) == ["The museum opens at ten."]
    (unit,) = [step for step in steps if isinstance(step, Unit)]
    assert unit.is_awaited
    assert join(speaker.speak(steps)).size > 10_000
    assert said(speaker.feed(" much.")) == []
    assert said(speaker.end()) == ["It costs much."]


def test_a_flush_is_told_behind_the_sound_of_what_was_written_before() -> None:
    speaker = Speaker()
    outputs = list(speaker.run(speaker.feed("That is", Flush(), " all")))
    assert outputs[-1] == Flush()
    assert [sound.text for sound in outputs[:-1] if isinstance(sound, Sound) and sound.text] == ["That is"]
    assert said(speaker.end()) == ["all"]


def test_what_is_left_out_is_told() -> None:
    speaker = Speaker()
    assert said(speaker.feed("<think>Hm.</think>Hello. ", "You there")) == ["Hello."]
    steps = speaker.end()
    assert [step.payload for step in steps if isinstance(step, Notice)] == [LeftOut(("thoughts",))]


def test_letters_that_the_voice_does_not_know_end_the_speech() -> None:
    speaker = Speaker()
    with pytest.raises(UnsupportedValueError, match="Cyrillic letters; the voice speaks en"):
        speaker.feed("У меня двадцать одна кошка и одна собака. И ещё")


def test_a_text_without_anything_to_say_is_no_failure() -> None:
    speaker = Speaker()
    assert said(speaker.feed("*** ", "…")) == said(speaker.end()) == []
