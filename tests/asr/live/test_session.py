"""A transcription session of OpenAI's Realtime wire, event by event."""

import json
from dataclasses import replace

import psutil
import pytest

from asr.live.sessions import BASE, NOW_S, append, check, final, kinds, send, start, update, update_sound
from voice_stack.asr.live.dialogue import LiveOutput
from voice_stack.asr.live.session import MAX_ITEMS, RealtimeSession
from voice_stack.asr.live.turns import (
    Change,
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
from voice_stack.core.http.realtime import read_frame

ADDED = ["committed", "conversation.item.added", "conversation.item.done"]


def tell(session: RealtimeSession, *told: LiveOutput) -> list[dict[str, object]]:
    return [event for one in told for event in check(session.tell(one))]


def hear(session: RealtimeSession, turn: int, text: str, *, at_s: float = 0.0) -> list[dict[str, object]]:
    """A turn of one second with everything that is told of it."""
    told = (SpeechStarted(turn, at_s), SpeechStopped(turn, at_s + 1), TurnClosed(turn, at_s, at_s + 1))
    return tell(session, *told, final(turn, text))


def listening(**settings: object) -> RealtimeSession:
    session = start(settings)
    append(session, bytes(48_000))
    return session


def test_a_session_is_told_at_once_and_how_long_it_lasts() -> None:
    (event,) = check(start().open())
    assert event["session"] == {
        "id": event["session"]["id"],
        "object": "realtime.transcription_session",
        "type": "transcription",
        "expires_at": int(NOW_S) + 3600,
        "include": None,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "noise_reduction": None,
                "transcription": {"model": "base"},
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "idle_timeout_ms": None,
                },
            }
        },
    }
    assert str(event["session"]["id"]).startswith("sess_")


def test_a_turn_has_its_events_in_order_and_one_item() -> None:
    session = listening()
    events = tell(
        session,
        SpeechStarted(0, 0.2),
        TurnDraft(0, "Hello"),
        TurnDraft(0, "Hello there,"),
        SpeechStopped(0, 1.7),
        TurnClosed(0, 0.2, 1.7),
        final(0, " Hello there, world."),
    )
    assert kinds(events) == ["speech_started", "delta", "delta", "speech_stopped", *ADDED, "delta", "completed"]
    assert events[0]["audio_start_ms"] == 200
    assert events[3]["audio_end_ms"] == 1700
    items = {event.get("item_id") or event["item"]["id"] for event in events}
    assert len(items) == 1
    assert items.pop().startswith("item_")
    assert [event["delta"] for event in events if "delta" in event] == ["Hello", " there,", " world."]
    assert {event["content_index"] for event in events if "delta" in event} == {0}
    assert events[-1] == {
        "type": "conversation.item.input_audio_transcription.completed",
        "event_id": events[-1]["event_id"],
        "item_id": events[0]["item_id"],
        "content_index": 0,
        "transcript": "Hello there, world.",
        "usage": {"type": "duration", "seconds": 1.5},
        "logprobs": None,
        "languages": [{"code": "en"}],
    }
    item = {"id": events[0]["item_id"], "object": "realtime.item", "type": "message", "status": "completed"}
    item |= {"role": "user", "content": [{"type": "input_audio"}]}
    assert (events[5]["item"], events[5]["previous_item_id"]) == (item, None)


def test_items_follow_each_other_and_complete_in_any_order() -> None:
    session = listening()
    first = tell(session, SpeechStarted(0, 0), SpeechStopped(0, 1), TurnClosed(0, 0, 1))
    second = tell(session, SpeechStarted(1, 2), SpeechStopped(1, 3), TurnClosed(1, 2, 3))
    assert [event["previous_item_id"] for event in second[2:]] == [first[0]["item_id"]] * 3
    done = tell(session, final(1, "second"), final(0, "first"))
    assert [(event["item_id"], event["transcript"]) for event in done if "transcript" in event] == [
        (second[0]["item_id"], "second"),
        (first[0]["item_id"], "first"),
    ]


def test_twenty_turns_one_of_which_fails_leave_the_session_as_it_was() -> None:
    session = listening()
    for turn in range(20):
        at_s = turn * 2.0
        if turn == 7:
            tell(session, SpeechStarted(turn, at_s), TurnDraft(turn, "so"))
            assert kinds(tell(session, Cleared(turn))) == ["speech_stopped", "failed"]
        else:
            assert kinds(hear(session, turn, f"turn {turn}", at_s=at_s))[-1] == "completed"
    assert "create_response" not in json.dumps(update(session)[0])


