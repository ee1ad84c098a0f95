"""What a language model is sent of a conversation: as much of its end as fits, in the form that all models take."""

from collections.abc import Mapping, Sequence

from voice_stack.chat.conversation import Message
from voice_stack.language_model.model import ChatMessage

MAX_MESSAGES = 60
MAX_CHARACTERS = 24_000
"""About 6,000 tokens: models at home have a context of 8,000, and the reply is to fit in it, too."""
BROKEN_OFF = "\N{EM DASH}"
"""Ends a reply that was interrupted: a model takes it for what it is, and should it write one, nobody hears it."""
_Group = list[dict[str, object]]
"""Messages that go together or not at all: one of plain text, or calls of tools with all their results."""


def messages_for_model(system: str, kept: Sequence[Message]) -> list[ChatMessage]:
    """The messages of a request.

    Left out are empty messages, thoughts, replies that are being written, calls of tools without all their results, and
    the beginning of a conversation that is longer than 60 messages or 24,000 characters. Neighbours of one role become
    one message: some models refuse them.

    Args:
        system: What comes first; empty: nothing.
        kept: The conversation, oldest first.
    """
    messages = [message for group in _fitting(_merge(_groups(kept))) for message in group]
    return [{"role": "system", "content": system}, *messages] if system else [*messages]


def open_calls(kept: Sequence[Message]) -> dict[str, str]:
    """The calls of tools that the last reply waits for: their ids, and the names of the tools."""
    called, answered = dict[str, str](), set[str]()
    for message in reversed(kept):
        if message.role == "tool":
            answered.add(message.tool_call_id or "")
            continue
        called = _call_names(message) if message.status == "completed" else {}
        break
    return {call: name for call, name in called.items() if call not in answered}


def count_rounds(kept: Sequence[Message]) -> int:
    """How often tools were called since the user spoke last."""
    rounds = 0
    for message in reversed(kept):
        if message.role == "user":
            break
        rounds += bool(message.tool_calls)
    return rounds


def _call_names(message: Message) -> dict[str, str]:
    names = dict[str, str]()
    for call in message.tool_calls:
        function = call.get("function")
        names[str(call.get("id"))] = str(function.get("name")) if isinstance(function, Mapping) else ""
    return names


def _groups(kept: Sequence[Message]) -> list[_Group]:
    groups, at = list[_Group](), 0
    while at < len(kept):
        message, at = kept[at], at + 1
        if message.role == "tool" or message.status == "in_progress":
            continue
        results = dict[str | None, Message]()
        while message.tool_calls and at < len(kept) and kept[at].role == "tool":
            results[kept[at].tool_call_id] = kept[at]
            at += 1
        names = _call_names(message)
        if names and names.keys() <= results.keys():
            group: _Group = [
                {"role": "assistant", "content": message.text or None, "tool_calls": [*message.tool_calls]}
            ]
            group += [{"role": "tool", "tool_call_id": name, "content": results[name].text} for name in names]
            groups.append(group)
        elif text := _text_of(message):
            groups.append([{"role": message.role, "content": text}])
    return groups


def _text_of(message: Message) -> str:
    text = message.text.strip()
    return text + BROKEN_OFF if text and message.status in {"interrupted", "failed"} else text


def _merge(groups: Sequence[_Group]) -> list[_Group]:
    merged = list[_Group]()
    for group in groups:
        before = merged[-1] if merged else []
        if len(before) == len(group) == 1 and before[0]["role"] == group[0]["role"]:
            before[0]["content"] = f"{before[0]['content']}\n{group[0]['content']}"
        else:
            merged.append(group)
    return merged


def _fitting(groups: Sequence[_Group]) -> Sequence[_Group]:
    """The last groups that fit, but always one; where some are left out the rest begins with the user's."""
    messages = characters = 0
    for number, group in enumerate(reversed(groups)):
        messages += len(group)
        characters += sum(len(str(message["content"])) + len(str(message.get("tool_calls", ""))) for message in group)
        if number and (messages > MAX_MESSAGES or characters > MAX_CHARACTERS):
            rest = list(groups[-number:])
            while len(rest) > 1 and rest[0][0]["role"] != "user":
                del rest[0]
            return rest
    return groups
