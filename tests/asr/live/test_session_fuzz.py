"""A session against a small model of the wire: any order of what clients send and transcriptions tell."""

import base64
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asr.live.sessions import check, final, start
from voice_stack.asr.live.dialogue import LiveOutput
from voice_stack.asr.live.turns import (
    Clear,
    Cleared,
    Commit,
    LiveSound,
    NothingToCommit,
    SpeechStarted,
    SpeechStopped,
    TurnClosed,
    TurnDraft,
)
from voice_stack.core.errors import EngineCrashedError

WORDS = st.sampled_from([" I", " scream", " for", " ice", " cream", ".", " It's", " late"])


@dataclass
class Heard:
    """What one transcription did; `waiting` are commits and clears that it has not answered."""

    told: list[LiveOutput] = field(default_factory=list)
    next_turn: int = 0
    open: int | None = None
    text: str = ""
    pending: list[int] = field(default_factory=list)
    waiting: list[object] = field(default_factory=list)


class Wire(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.session = start()
        self.heard = Heard()
        self.sent, self.fed = bytearray(), bytearray()
        self.events: list[dict[str, Any]] = []
        self.names = 0
        check(self.session.open())

    def receive(self, frame: str) -> list[dict[str, Any]]:
        answer = self.session.receive(frame)
        for piece in answer.pieces:
            if isinstance(piece, LiveSound):
                self.fed += piece.data
            elif isinstance(piece, Commit | Clear):
                self.heard.waiting.append(piece)
        self.events += (events := check(answer.events))
        return events

    def send(self, kind: str, **fields: object) -> list[dict[str, Any]]:
        return self.receive(json.dumps({"type": kind, **fields}))

    def tell(self, *told: LiveOutput) -> None:
        for one in told:
            self.heard.told.append(one)
            self.events += check(self.session.tell(one))

    @rule(data=st.binary(max_size=9))
    def append(self, data: bytes) -> None:
        self.sent += data
        assert self.send("input_audio_buffer.append", audio=base64.b64encode(data).decode()) == []

    @rule(frame=st.text(max_size=20) | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda part: st.lists(part, max_size=3) | st.dictionaries(
            st.sampled_from(["type", "session", "event_id", "item_id"]),
            part | st.sampled_from(["session.update", "conversation.item.delete", "input_audio_buffer.append"]),
            max_size=3),
        max_leaves=6).map(json.dumps))  # fmt: skip
    def babble(self, frame: str) -> None:
        assert [event["type"] for event in self.receive(frame)] in (["error"], ["session.updated"], [])

    @rule()
    def commit(self) -> None:
        self.names += 1
        self.send("input_audio_buffer.commit", event_id=f"commit-{self.names}")

    @rule()
    def clear(self) -> None:
        self.send("input_audio_buffer.clear")
        self.sent = bytearray(self.fed)  # half a sample is forgotten

    @rule(sound=st.fixed_dictionaries({}, optional={
        "turn_detection": st.sampled_from([None, {"type": "server_vad"}, {"type": "semantic_vad"}, {"type": 3}]),
        "transcription": st.sampled_from([None, {"model": "tiny.en"}, {"language": "de"}, {"delay": "high"}]),
        "format": st.sampled_from([{"type": "audio/pcm", "rate": 24000}, {"type": "audio/flac"}]),
    }))  # fmt: skip
    def update(self, sound: dict[str, object]) -> None:
        (event,) = self.send("session.update", session={"type": "transcription", "audio": {"input": sound}})
        assert event["type"] == "session.updated"

    @rule(verb=st.sampled_from(["retrieve", "delete"]), data=st.data())
    def look_at_items(self, verb: str, data: st.DataObject) -> None:
        known = self.items("committed")
        (event,) = self.send(f"conversation.item.{verb}", item_id=data.draw(st.sampled_from([*known, "item_x"])))
        assert event["type"] in {f"conversation.item.{verb}d", "error"}

    @precondition(lambda self: self.heard.waiting)
    @rule(is_empty=st.booleans())
    def answer(self, is_empty: bool) -> None:
        heard = self.heard
        if isinstance(heard.waiting.pop(0), Clear):
            self.tell(Cleared(heard.open))
            heard.open = None
        elif is_empty:
            self.tell(NothingToCommit())
        else:
            self.close()

    @precondition(lambda self: self.fed and self.heard.open is None)
    @rule()
    def speak(self) -> None:
        heard = self.heard
        heard.open, heard.next_turn, heard.text = heard.next_turn, heard.next_turn + 1, ""
        self.tell(SpeechStarted(heard.open, self.session.audio_s))

    @precondition(lambda self: self.heard.open is not None)
    @rule(word=WORDS)
    def draft(self, word: str) -> None:
        assert self.heard.open is not None
        self.heard.text += word
        self.tell(TurnDraft(self.heard.open, self.heard.text))

    @precondition(lambda self: self.heard.open is not None)
    @rule()
    def fall_silent(self) -> None:
        assert self.heard.open is not None
        self.tell(SpeechStopped(self.heard.open, self.session.audio_s))
        self.close()

    def close(self) -> None:
        heard = self.heard
        turn = heard.next_turn if heard.open is None else heard.open
        heard.next_turn, heard.open = max(heard.next_turn, turn + 1), None
        heard.pending.append(turn)
        self.tell(TurnClosed(turn, 0.0, self.session.audio_s))

    @precondition(lambda self: self.heard.pending)
    @rule(texts=st.lists(WORDS, max_size=3), data=st.data(), is_last=st.booleans())
    def finish(self, texts: list[str], data: st.DataObject, is_last: bool) -> None:
        turn = data.draw(st.sampled_from(self.heard.pending))
        if is_last:
            self.heard.pending.remove(turn)
        self.tell(final(turn, *texts, is_last=is_last))

    @precondition(lambda self: self.heard.told)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """A crashed engine tells of a turn again; of what is answered or final it does not."""
        again = (SpeechStarted, SpeechStopped, TurnClosed, TurnDraft)
        told = [one for one in self.heard.told if isinstance(one, again)]
        if told:
            known = len(self.events)
            self.tell(data.draw(st.sampled_from(told)))
            # A start is news if the client has turned the detection on since.
            assert {event["type"].rpartition(".")[2] for event in self.events[known:]} <= {"delta", "speech_started"}

    @rule()
    def crash(self) -> None:
        self.events += check(self.session.fail(EngineCrashedError("it died")))
        self.expect_all_over()
        self.heard = Heard()
        self.sent = bytearray(self.fed)

    def expect_all_over(self) -> None:
        """Whatever was begun is over, for every item once."""
        ended = self.items(".completed", ".failed")
        for times in map(self.items, ("speech_started", "speech_stopped", "committed", ".item.added")):
            assert len(set(times)) == len(times)
        assert len(set(ended)) == len(ended)
        assert {*self.items("committed"), *self.items(".delta")} <= {*ended}
        assert sorted(self.items("speech_started")) == sorted(self.items("speech_stopped"))
        named = [event["error"]["event_id"] or "" for event in self.events if event["type"] == "error"]
        refused = Counter(name for name in named if name.startswith("commit-"))
        assert max(refused.values(), default=1) == 1

    def items(self, *suffixes: str) -> list[str]:
        """The ids in the events of some types."""
        found = [event for event in self.events if event["type"].endswith(suffixes)]
        return [event.get("item_id") or event["item"]["id"] for event in found]

    @invariant()
    def is_all_sound_fed(self) -> None:
        assert self.sent.startswith(self.fed)
        assert len(self.sent) - len(self.fed) < 2

    def teardown(self) -> None:
        self.crash()
        steps = ["speech_started", "speech_stopped", "committed", "completed", "failed"]
        for item in set(self.items("committed", ".delta", "speech_started")):
            kinds = [event["type"].rpartition(".")[2] for event in self.events if event.get("item_id") == item]
            own = [steps.index(kind) for kind in kinds if kind in steps]
            assert own == sorted(own), kinds


TestWire = Wire.TestCase
TestWire.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)
