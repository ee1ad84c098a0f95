"""A live session on Deepgram's wire, beside a transcription that says what it is told to; held against their SDK."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from deepgram.listen.v1 import types as sdk

from asr.live.sessions import BASE, NOW_S
from voice_stack.asr.live.deepgram import DeepgramSession
from voice_stack.asr.live.deepgram_answer import describe_model
from voice_stack.asr.live.dialogue import LiveOutput
from voice_stack.asr.live.listen_query import ASKED_LIVE, read_query
from voice_stack.asr.live.turns import (
    Change,
    Commit,
    LiveSound,
    NothingToCommit,
    SpeechStarted,
    SpeechStopped,
    TurnClosed,
    TurnDraft,
    TurnText,
)
from voice_stack.asr.models import AsrCapabilities
from voice_stack.asr.request import WindowText
from voice_stack.asr.transcript import Segment, Word
from voice_stack.core.errors import EngineError
from voice_stack.core.http.realtime import Event

SOUND = {"encoding": "linear16", "sample_rate": "16000"}
_TYPES = {
    "Results": sdk.ListenV1Results,
    "SpeechStarted": sdk.ListenV1SpeechStarted,
    "UtteranceEnd": sdk.ListenV1UtteranceEnd,
    "Metadata": sdk.ListenV1Metadata,
    "Error": sdk.ListenV1Error,
    "ConfigureSuccess": sdk.ListenV1ConfigureSuccess,
    "ConfigureFailure": sdk.ListenV1ConfigureFailure,
}


class Talk:
    """A session, its clock, and what it has told."""

    def __init__(self, **asked: str) -> None:
        self.now_s, self.events = 0.0, list[Event]()
        query, _ = read_query([*SOUND.items(), *asked.items()], ASKED_LIVE)
        request = query.ask(BASE, AsrCapabilities())
        described = describe_model("base", "faster-whisper")
        self.session = DeepgramSession(query, "base", request, described, "req_1", NOW_S, lambda: self.now_s)

    def _note(self, events: Iterable[Event]) -> list[dict[str, Any]]:
        noted = [json.loads(json.dumps(event, allow_nan=False)) for event in events]
        for event in noted:
            fields = {name for name, one in _TYPES[event["type"]].model_fields.items() if one.is_required()}
            assert fields <= event.keys(), event
            _TYPES[event["type"]](**event)
        self.events += noted
        return noted

    def send(self, kind: str, **fields: object) -> list[dict[str, Any]]:
        return self.take(json.dumps({"type": kind, **fields}))

    def take(self, message: str | bytes) -> list[dict[str, Any]]:
        answer = self.session.receive(self.session.read(message))
        self.pieces = answer.pieces
        return self._note(answer.events)

    def hear(self, until_s: float) -> list[dict[str, Any]]:
        """Sound up to a moment, at the speed of speech."""
        self.now_s = max(self.now_s, until_s)
        return self.take(bytes(2 * round((until_s - self.session.audio_s) * 16_000)))

    def tell(self, *told: LiveOutput) -> list[dict[str, Any]]:
        return [event for one in told for event in self._note(self.session.tell(one))]

    def close(self) -> list[dict[str, Any]]:
        return self._note(self.session.close())


def said(turn: int, text: str, start_s: float, end_s: float, *, is_last: bool = True) -> TurnText:
    """A text whose words share its time."""
    parts = text.split()
    step_s = (end_s - start_s) / max(len(parts), 1)
    words = [Word(part, start_s + n * step_s, start_s + (n + 1) * step_s, 0.9) for n, part in enumerate(parts)]
    segment = Segment(f" {text}", start_s, end_s, (), 0.0, -0.1, 1.0, 0.0, words=tuple(words), language="en")
    return TurnText(turn, WindowText((segment,) if text else (), end_s), is_last)


def shown(event: dict[str, Any]) -> tuple[str, bool, bool, bool]:
    text = event["channel"]["alternatives"][0]["transcript"]
    return text, event["is_final"], event["speech_final"], event["from_finalize"]


def test_an_utterance_from_its_first_word_to_its_end() -> None:
    talk = Talk(interim_results="true", vad_events="true", utterance_end_ms="1000", smart_format="true")
    talk.hear(2.0)
    (started,) = talk.tell(SpeechStarted(0, 0.4))
    assert (started["channel"], started["timestamp"]) == ([0, 1], 0.4)
    (draft,) = talk.tell(TurnDraft(0, "Good morning"))
    assert shown(draft) == ("Good morning", False, False, False)
    assert (draft["start"], draft["duration"]) == (0.4, 1.6)
    talk.hear(2.5)
    (final,) = talk.tell(SpeechStopped(0, 2.5), said(0, "Good morning, all.", 0.5, 2.0), TurnClosed(0, 0.4, 2.5))
    assert shown(final) == ("Good morning, all.", True, True, False)
    alternative = final["channel"]["alternatives"][0]
    assert alternative["confidence"] == 0.9
    assert [word["word"] for word in alternative["words"]] == ["good", "morning", "all"]
    assert alternative["words"][2]["punctuated_word"] == "all."
    assert (final["start"], final["duration"]) == (0.4, 2.1)
    assert not talk.hear(2.9)
    (ended,) = talk.hear(3.1)
    assert (ended["type"], ended["last_word_end"]) == ("UtteranceEnd", 2.0)
    assert not talk.hear(9.0)


def test_a_pause_that_ends_no_utterance() -> None:
    talk = Talk(utterance_end_ms="1000")
    talk.hear(2.5)
    talk.tell(SpeechStarted(0, 0.0), TurnClosed(0, 0.0, 2.5), said(0, "One.", 0.0, 2.0))
    talk.hear(2.8)
    assert not talk.tell(SpeechStarted(1, 2.6))
    talk.hear(9.0)
    # The next one is over before the text of this one is there.
    talk.tell(TurnClosed(1, 2.6, 4.0), SpeechStarted(2, 4.1), said(1, "Two.", 2.6, 3.6))
    talk.tell(TurnClosed(2, 4.1, 6.0), SpeechStarted(3, 6.2), said(2, "Three.", 4.1, 5.5))
    talk.tell(TurnClosed(3, 6.2, 8.0), said(3, "Four.", 6.2, 7.5))
    assert not talk.hear(9.2)
    assert [event["type"] for event in talk.hear(9.6)] == ["UtteranceEnd"]
    assert [event["last_word_end"] for event in talk.events if event["type"] == "UtteranceEnd"] == [7.5]


def test_sound_that_comes_faster_than_it_was_said_ends_nothing_early() -> None:
    talk = Talk(utterance_end_ms="1000")
    talk.hear(60.0)
    talk.now_s = 0.0
    talk.tell(SpeechStarted(0, 0.0), TurnClosed(0, 0.0, 2.5), said(0, "One.", 0.0, 2.0))
    assert not talk.send("KeepAlive")
    assert not talk.tell(SpeechStarted(1, 2.6))
    talk.tell(TurnClosed(1, 2.6, 5.0), said(1, "Two.", 2.6, 4.5))
    (ended,) = talk.tell(SpeechStarted(2, 30.0))
    assert (ended["type"], ended["last_word_end"]) == ("UtteranceEnd", 4.5)


def test_a_long_utterance_is_final_piece_by_piece() -> None:
    talk = Talk(interim_results="true")
    talk.hear(25.0)
    talk.tell(SpeechStarted(0, 0.0), TurnDraft(0, "One two three"))
    (first,) = talk.tell(said(0, "One, two three", 0.0, 20.0, is_last=False))
    assert shown(first) == ("One, two three", True, False, False)
    (draft,) = talk.tell(TurnDraft(0, "One two three four five"))
    assert shown(draft) == ("four five", False, False, False)
    (last,) = talk.tell(TurnClosed(0, 0.0, 24.0), said(0, "four five.", 20.0, 23.0))
    assert shown(last) == ("four five.", True, True, False)
    assert (last["start"], last["duration"]) == (20.0, 4.0)


def test_every_finalize_is_answered_behind_what_was_said_before() -> None:
    talk = Talk()
    (empty,) = talk.send("Finalize")
    assert shown(empty) == ("", True, False, True)
    talk.hear(2.0)
    for _ in range(2):
        assert not talk.send("Finalize")
        assert talk.pieces == [Commit()]
    assert not talk.tell(SpeechStarted(0, 0.0), TurnClosed(0, 0.0, 2.0), NothingToCommit())
    (final,) = talk.tell(said(0, "So far.", 0.0, 1.5))
    assert shown(final) == ("So far.", True, True, True)
    talk.send("Finalize")
    (nothing,) = talk.tell(NothingToCommit())
    assert shown(nothing) == ("", True, False, True)
    # Silence has just ended what is asked for: its text is still to come.
    talk.hear(4.0)
    talk.tell(SpeechStarted(1, 2.0), TurnClosed(1, 2.0, 3.95))
    talk.send("Finalize")
    assert not talk.tell(NothingToCommit())
    assert shown(*talk.tell(said(1, "More.", 2.0, 3.0))) == ("More.", True, True, True)


def test_what_is_asked_reaches_the_engine() -> None:
    talk = Talk(language="de-CH", endpointing="400", keyterm="Anna", keywords="Bob:2", interim_results="true")
    asked = talk.session.request
    assert (asked.decode.language, asked.decode.hotwords, asked.decode.word_timestamps) == ("de", "Anna, Bob", True)
    assert (asked.rules.silence_s, asked.has_drafts) == (0.4, True)
    assert Talk(endpointing="25").session.request.rules.silence_s == 0.5
    assert Talk(language="multi").session.request.multilingual is True
    talk.hear(1.0)
    (done,) = talk.send("Configure", keyterms=["Carl"])
    assert done["keyterms"] == ["Carl"]
    (change,) = talk.pieces
    assert isinstance(change, Change)
    assert change.request.decode.hotwords == "Carl"
    assert talk.send("Configure", features={"numerals": True})[0]["type"] == "ConfigureFailure"
    assert talk.send("Configure", keyterms=["a"] * 101)[0]["code"] == "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"


def test_ends_are_not_told_where_none_are_asked_and_marks_go_where_they_are_not_wanted() -> None:
    talk = Talk(endpointing="false", punctuate="false")
    talk.hear(3.0)
    (final,) = talk.tell(SpeechStarted(0, 0.0), TurnClosed(0, 0.0, 3.0), said(0, "Well, John's here!", 0.0, 2.0))
    assert shown(final) == ("well john's here", True, False, False)
    assert "punctuated_word" not in final["channel"]["alternatives"][0]["words"][0]


@pytest.mark.parametrize("message", ["no json", "[]", '{"type": "Speak"}', "{}", '{"type": 1}'])
def test_what_is_no_message_is_told_and_ends_nothing(message: str) -> None:
    talk = Talk()
    (error,) = talk.take(message)
    assert (error["type"], error["variant"], error["message"]) == ("Error", "SchemaError", message)
    assert not talk.session.is_over


@pytest.mark.parametrize("last", [b"", '{"type": "CloseStream"}'])
def test_the_end_tells_how_much_was_heard(last: str | bytes) -> None:
    talk = Talk()
    talk.take(b"\1" * 3201)
    assert talk.pieces == [LiveSound(b"\1" * 3200)]
    talk.take(last)
    assert talk.session.is_over
    (told,) = talk.close()
    assert (told["type"], told["duration"], told["channels"], told["request_id"]) == ("Metadata", 0.1, 1, "req_1")


def test_a_failure_is_told_and_times_go_on_behind_it() -> None:
    talk = Talk()
    talk.hear(4.0)
    talk.tell(SpeechStarted(0, 1.0))
    (error,) = talk._note(talk.session.fail(EngineError("It broke.")))
    assert (error["type"], error["description"]) == ("Error", "It broke.")
    talk.hear(6.0)
    (final,) = talk.tell(SpeechStarted(0, 0.5), TurnClosed(0, 0.5, 2.0), said(0, "Again.", 0.5, 1.0))
    assert final["start"] == 4.5
    assert final["channel"]["alternatives"][0]["words"][0]["start"] == 4.5
