"""What language models' servers send, each in its own way, and what it says: text, thoughts, calls of tools, an end."""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from voice_stack.language_model.reasoning import ReasoningFilter

_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Where several are sent they say the same."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks the client to run a tool; `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ModelDelta:
    """What a model has said further.

    Attributes:
        content: Visible text.
        reasoning: Thoughts, whether the server tells them apart or the model writes them into its text.
        tool_calls: Whole ones; all come with the last delta.
        finish_reason: Of the last delta, and of that alone: `stop`, `length`, `tool_calls`, `content_filter`.
        usage: Tokens, with the last delta; empty where the server does not count.
    """

    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    usage: Mapping[str, object] = field(default_factory=dict)


@dataclass
class _Call:
    index: object
    id: str
    name: str = ""
    arguments: str = ""


class DeltaReader:
    """Reads the chunks of one answer, or the answer that came in one piece.

    Args:
        opens: See `ReasoningFilter`; a server that tells thoughts in a field of their own writes none into the text.
    """

    def __init__(self, *, opens: bool = False) -> None:
        self._filter = ReasoningFilter(opens=opens)
        self._has_text = False
        self._calls: list[_Call] = []
        self._finish_reason: str | None = None
        self._usage: Mapping[str, object] = {}

    @property
    def is_finished(self) -> bool:
        """Whether the model has said why it ends."""
        return self._finish_reason is not None

    def read(self, chunk: Mapping[str, object]) -> ModelDelta:
        """Read a chunk; what it says of calls, the end and usage comes with `end`."""
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = usage
        said = thought = ""
        for choice in _objects(chunk.get("choices")):
            if choice.get("index", 0) not in (0, None):
                continue
            if isinstance(reason := choice.get("finish_reason"), str) and reason:
                self._finish_reason = reason
            for delta in _objects([choice.get("delta") or choice.get("message")]):
                more_said, more_thought = self._read_delta(delta)
                said, thought = said + more_said, thought + more_thought
        return ModelDelta(said, thought)

    def end(self) -> ModelDelta:
        """The last delta."""
        said, thought = self._filter.end()
        calls = tuple(
            ToolCall(call.id or f"call_{uuid.uuid4().hex}", call.name, call.arguments or "{}") for call in self._calls
        )
        reason = self._finish_reason or "stop"
        return ModelDelta(said, thought, calls, "tool_calls" if calls and reason == "stop" else reason, self._usage)

    def _read_delta(self, delta: Mapping[str, object]) -> tuple[str, str]:
        for piece in _objects(delta.get("tool_calls")):
            self._add_call(piece)
        content, thought = _parts_of(delta.get("content"))
        thought += next((told for name in _THOUGHT_FIELDS if isinstance(told := delta.get(name), str) and told), "")
        if isinstance(refusal := delta.get("refusal"), str):
            content += refusal
        if thought and not self._has_text:
            self._filter = ReasoningFilter()
        if not content:
            return "", thought
        self._has_text = True
        said, written = self._filter.feed(content)
        return said, thought + written

    def _add_call(self, piece: Mapping[str, object]) -> None:
        """Join a piece to its call; some servers give no index, or the same to all, or an id to each piece."""
        function = next(_objects([piece.get("function")]), {})
        index, call_id, name = piece.get("index"), _text(piece.get("id")), _text(function.get("name"))
        call = next((call for call in reversed(self._calls) if index is None or index == call.index), None)
        is_other = call is not None and ((call_id and call.id and call_id != call.id) or (index is None and name))
        if call is None or is_other:
            call = _Call(index, call_id)
            self._calls.append(call)
        call.id, call.name = call.id or call_id, call.name or name
        arguments = function.get("arguments")
        call.arguments += json.dumps(arguments, ensure_ascii=False) if isinstance(arguments, dict) else _text(arguments)


def _objects(values: object) -> Iterator[Mapping[str, object]]:
    yield from (value for value in values if isinstance(value, dict)) if isinstance(values, list) else ()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _parts_of(content: object) -> tuple[str, str]:
    """What is said and what is thought in a text, or in a list of parts as Mistral writes it."""
    if not isinstance(content, list):
        return _text(content), ""
    said = thought = ""
    for part in _objects(content):
        if "thinking" in part:
            thought += "".join(_parts_of(part["thinking"]))
        else:
            said += _text(part.get("text"))
    return said, thought