def test_deltas_are_never_taken_back_nor_said_twice() -> None:
    session = listening()
    drafts = [TurnDraft(0, text) for text in ("I scream", "I", "Ice cream", "I scream", "I scream for")]
    events = tell(session, SpeechStarted(0, 0), *drafts)
    assert [event["delta"] for event in events if "delta" in event] == ["I scream", " for"]
    # A crashed engine begins the turn again, and hears something else.
    events = tell(session, SpeechStarted(0, 0), TurnDraft(0, "Ice"), TurnDraft(0, "I scream for you"))
    assert [event["delta"] for event in events] == [" you"]
    events = tell(session, SpeechStopped(0, 1), TurnClosed(0, 0, 1), final(0, "Ice cream for you."))
    assert kinds(events) == ["speech_stopped", *ADDED, "completed"]
    assert events[-1]["transcript"] == "Ice cream for you."


def test_a_window_that_comes_again_after_a_crash_is_written_once() -> None:
    session = listening(audio={"input": {"turn_detection": None}})
    told = final(0, " One,", is_last=False)
    window = replace(told, window=replace(told.window, heard_s=1.0))
    (segment,) = told.window.segments
    again = replace(window, window=replace(window.window, segments=(replace(segment, start_s=0.02, end_s=1.02),)))
    later = final(0, " two.")
    (segment,) = later.window.segments
    rest = replace(later, window=replace(later.window, segments=(replace(segment, start_s=1.0, end_s=2.0),)))
    events = tell(session, window, again, TurnClosed(0, 0.0, 2.0), rest)
    assert events[-1]["transcript"] == "One, two."


def test_a_long_turn_has_several_texts_and_is_complete_once() -> None:
    session = listening(audio={"input": {"turn_detection": None}})
    early = tell(session, final(0, " One,", " two,", is_last=False), TurnDraft(0, "One, two, three"))
    assert [event["delta"] for event in early] == ["One, two,", " three"]
    rest = tell(session, TurnClosed(0, 0.0, 40.0), final(0, " three."))
    assert kinds(rest) == [*ADDED, "delta", "completed"]
    assert rest[-1]["transcript"] == "One, two, three."
    assert tell(session, final(0, "again"), TurnDraft(0, "One, two, three. Four"), SpeechStarted(0, 0)) == []


def test_silence_has_an_empty_text_and_never_an_old_one() -> None:
    session = listening()
    assert hear(session, 0, " Hello.")[-1]["transcript"] == "Hello."
    events = hear(session, 1, "", at_s=2)
    assert kinds(events) == ["speech_started", "speech_stopped", *ADDED, "completed"]
    assert events[-1]["transcript"] == ""
    assert hear(session, 2, " Bye.", at_s=4)[-1]["transcript"] == "Bye."


def test_a_final_text_before_the_end_of_its_turn_waits_for_it() -> None:
    session = listening()
    assert kinds(tell(session, SpeechStarted(0, 0), final(0, "Yes."))) == ["speech_started", "delta"]
    assert kinds(tell(session, TurnClosed(0, 0, 1))) == ["speech_stopped", *ADDED, "completed"]


def test_a_cleared_turn_ends_for_whoever_was_told_that_it_began() -> None:
    session = listening()
    quiet = tell(session, Cleared(0))
    assert quiet == []
    events = tell(session, SpeechStarted(0, 0.1), Cleared(0))
    assert kinds(events) == ["speech_started", "speech_stopped"]
    assert events[1]["audio_end_ms"] == 1000
    events = tell(session, SpeechStarted(1, 0.1), TurnDraft(1, "Uh"), SpeechStopped(1, 0.5), Cleared(1))
    assert kinds(events) == ["speech_started", "delta", "speech_stopped", "failed"]
    assert (events[-1]["item_id"], events[-1]["error"]["code"]) == (events[0]["item_id"], "input_audio_buffer_cleared")
    assert session.take_heard() == ([], 0)
    assert tell(session, final(1, "Uh"), SpeechStarted(1, 0.1)) == []


def test_a_turn_that_fails_in_its_last_sample_is_told_of_once() -> None:
    session = listening(audio={"input": {"turn_detection": None}})
    append(session, bytes(2))
    send(session, "input_audio_buffer.commit")
    tell(session, TurnClosed(0, 0.0, 1.0))  # a third of a sample less than was sent, at the engine's rate
    assert kinds(check(session.fail(EngineCrashedError("it died")))) == ["failed"]


