"""A conversation over OpenAI's Realtime wire, event by event, each held against the SDK's own types."""

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.live.sessions import check, kinds
from voice_stack.chat.events import Heard, ReplyDone, ReplyEvent, Sentence, Sound, TextDelta
from voice_stack.chat.realtime.replies import Answer, Ask, Stop, Transcribe
from voice_stack.chat.realtime.session import ConversationSession
from voice_stack.chat.realtime.settings import ConversationDefaults, ConversationSettings
from voice_stack.core.errors import NoLanguageModelError, UpstreamError, VoiceStackError
from voice_stack.core.http.realtime import ClientEvent, Event, read_frame
from voice_stack.language_model.deltas import ToolCall

DEFAULTS = ConversationDefaults(voice="alloy", instructions="Be brief.")
SECOND = bytes(48_000)
"""Of sound of a reply."""
TURN = ["committed", "conversation.item.added", "conversation.item.done"]


class Talk:
    """A session, what it has told, and what it wants done."""

    def __init__(self, **settings: object) -> None:
        self.session = ConversationSession(DEFAULTS, ConversationSettings().changed(settings), 1_800_000_000.0)
        self.asked: list[Ask] = []
        self.stopped: list[str] = []
        self.forwarded: list[Event] = []
        check(self.session.open())

    def take(self, answer: Answer) -> list[dict[str, Any]]:
        self.asked += [action for action in answer.actions if isinstance(action, Ask)]
        self.stopped += [action.response_id for action in answer.actions if isinstance(action, Stop)]
        self.forwarded += [answer.forward] if answer.forward else []
        return check(answer.events)

    def send(self, kind: str, /, **fields: object) -> list[dict[str, Any]]:
        return self.take(self.session.receive(read_frame(json.dumps({"type": kind, **fields}), ())))

    def say(self, text: str, **fields: object) -> str:
        """The user writes; the id of the item."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        added, _done = self.send("conversation.item.create", item=item, **fields)
        return str(added["item"]["id"])

    def hear(self, kind: str, item_id: str = "item_a", /, **fields: object) -> list[dict[str, Any]]:
        if not self.session.is_heard:
            self.session.begin_hearing()
        event = {"type": kind, "event_id": "event_1", "item_id": item_id, **fields}
        return self.take(self.session.hear(event))

    def speech(self, item_id: str, text: str | None) -> list[dict[str, Any]]:
        """A turn of the user from its beginning to its text."""
        events = self.hear("input_audio_buffer.speech_started", item_id, audio_start_ms=100)
        events += self.hear("input_audio_buffer.speech_stopped", item_id, audio_end_ms=900)
        events += self.hear("input_audio_buffer.committed", item_id, previous_item_id=None)
        return events + ([] if text is None else self.text(item_id, text))

    def text(self, item_id: str, text: str) -> list[dict[str, Any]]:
        usage = {"type": "duration", "seconds": 0.8}
        kind = "conversation.item.input_audio_transcription.completed"
        return self.hear(kind, item_id, content_index=0, transcript=text, usage=usage)

    def reply(self, *told: ReplyEvent | VoiceStackError) -> list[dict[str, Any]]:
        """The last reply that was asked for tells something."""
        response_id = self.asked[-1].response_id
        return [event for one in told for event in self.take(self.session.reply(response_id, one))]

    @property
    def messages(self) -> list[Mapping[str, object]]:
        return list(self.asked[-1].request.messages)


def spoken(*texts: str) -> list[ReplyEvent]:
    """A reply of sentences of a second each."""
    told: list[ReplyEvent] = []
    for index, text in enumerate(texts):
        told += [TextDelta(text), Sentence(index, text.strip()), Sound(index, SECOND, 1000 * index)]
    return [*told, ReplyDone("".join(texts), usage={"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12})]


def names(events: Iterable[Mapping[str, object]]) -> list[str]:
    """Kinds without repetitions."""
    told = kinds(dict(event) for event in events)
    return [kind for number, kind in enumerate(told) if not number or told[number - 1] != kind]


def test_a_turn_is_answered_in_the_order_of_the_wire() -> None:
    talk = Talk(audio={"input": {"transcription": {"model": "whisper-1"}}})
    events = talk.speech("item_a", None)
    assert names(events) == ["speech_started", "speech_stopped", *TURN]
    assert not talk.asked
    events = talk.text("item_a", "What is the time?")
    assert names(events) == ["completed", "response.created"]
    assert events[-1]["response"]["status"] == "in_progress"
    assert [message["content"] for message in talk.messages] == ["Be brief.", "What is the time?"]
    assert talk.asked[0].voice is not None
    assert talk.asked[0].voice.voice == "alloy"
    events = talk.reply(*spoken("It is noon.", " Or nearly."))
    assert names(events) == [
        "response.output_item.added", "conversation.item.added", "response.content_part.added",
        "response.output_audio_transcript.delta", "response.output_audio.delta",
        "response.output_audio_transcript.delta", "response.output_audio.delta",
        "response.output_audio.done", "response.output_audio_transcript.done", "response.content_part.done",
        "response.output_item.done", "conversation.item.done", "response.done",
    ]  # fmt: skip
    pieces = [base64.b64decode(event["delta"]) for event in events if event["type"] == "response.output_audio.delta"]
    assert {len(piece) for piece in pieces} == {9_600}
    assert len(b"".join(pieces)) == 2 * len(SECOND)
    done = events[-1]["response"]
    assert (done["status"], done["usage"]["total_tokens"]) == ("completed", 12)
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "It is noon. Or nearly."}]
    assert events[1]["previous_item_id"] == "item_a"
    talk.speech("item_b", "Thanks.")
    assert [message["role"] for message in talk.messages] == ["system", "user", "assistant", "user"]


def test_whoever_begins_to_speak_is_listened_to() -> None:
    talk = Talk()
    talk.speech("item_a", "Tell me a story.")
    talk.reply(*spoken("Once upon a time.", " There was a king.")[:-1])
    events = talk.hear("input_audio_buffer.speech_started", "item_b", audio_start_ms=3000)
    assert names(events) == [
        "speech_started", "response.output_audio.done", "response.output_audio_transcript.done",
        "response.content_part.done", "response.output_item.done", "conversation.item.done", "response.done",
    ]  # fmt: skip
    assert events[-1]["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"
    assert talk.stopped == [talk.asked[0].response_id]
    assert talk.reply(Sound(1, SECOND, 2000)) == []
    cut_id = events[-1]["response"]["output"][0]["id"]
    (event,) = talk.send("conversation.item.truncate", item_id=cut_id, content_index=0, audio_end_ms=1000)
    assert event["audio_end_ms"] == 1000
    talk.hear("input_audio_buffer.committed", "item_b")
    talk.text("item_b", "Shorter!")
    assert talk.messages[2]["role"] == "assistant"
    assert str(talk.messages[2]["content"]).startswith("Once upon a time.")
    assert "king" not in str(talk.messages[2]["content"])
    # Beyond what is left of it.
    (event,) = talk.send("conversation.item.truncate", item_id=cut_id, content_index=0, audio_end_ms=60_000)
    assert event["audio_end_ms"] == 1000


def test_a_reply_goes_on_where_nobody_may_interrupt_it() -> None:
    talk = Talk(audio={"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}})
    talk.speech("item_a", "Tell me a story.")
    talk.reply(*spoken("Once upon a time.")[:-1])
    assert names(talk.speech("item_b", "Mm-hmm.")) == ["speech_started", "speech_stopped", *TURN]
    assert talk.stopped == []
    events = talk.reply(ReplyDone("Once upon a time."))
    assert names(events)[-2:] == ["response.done", "response.created"]
    assert [message["content"] for message in talk.messages][-1] == "Mm-hmm."


def test_noise_has_no_answer_and_what_was_not_understood_has_one_that_says_so() -> None:
    talk = Talk()
    assert names(talk.speech("item_a", "")) == ["speech_started", "speech_stopped", *TURN]
    talk.speech("item_b", None)
    error = {"type": "server_error", "code": "engine_crashed", "message": "The engine died."}
    kind = "conversation.item.input_audio_transcription.failed"
    events = talk.hear(kind, "item_b", content_index=0, error=error)
    assert names(events) == ["response.created", "response.done"]
    assert events[-1]["response"]["status_details"]["error"]["message"] == "The engine died."
    assert not talk.asked


def test_two_turns_in_a_row_have_one_answer() -> None:
    talk = Talk()
    talk.speech("item_a", None)
    talk.hear("input_audio_buffer.speech_started", "item_b", audio_start_ms=1500)
    assert talk.text("item_a", "What is") == []
    talk.hear("input_audio_buffer.speech_stopped", "item_b", audio_end_ms=2500)
    talk.hear("input_audio_buffer.committed", "item_b")
    assert names(talk.text("item_b", "the time?")) == ["response.created"]
    assert talk.messages[-1]["content"] == "What is\nthe time?"


def test_a_client_that_commits_asks_for_its_answer_itself() -> None:
    talk = Talk(audio={"input": {"turn_detection": None}})
    talk.session.begin_hearing()
    assert talk.send("input_audio_buffer.commit", event_id="mine") == []
    assert talk.forwarded == [{"type": "input_audio_buffer.commit", "event_id": "mine"}]
    assert names(talk.send("response.create")) == ["response.created"]
    assert not talk.asked
    assert names(talk.hear("input_audio_buffer.committed")) == TURN
    assert talk.text("item_a", "Hello?") == []
    assert talk.messages[-1]["content"] == "Hello?"
    (event,) = talk.send("response.create", event_id="again")
    assert (event["error"]["code"], event["error"]["event_id"]) == (
        "conversation_already_has_active_response", "again",
    )  # fmt: skip


def test_a_text_is_answered_in_text() -> None:
    talk = Talk(output_modalities=["text"], max_output_tokens=50)
    talk.say("Hello")
    talk.send("response.create", response={"metadata": {"client_event_id": "1"}, "instructions": "Rhyme."})
    assert (talk.asked[0].voice, talk.asked[0].request.options) == (None, {"max_tokens": 50})
    assert talk.messages[0]["content"] == "Rhyme."
    events = talk.reply(TextDelta("Hi "), TextDelta("there"), ReplyDone("Hi there", finish_reason="length"))
    assert names(events) == [
        "response.output_item.added", "conversation.item.added", "response.content_part.added",
        "response.output_text.delta", "response.output_text.done", "response.content_part.done",
        "response.output_item.done", "conversation.item.done", "response.done",
    ]  # fmt: skip
    done = events[-1]["response"]
    assert done["metadata"] == {"client_event_id": "1"}
    assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "Hi there"}]


def test_functions_are_called_by_the_client() -> None:
    tool = {"type": "function", "name": "clock", "description": "The time", "parameters": {"type": "object"}}
    talk = Talk(tools=[tool, {"type": "mcp", "server_label": "x"}], tool_choice={"type": "function", "name": "clock"})
    talk.say("What time is it?")
    talk.send("response.create")
    assert talk.asked[0].request.options == {
        "tools": [{"type": "function", "function": {name: tool[name] for name in tool if name != "type"}}],
        "tool_choice": {"type": "function", "function": {"name": "clock"}},
    }
    events = talk.reply(ToolCall("call_1", "clock", "{}"), ReplyDone("", finish_reason="tool_calls"))
    assert names(events) == [
        "response.output_item.added", "conversation.item.added", "response.function_call_arguments.delta",
        "response.function_call_arguments.done", "response.output_item.done", "conversation.item.done",
        "response.done",
    ]  # fmt: skip
    assert events[-1]["response"]["output"][0]["arguments"] == "{}"
    talk.send("conversation.item.create", item={"type": "function_call_output", "call_id": "call_1", "output": "noon"})
    talk.send("response.create")
    call, result = talk.messages[-2:]
    assert (call["role"], result["role"], result["content"]) == ("assistant", "tool", "noon")
    assert result["tool_call_id"] == "call_1"


def test_a_response_beside_the_conversation_leaves_no_trace() -> None:
    talk = Talk()
    first = talk.say("Hello")
    talk.send("response.create")
    inside = talk.asked[-1].response_id
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Sort this."}]}
    references = [{"type": "item_reference", "id": first}, said]
    asked = {"conversation": "none", "output_modalities": ["text"], "instructions": "", "input": references}
    (event,) = talk.send("response.create", response=asked)
    assert event["response"]["conversation_id"] is None
    assert [message["content"] for message in talk.messages] == ["Hello\nSort this."]
    events = talk.reply(TextDelta("sorted"), ReplyDone("sorted"))
    assert not [event for event in events if event["type"].startswith("conversation.")]
    assert talk.take(talk.session.reply(inside, TextDelta("Hi")))
    for _ in range(8):
        talk.send("response.create", response={"conversation": "none"})
    (event,) = talk.send("response.create", response={"conversation": "none"})
    assert event["error"]["code"] == "too_many_responses"


@pytest.mark.parametrize("when", ["waiting", "begun", "owed"])
def test_a_client_cancels_whenever_it_likes(when: str) -> None:
    talk = Talk()
    if when == "owed":
        talk.speech("item_a", None)
    else:
        talk.say("Hello")
        talk.send("response.create")
        if when == "begun":
            talk.reply(*spoken("Hello there.")[:-1])
    events = talk.send("response.cancel")
    assert events[-1]["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert talk.text("item_a", "Hello") == []
    (event,) = talk.send("response.cancel")
    assert event["error"]["code"] == "response_cancel_not_active"
    assert event["error"]["message"].startswith("Cancellation failed")


def test_a_reply_that_fails_says_why_and_the_session_goes_on() -> None:
    talk = Talk()
    for error in (NoLanguageModelError("CHAT_LLM_URL is empty"), UpstreamError("It broke off.")):
        talk.say("Hello")
        talk.send("response.create")
        told = [] if isinstance(error, NoLanguageModelError) else spoken("Well")[:-1]
        events = talk.reply(*told, error)
        assert events[-1]["response"]["status"] == "failed"
        assert events[-1]["response"]["status_details"]["error"]["message"] == error.message
    talk.send("response.create")
    events = talk.reply(TextDelta("Well"), ReplyDone("Well", tts_error=UpstreamError("No voice.")))
    assert events[-1]["response"]["status_details"]["error"]["message"] == "No voice."
    assert events[-1]["response"]["output"][0]["content"][0]["transcript"] == "Well"


def test_a_voice_is_fixed_once_it_was_heard() -> None:
    talk = Talk()
    (event,) = talk.send("session.update", session={"type": "realtime", "audio": {"output": {"voice": {"id": "ash"}}}})
    assert event["session"]["audio"]["output"]["voice"] == "ash"
    talk.say("Hello")
    talk.send("response.create")
    talk.reply(*spoken("Hello."))
    sent = {"type": "realtime", "audio": {"output": {"voice": "echo", "speed": 9}}, "instructions": "", "tools": []}
    (event,) = talk.send("session.update", session=sent)
    assert event["session"]["audio"]["output"] == {
        "format": {"type": "audio/pcm", "rate": 24000}, "voice": "ash", "speed": 1.5,
    }  # fmt: skip
    assert event["session"]["instructions"] == ""
    talk.send("response.create")
    assert talk.messages[0]["role"] == "user"


def test_what_counts_of_what_is_heard_is_what_the_asr_server_says() -> None:
    talk = Talk()
    first = talk.session.begin_hearing()
    assert "create_response" not in json.dumps(first)
    talk.take(talk.session.hear({"type": "session.updated", "session": first["session"]}))
    turns = {"type": "semantic_vad", "eagerness": "high", "interrupt_response": False}
    asked = {"turn_detection": turns, "transcription": {"model": "whisper-1", "language": "de"}}
    assert talk.send("session.update", session={"type": "realtime", "audio": {"input": asked}}) == []
    session = talk.forwarded[-1]["session"]
    assert isinstance(session, dict)
    heard = {**session["audio"]["input"], "transcription": {"model": "tiny.en"}}
    told: Event = {"type": "session.updated", "session": {"type": "transcription", "audio": {"input": heard}}}
    (event,) = talk.take(talk.session.hear(told))
    shown = event["session"]["audio"]["input"]
    assert shown["transcription"] == {"model": "tiny.en"}
    assert shown["turn_detection"] == turns | {"create_response": True}
    assert talk.send("session.update", session={"audio": {"input": {"transcription": None}}}) == []
    (event,) = talk.take(talk.session.hear(told))
    assert event["session"]["audio"]["input"]["transcription"] is None
    assert names(talk.speech("item_a", "Hallo")) == ["speech_started", "speech_stopped", *TURN, "response.created"]


def test_what_the_asr_server_takes_with_it_has_failed() -> None:
    talk = Talk(audio={"input": {"transcription": {"model": "whisper-1"}}})
    talk.session.audio_ms = 2000
    talk.speech("item_a", None)
    events = talk.take(talk.session.lose_hearing(UpstreamError("It broke off.")))
    assert names(events) == ["failed", "response.created", "response.done"]
    talk.hear("input_audio_buffer.speech_started", "item_b", audio_start_ms=100)
    (event,) = talk.take(talk.session.lose_hearing(UpstreamError("It broke off.")))
    assert event["error"]["message"] == "It broke off."
    # Nothing is lost where nobody spoke, and times go on.
    talk.session.begin_hearing()
    assert talk.take(talk.session.lose_hearing(UpstreamError("It broke off."))) == []
    (event, *_) = talk.hear("input_audio_buffer.speech_started", "item_c", audio_start_ms=100)
    assert event["audio_start_ms"] == 2100


def test_items_have_their_places() -> None:
    talk = Talk()
    last = talk.say("two")
    first = talk.say("one", previous_item_id="root")
    talk.say("three", previous_item_id=last)
    item = {"id": "item_x", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "1.5"}]}
    added, _ = talk.send("conversation.item.create", item=item, previous_item_id=first)
    assert added["previous_item_id"] == first
    (event,) = talk.send("conversation.item.create", item=item, event_id="e")
    assert (event["error"]["code"], event["error"]["event_id"]) == ("item_create_duplicate_item_id", "e")
    assert talk.send("conversation.item.retrieve", item_id="item_x")[0]["item"]["content"] == item["content"]
    assert talk.send("conversation.item.delete", item_id=last)[0]["type"] == "conversation.item.deleted"
    for kind in ("retrieve", "delete", "truncate"):
        (event,) = talk.send(f"conversation.item.{kind}", item_id=last, audio_end_ms=1)
        assert event["error"]["code"] == f"item_{kind}_invalid_item_id"
    talk.send("response.create")
    assert [message["content"] for message in talk.messages[1:]] == ["one", "1.5", "three"]


def test_sound_in_an_item_is_understood_before_it_is_answered() -> None:
    talk = Talk(audio={"input": {"format": {"type": "audio/pcmu"}, "transcription": {"model": "whisper-1"}}})
    content = [{"type": "input_audio", "audio": base64.b64encode(b"\xff" * 800).decode()}]
    answer = talk.session.receive(
        read_frame(
            json.dumps(
                {
                    "type": "conversation.item.create",
                    "item": {"id": "item_s", "type": "message", "role": "user", "content": content},
                }
            ),
            (),
        )
    )
    (action,) = answer.actions
    assert isinstance(action, Transcribe)
    assert (action.file[:4], len(action.file)) == (b"RIFF", 844)
    talk.send("response.create")
    assert not talk.asked
    (told,) = talk.take(talk.session.transcribed("item_s", Heard("Hello", duration_s=1.5)))
    assert (told["type"].rpartition(".")[2], told["usage"]["seconds"]) == ("completed", 1.5)
    assert talk.messages[-1]["content"] == "Hello"


WORDS = [
    "server_vad",
    "audio/pcmu",
    "pcm16",
    "de",
    "text",
    "audio",
    "auto",
    "none",
    "inf",
    "function",
    "message",
    "user",
]
WORDS += ["assistant", "input_text", "input_audio", "output_audio", "function_call", "item_reference"]
FIELDS = ["type", "rate", "model", "language", "input", "output", "format", "voice", "speed", "id", "audio", "text"]
FIELDS += ["transcript", "content", "role", "name", "call_id", "instructions", "tools", "tool_choice", "turn_detection"]
FIELDS += ["max_output_tokens", "output_modalities", "modalities", "transcription", "conversation", "metadata"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=12,
)
PLACES = {"session.update": "session", "conversation.item.create": "item", "response.create": "response"}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from([*PLACES]), JSON), max_size=4))
def test_whatever_is_sent_the_next_turn_is_answered(sent: list[tuple[str, object]]) -> None:
    talk = Talk()
    for kind, value in sent:
        answer = talk.session.receive(ClientEvent(kind, {PLACES[kind]: value}))
        formats = [event["session"]["audio"]["input"]["format"] for event in answer.events if "session" in event]  # type: ignore[index]
        if not any(written.get("rate", 24_000) != 24_000 for written in formats):  # other rates are an extension
            talk.take(answer)
        for action in answer.actions:
            if isinstance(action, Transcribe):
                talk.take(talk.session.transcribed(action.item_id, Heard("Sound.")))
    talk.send("session.update", session={"audio": {"input": {"turn_detection": {"type": "server_vad"}}}})
    talk.send("response.cancel")
    assert names(talk.speech("item_last", "Hello"))[-1] == "response.created"
    assert str(talk.messages[-1]["content"]).endswith("Hello")


@pytest.mark.parametrize(
    "frame",
    ['{"type": 7}', "[]", "{", '{"type": "no.such"}', '{"type": "session.update"}', '{"type": "session.update", '
     '"session": {"type": "transcription"}}', '{"type": "conversation.item.create"}',
     '{"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [{"type": "x"}]}}',
     '{"type": "conversation.item.create", "item": {"type": "function_call_output"}}',
     '{"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [{"type": '
     '"input_audio", "audio": "?"}]}}', '{"type": "conversation.item.truncate", "item_id": []}',
     '{"type": "response.create", "response": {"input": [7]}}', '{"type": "response.cancel", "response_id": "x"}',
     '{"type": "input_audio_buffer.commit"}'],
)  # fmt: skip
def test_what_nobody_should_send_is_an_error_and_no_end(frame: str) -> None:
    talk = Talk()
    (event,) = talk.take(talk.session.receive(read_frame(frame, ())))
    assert event["type"] == "error"
    talk.say("Hello")
    assert names(talk.send("response.create", response={"tools": 7, "voice": [], "audio": "x", "metadata": 7})) == [
        "response.created"
    ]
