"""Speakers of a live session over its length: numbers and names that stay, and how much is kept of it."""

from itertools import count
from pathlib import Path

import numpy as np

from voice_stack.asr.live.turns import LiveDiarization, LiveSound, SoundFormat, SpeakersMark, WhoSpoke
from voice_stack.asr.request import EngineOptions, SpeakerChoice
from voice_stack.asr.speakers.base import SAMPLE_RATE
from voice_stack.asr.speakers.fake import FakeSpeakers
from voice_stack.asr.speakers.live import FOLLOWED_S, LiveVoices
from voice_stack.core.feeds import Feed, Inbox, Settled, Starved
from voice_stack.core.jobs import Job, Unit

ANNA, BEN, CID, DORA = -3, 3, 5, 7
"""Speakers of `FakeSpeakers`, in tenths."""
REQUEST = LiveDiarization(SoundFormat(sample_rate=SAMPLE_RATE), SpeakerChoice())


class Live:
    """A diarization whose units run as soon as they are planned.

    Attributes:
        mark: Where another process would go on, and with which feed.
    """

    def __init__(self, mark: SpeakersMark | None = None) -> None:
        self.engine = FakeSpeakers(Path("fake"), EngineOptions())
        self.known = {"Anna": self.engine.voice(np.full(SAMPLE_RATE, ANNA / 10, np.float32))}
        self.fed, self.feeds = Inbox(), count()
        self.live = LiveVoices(Job("job", REQUEST, "", mark=mark), self.fed)
        units = count()
        self.steps = self.live.steps(lambda data, cost_s: Unit("job", next(units), cost_s, None, data))
        self.mark, self.kept, self.heard_s = mark, 0, 0

    def feed(self, data: object) -> list[str]:
        """Who is told after a feed."""
        self.fed.put(Feed("job", next(self.feeds), data))
        told = list[str]()
        for step in self.steps:
            match step:
                case Unit(data=WhoSpoke() as asked):
                    told += [turn.speaker.label for turn in self.live.tell(asked, self.known).turns]
                case Unit(data=np.ndarray() as samples):
                    self.live.hear(samples, self.engine)
                case Settled(_, first, SpeakersMark() as mark):
                    self.kept, self.mark = first, mark
                case Starved():
                    return told
        raise AssertionError("the plan has ended")

    def say(self, level: int, duration_s: int) -> list[str]:
        """Somebody speaks; who that was."""
        begun_s = self.heard_s
        for _ in range(duration_s):
            self.feed(LiveSound(np.full(SAMPLE_RATE, level * 3276, "<i2").tobytes()))
        self.heard_s += duration_s
        told = self.feed(WhoSpoke("item", begun_s + 1.5, self.heard_s - 1.5))
        self.feed(LiveSound(bytes(2)))
        return told


def test_numbers_and_names_stay_over_hours_and_little_is_kept() -> None:
    live = Live()
    assert live.say(BEN, 4) == ["SPEAKER_00"]
    assert live.say(ANNA, 4) == ["Anna"]
    assert live.say(CID, 4) == ["SPEAKER_02"]
    for _ in range(6):
        assert live.say(CID, round(FOLLOWED_S / 3)) == ["SPEAKER_02"]
        assert live.say(0, round(FOLLOWED_S / 3)) == []
    assert live.say(BEN, 4) == ["SPEAKER_00"]
    assert live.say(DORA, 4) == ["SPEAKER_03"]
    assert live.say(ANNA, 4) == ["Anna"]
    assert next(live.feeds) - live.kept < 120, "of feeds of a second each"


def test_the_next_process_goes_on_with_the_same_numbers() -> None:
    died = Live()
    died.say(BEN, 3)
    died.say(CID, 3)
    reborn = Live(died.mark)
    assert reborn.say(CID, 4) == ["SPEAKER_01"]
    assert reborn.say(DORA, 4) == ["SPEAKER_02"]
    assert reborn.say(BEN, 4) == ["SPEAKER_00"]