def test_a_commit_of_the_client_makes_an_item() -> None:
    session = listening(audio={"input": {"turn_detection": None}})
    assert send(session, "input_audio_buffer.commit", event_id="mine") == ([], [Commit()])
    events = tell(session, SpeechStarted(0, 0), TurnClosed(0, 0, 1), SpeechStopped(0, 1), final(0, "Well."))
    # Who turned the detection off is told nothing of it.
    assert kinds(events) == [*ADDED, "delta", "completed"]


def test_a_commit_of_nothing_is_refused_by_name_and_the_session_goes_on() -> None:
    session = start()
    (error,), pieces = send(session, "input_audio_buffer.commit", event_id="early")
    assert (error["error"]["code"], error["error"]["event_id"], pieces) == (
        "input_audio_buffer_commit_empty",
        "early",
        [],
    )
    append(session, bytes(48_000))
    # The detector ends the turn, and then comes the client's commit.
    tell(session, SpeechStarted(0, 0), SpeechStopped(0, 1), TurnClosed(0, 0, 1))
    send(session, "input_audio_buffer.commit", event_id="late")
    (error,) = tell(session, NothingToCommit())
    assert error["error"] == {
        "type": "invalid_request_error",
        "code": "input_audio_buffer_commit_empty",
        "message": "Nothing was committed: there are less than 100 ms of audio since the last turn.",
        "param": None,
        "event_id": "late",
    }
    assert tell(session, NothingToCommit()) == []
    assert kinds(tell(session, final(0, "Hm."))) == ["delta", "completed"]


def test_two_commits_name_the_one_that_was_empty() -> None:
    session = listening()
    send(session, "input_audio_buffer.commit", event_id="first")
    send(session, "input_audio_buffer.commit", event_id="second")
    assert kinds(tell(session, SpeechStarted(0, 0), TurnClosed(0, 0, 1))) == [
        "speech_started",
        "speech_stopped",
        *ADDED,
    ]
    (error,) = tell(session, NothingToCommit())
    assert error["error"]["event_id"] == "second"


def test_what_is_cleared_is_told_and_has_no_text() -> None:
    session = start()
    assert kinds(send(session, "input_audio_buffer.clear")[0]) == ["cleared"]
    append(session, bytes(48_000))
    assert send(session, "input_audio_buffer.clear") == ([], [Clear()])
    assert kinds(tell(session, SpeechStarted(0, 0), Cleared(0))) == ["speech_started", "speech_stopped", "cleared"]
    send(session, "input_audio_buffer.clear")
    assert kinds(tell(session, Cleared(None), Cleared(None))) == ["cleared"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 960, 4801, 48_000])
def test_sound_comes_through_whole_however_it_is_cut(size: int) -> None:
    session, sound = start(), bytes(range(256)) * 20
    pieces = [piece for at in range(0, len(sound), size) for piece in append(session, sound[at : at + size])]
    assert all(isinstance(piece, LiveSound) and len(piece.data) % 2 == 0 for piece in pieces)
    assert b"".join(piece.data for piece in pieces if isinstance(piece, LiveSound)) == sound
    assert session.audio_s == pytest.approx(len(sound) / 48_000)


def test_half_a_sample_is_not_mixed_into_another_format() -> None:
    session = listening()
    append(session, b"\1\2\3")
    update_sound(session, format={"type": "audio/pcmu"})
    assert append(session, b"\4\5\6") == [LiveSound(b"\4\5\6")]
    assert session.audio_s == pytest.approx(1.0 + 1 / 24_000 + 3 / 8000)


def test_a_million_empty_appends_cost_nothing() -> None:
    session, event = listening(), read_frame('{"type":"input_audio_buffer.append","audio":""}', ())
    before = psutil.Process().memory_info().rss
    for _ in range(1_000_000):
        session.receive(event)
    assert psutil.Process().memory_info().rss - before < 4 << 20


