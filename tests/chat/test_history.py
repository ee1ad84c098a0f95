"""What a language model is sent of a conversation."""

from collections.abc import Mapping

from chat.talking import CALL
from voice_stack.chat.conversation import Message, MessageStatus, Role
from voice_stack.chat.history import messages_for_model

CALLS: tuple[Mapping[str, object], ...] = ({**CALL, "id": "a"}, {**CALL, "id": "b"})


def message(role: Role, text: str, status: MessageStatus = "completed", **fields: object) -> Message:
    calls, call = fields.get("calls"), fields.get("call")
    assert isinstance(calls, tuple | None)
    return Message("m", "s", 0.0, role, text, "thought", status, calls or (), str(call) if call else None)


def sent(*kept: Message) -> list[tuple[object, object]]:
    return [(one["role"], one["content"]) for one in messages_for_model("", kept)]


def test_what_nobody_said_is_left_out_and_neighbours_are_one() -> None:
    kept = (
        message("user", "One"),
        message("assistant", " ", "interrupted"),
        message("user", "Two"),
        message("assistant", "I was", "interrupted"),
        message("assistant", "going", "in_progress"),
        message("user", "Three"),
        message("assistant", "Done", "failed"),
    )
    expected = [("user", "One\nTwo"), ("assistant", "I was—"), ("user", "Three"), ("assistant", "Done—")]
    assert sent(*kept) == expected
    assert messages_for_model("Be brief.", kept[:1])[0] == {"role": "system", "content": "Be brief."}


def test_calls_go_with_all_their_results_in_order_or_not_at_all() -> None:
    question, call = message("user", "Light!"), message("assistant", "Wait.", calls=CALLS)
    first, second = message("tool", "1", call="a"), message("tool", "2", call="b")
    whole = messages_for_model("", [question, call, second, first])
    assert [one.get("tool_call_id") for one in whole] == [None, None, "a", "b"]
    assert whole[1]["tool_calls"] == [*CALLS]
    half = messages_for_model("", [question, call, second, message("user", "Well?")])
    assert half[1:] == [{"role": "assistant", "content": "Wait."}, {"role": "user", "content": "Well?"}]


def test_of_a_long_conversation_the_end_is_sent_and_begins_with_the_user() -> None:
    kept = [message("user" if number % 2 == 0 else "assistant", f"{number}") for number in range(101)]
    assert [content for _, content in sent(*kept)] == [f"{number}" for number in range(42, 101)]
    large = [message("user", "a" * 9000), message("assistant", "b" * 9000), message("user", "c" * 9000)]
    assert sent(*large) == [("user", "c" * 9000)]
    assert sent(message("user", "a" * 50_000)) == [("user", "a" * 50_000)]
