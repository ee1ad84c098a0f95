"""Sessions to try, and what their events are held against: the types of OpenAI's own SDK."""

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from voice_stack.asr.live.dialogue import Piece
from voice_stack.asr.live.session import RealtimeSession
from voice_stack.asr.live.turns import LiveRequest, TurnText
from voice_stack.asr.live.wire import ModelChoice, SessionSettings
from voice_stack.asr.models import ASR_CATALOGUE, DEFAULT_MODEL_NAMES, ENGINE, capabilities_of
from voice_stack.asr.request import DecodeOptions, WindowText
from voice_stack.asr.transcript import Segment, TokenLogprob
from voice_stack.core.http.realtime import Event
from voice_stack.core.models.store import ModelNames, ModelStore

NOW_S = 1_800_000_000.0
STORE = ModelStore(ASR_CATALOGUE, Path("/nonexistent"), offline=True)
NAMES = ModelNames(STORE, "base", DEFAULT_MODEL_NAMES)
CHOICE = ModelChoice("base", NAMES.resolve, lambda model: capabilities_of(ENGINE, STORE.find(model)))
BASE = LiveRequest(DecodeOptions(beam_size=3))

_TYPES: dict[str, TypeAdapter[Any]] = {
    get_args(member.model_fields["type"].annotation)[0]: TypeAdapter(member)
    for member in get_args(get_args(RealtimeServerEvent)[0])
}
"""By the type of the event: what has it must have all of its fields."""
_WITHOUT_NULL = ("item", "error")


def start(settings: Mapping[str, object] | None = None, *, is_beta: bool = False) -> RealtimeSession:
    return RealtimeSession(CHOICE, BASE, SessionSettings().changed(settings or {}), NOW_S, is_beta=is_beta)


def check(events: Iterable[Event]) -> list[Event]:
    """The events, each of which an SDK takes."""
    events = list(events)
    for event in events:
        sent = json.loads(json.dumps(event, allow_nan=False))
        _TYPES[sent["type"]].validate_python(sent)
        assert sent["event_id"].startswith("event_")
        if sent["type"] != "error":
            assert not [name for name in _WITHOUT_NULL if holds_null(sent.get(name))], sent
    return events


def holds_null(value: object) -> bool:
    """Whether null stands anywhere in it, which JavaScript's agents refuse, but for the transcript of sound."""
    if isinstance(value, dict):
        return any((part is None and name != "transcript") or holds_null(part) for name, part in value.items())
    return isinstance(value, list) and any(map(holds_null, value))


def send(session: RealtimeSession, kind: str, /, **fields: object) -> tuple[list[Event], list[Piece]]:
    answer = session.receive(json.dumps({"type": kind, **fields}))
    return check(answer.events), answer.pieces


def append(session: RealtimeSession, data: bytes) -> list[Piece]:
    events, pieces = send(session, "input_audio_buffer.append", audio=base64.b64encode(data).decode())
    assert not events
    return pieces


def update(session: RealtimeSession, /, **settings: object) -> tuple[dict[str, Any], list[Piece]]:
    """What is shown after a change, and what goes to the transcription."""
    (event,), pieces = send(session, "session.update", session={"type": "transcription", **settings})
    assert event["type"] == "session.updated", event
    shown = event["session"]
    assert isinstance(shown, dict)
    return shown, pieces


def update_sound(session: RealtimeSession, **sound: object) -> dict[str, Any]:
    shown: dict[str, Any] = update(session, audio={"input": sound})[0]["audio"]["input"]
    return shown


def final(turn: int, *texts: str, is_last: bool = True, language: str = "en", tokens: int = 0) -> TurnText:
    logprobs = (TokenLogprob(b"a", -0.5),) * tokens
    segments = (Segment(text, 0.0, 1.0, (), 0.0, 0.0, 1.0, 0.0, language=language, logprobs=logprobs) for text in texts)
    return TurnText(turn, WindowText(tuple(segments)), is_last)


def kinds(events: Iterable[Event]) -> list[str]:
    """The types of events without what is common to many of them."""
    return [
        str(event["type"])
        .removeprefix("conversation.item.input_audio_transcription.")
        .removeprefix("input_audio_buffer.")
        for event in events
    ]