@pytest.mark.parametrize(
    ("frame", "code", "param"),
    [
        ("", "invalid_event", None),
        ("nonsense", "invalid_event", None),
        ("NaN", "invalid_event", None),
        ('"\\ud800"', "invalid_event", None),
        ("\ud800", "invalid_event", None),
        ("[" * 100_000, "invalid_event", None),
        ('{"type": "session.update", "event_id": "a", "n": ' + "9" * 5000 + "}", "invalid_event", None),
        ("[]", "invalid_event", "type"),
        ("{}", "invalid_event", "type"),
        ('{"type": 7}', "invalid_event", "type"),
        ('{"type": "response.create"}', "invalid_event", "type"),
        ('{"type": "conversation.item.create", "item": {}}', "invalid_event", "type"),
        ('{"type": "input_audio_buffer.append"}', "invalid_value", "audio"),
        ('{"type": "input_audio_buffer.append", "audio": null}', "invalid_value", "audio"),
        ('{"type": "input_audio_buffer.append", "audio": "AAA"}', "invalid_value", "audio"),
        ('{"type": "input_audio_buffer.append", "audio": "A*AA"}', "invalid_value", "audio"),
        ('{"type": "input_audio_buffer.append", "audio": "\\u00e4"}', "invalid_value", "audio"),
        ('{"type": "session.update"}', "invalid_value", "session"),
        ('{"type": "session.update", "session": []}', "invalid_value", "session"),
        ('{"type": "session.update", "session": {"type": "translation"}}', "invalid_parameter", "session.type"),
        ('{"type": "session.update", "session": {"type": []}}', "invalid_parameter", "session.type"),
        ('{"type": "conversation.item.retrieve"}', "item_retrieve_invalid_item_id", "item_id"),
        ('{"type": "conversation.item.retrieve", "item_id": {}}', "item_retrieve_invalid_item_id", "item_id"),
        ('{"type": "conversation.item.delete", "item_id": "item_1"}', "item_delete_invalid_item_id", "item_id"),
    ],
)
def test_what_cannot_be_understood_is_an_error_and_no_more(frame: str, code: str, param: str | None) -> None:
    session = listening()
    events, pieces = session.receive(frame)
    (error,) = check(events)
    told = error["error"]
    assert isinstance(told, dict)
    assert (told["type"], told["code"], told["param"], pieces) == ("invalid_request_error", code, param, [])
    assert len(str(told["message"])) < 400
    assert kinds(hear(session, 0, "on"))[-1] == "completed"


def test_the_name_of_an_event_comes_back_with_its_error() -> None:
    session = start()
    (error,), _ = send(session, "nothing", event_id="mine")
    assert error["error"]["event_id"] == "mine"
    for name in ("x" * 513, 7, None, ["a"]):
        (error,), _ = send(session, "nothing", event_id=name)
        assert error["error"]["event_id"] is None


def test_base64_in_lines_is_sound() -> None:
    session = start()
    assert send(session, "input_audio_buffer.append", audio="AQ\nID\r\nBA==")[1] == [LiveSound(b"\1\2\3\4")]


def test_items_are_fetched_and_deleted() -> None:
    session = listening()
    item_id = hear(session, 0, " Hi.")[0]["item_id"]
    (event,), _ = send(session, "conversation.item.retrieve", item_id=item_id)
    assert event["item"]["content"] == [{"type": "input_audio", "transcript": "Hi."}]
    (event,), _ = send(session, "conversation.item.delete", item_id=item_id)
    assert (event["type"], event["item_id"]) == ("conversation.item.deleted", item_id)
    assert kinds(send(session, "conversation.item.delete", item_id=item_id)[0]) == ["error"]
    # Nothing is before the next one now.
    assert hear(session, 1, "Ho.", at_s=2)[3]["previous_item_id"] is None


def test_a_deleted_item_still_completes() -> None:
    session = listening()
    item_id = tell(session, SpeechStarted(0, 0), SpeechStopped(0, 1), TurnClosed(0, 0, 1))[0]["item_id"]
    send(session, "conversation.item.delete", item_id=item_id)
    assert kinds(tell(session, final(0, "Still."))) == ["delta", "completed"]
    assert kinds(send(session, "conversation.item.retrieve", item_id=item_id)[0]) == ["error"]


def test_old_items_are_forgotten() -> None:
    session = listening()
    ids = [hear(session, turn, "x", at_s=turn)[0]["item_id"] for turn in range(MAX_ITEMS + 1)]
    assert kinds(send(session, "conversation.item.retrieve", item_id=ids[0])[0]) == ["error"]
    assert kinds(send(session, "conversation.item.retrieve", item_id=ids[1])[0]) == ["conversation.item.retrieved"]


