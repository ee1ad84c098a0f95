"""What a client of the speech socket may say when, and what it is answered."""

import json

import pytest

from voice_stack.core.errors import InvalidRequestError
from voice_stack.tts.api.live import MAX_MESSAGE_CHARS, Control, Dialogue
from voice_stack.tts.request import Flush
from voice_stack.tts.schemas import SpeechBody

START = {"type": "start", "model": "tts-1", "voice": "alloy", "response_format": "pcm"}
TEXT = {"type": "text", "delta": "Hello"}
FLUSH, END, CANCEL = ({"type": kind} for kind in ("flush", "end", "cancel"))


def told(dialogue: Dialogue, *messages: object) -> list[object]:
    """What each message asks for, an error by its field."""
    asked: list[object] = []
    for message in messages:
        try:
            asked.append(dialogue.take(message if isinstance(message, str) else json.dumps(message)))
        except InvalidRequestError as error:
            asked.append(f"wrong {error.param}")
    return [type(one) if isinstance(one, SpeechBody) else one for one in asked]


def over() -> Dialogue:
    dialogue = Dialogue()
    told(dialogue, START)
    dialogue.state = "over"
    return dialogue


NO_TYPE, NO_DELTA = "wrong type", "wrong delta"


@pytest.mark.parametrize(
    ("messages", "asked"),
    [
        ([START, TEXT, FLUSH, END], [SpeechBody, "Hello", Flush(), Control.END]),
        ([TEXT, FLUSH, END, CANCEL, START], [NO_TYPE] * 4 + [SpeechBody]),
        ([START, START, TEXT], [SpeechBody, NO_TYPE, "Hello"]),
        ([START, END, TEXT, FLUSH, END, START], [SpeechBody, Control.END, NO_TYPE, NO_TYPE, Control.END, NO_TYPE]),
        ([START, END, CANCEL], [SpeechBody, Control.END, Control.CANCEL]),
        ([START, {"type": "text"}, {"type": "text", "delta": 5}, TEXT], [SpeechBody, NO_DELTA, NO_DELTA, "Hello"]),
        ([START, {"type": "text", "delta": ""}], [SpeechBody, ""]),
        ([{"type": "session.update"}, {"type": 5}, {}, {"type": None}, {"type": ["start"]}], [NO_TYPE] * 5),
        (["", "nonsense", "[]", "5", '{"type": "start"', '{"type": NaN}', "[" * 9999], ["wrong None"] * 7),
        ([{**START, "input": "Hi"}, {**START, "speed": 9}], ["wrong input", "wrong speed"]),
        ([{**START, "input": None, "instructions": None}], [SpeechBody]),
    ],
)
def test_messages_are_obeyed_in_their_order_or_answered(messages: list[object], asked: list[object]) -> None:
    assert told(Dialogue(), *messages) == asked


def test_what_was_on_its_way_when_a_speech_was_over_means_nothing() -> None:
    assert told(over(), TEXT, FLUSH, END, CANCEL, START) == [None, None, None, None, SpeechBody]


@pytest.mark.parametrize("message", [None, json.dumps({"type": "text", "delta": "x" * MAX_MESSAGE_CHARS})])
def test_sound_and_huge_messages_are_refused(message: str | None) -> None:
    with pytest.raises(InvalidRequestError):
        over().take(message)


def test_half_a_character_is_text() -> None:
    dialogue = Dialogue()
    assert told(dialogue, START, r'{"type": "text", "delta": "\ud83d"}')[1] == "\ud83d"


def test_fields_that_change_nothing_are_named() -> None:
    dialogue = Dialogue()
    body = dialogue.take(json.dumps({**START, "instructions": "calmly", "cache": False, "tone": "joy"}))
    assert isinstance(body, SpeechBody)
    assert (body.voice, body.response_format, body.input) == ("alloy", "pcm", "")
    assert sorted(dialogue.find_ignored({"instructions"})) == ["cache", "instructions", "tone"]
    assert sorted(dialogue.find_ignored(())) == ["cache", "tone"]