def test_a_failed_engine_fails_the_items_that_wait_and_the_next_sound_begins_anew() -> None:
    session = listening()
    item_id = tell(session, SpeechStarted(0, 0), SpeechStopped(0, 1), TurnClosed(0, 0, 1))[0]["item_id"]
    (event,) = check(session.fail(EngineCrashedError("it died")))
    assert (event["item_id"], event["error"]) == (
        item_id,
        {"type": "server_error", "code": "engine_crashed", "message": "it died"},
    )
    # Another transcription counts from 0; for the client time goes on.
    assert append(session, bytes(48_000)) == [LiveSound(bytes(48_000))]
    events = hear(session, 0, "Again.", at_s=0.25)
    assert (kinds(events)[-1], events[0]["audio_start_ms"]) == ("completed", 1250)
    assert events[0]["item_id"] != item_id


def test_sound_that_is_lost_with_an_engine_is_told_of() -> None:
    session = listening()
    tell(session, SpeechStarted(0, 0), TurnDraft(0, "I was"))
    assert kinds(check(session.fail(EngineCrashedError("it died")))) == ["speech_stopped", "failed", "error"]
    session = listening(audio={"input": {"turn_detection": None}})
    send(session, "input_audio_buffer.clear")
    send(session, "input_audio_buffer.commit", event_id="mine")
    events = check(session.fail(EngineCrashedError("it died")))
    assert kinds(events) == ["error", "cleared"]
    assert events[0]["error"]["event_id"] == "mine"


def test_a_beta_client_hears_the_names_it_knows() -> None:
    session = start(is_beta=True)
    (created,) = session.open()
    assert created["type"] == "transcription_session.created"
    events, _ = session.receive(
        json.dumps(
            {
                "type": "transcription_session.update",
                "session": {
                    "input_audio_format": "g711_ulaw",
                    "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "de", "prompt": "Hallo"},
                    "turn_detection": {"type": "server_vad", "silence_duration_ms": 700},
                    "input_audio_noise_reduction": {"type": "near_field"},
                    "include": ["item.input_audio_transcription.logprobs"],
                },
            }
        )
    )
    assert [event["type"] for event in events] == ["transcription_session.updated"]
    shown = events[0]["session"]
    assert isinstance(shown, dict)
    assert {name: shown[name] for name in shown if name not in {"id", "expires_at", "object", "client_secret"}} == {
        "include": ["item.input_audio_transcription.logprobs"],
        "input_audio_format": "g711_ulaw",
        "input_audio_noise_reduction": {"type": "near_field"},
        "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "de", "prompt": "Hallo"},
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 700,
            "idle_timeout_ms": None,
        },
    }
    append(session, bytes(8000))
    added = [*session.tell(TurnClosed(0, 0, 1)), *session.tell(final(0, "Hallo."))]
    assert kinds(added) == ["committed", "conversation.item.created", "delta", "completed"]


def test_only_a_transcription_that_runs_is_told_of_changes() -> None:
    session = start()
    assert update(session, audio={"input": {"transcription": {"language": "fr"}}})[1] == []
    assert session.request.decode.language == "fr"
    append(session, bytes(4800))
    assert update(session, audio={"input": {"transcription": {"language": "fr"}}})[1] == []
    (change,) = update(session, audio={"input": {"turn_detection": None}})[1]
    assert isinstance(change, Change)
    assert (change.request.rules.kind, change.request.decode.language) == ("none", "fr")
    assert change.request.decode.beam_size == BASE.decode.beam_size


def test_the_model_cannot_change_while_it_hears() -> None:
    session = start()
    assert update_sound(session, transcription={"model": "tiny.en"})["transcription"] == {"model": "tiny.en"}
    append(session, bytes(4800))
    assert update_sound(session, transcription={"model": "base"})["transcription"] == {"model": "tiny.en"}
    session.fail(EngineCrashedError("it died"))
    assert update_sound(session, transcription={"model": "base"})["transcription"] == {"model": "base"}


def test_logprobs_are_told_to_who_asks_for_them() -> None:
    session = listening(include=["item.input_audio_transcription.logprobs"])
    assert session.request.decode.token_logprobs
    told = tell(session, TurnClosed(0, 0, 1), final(0, "a", tokens=2))[-1]
    assert told["logprobs"] == [{"token": "a", "bytes": [97], "logprob": -0.5}] * 2
    # More than a client's longest message has room for.
    assert tell(session, TurnClosed(1, 1, 2), final(1, "a", tokens=9_000))[-1]["logprobs"] is None
