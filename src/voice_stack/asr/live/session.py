"""A transcription session of OpenAI's Realtime wire as a machine without clock or socket: events in, events out.

What a client sends becomes pieces for the transcription; what that tells becomes events for the client.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from voice_stack.asr.live.dialogue import Answer, HeardTurn, LiveOutput, LiveSession, Piece
from voice_stack.asr.live.turns import (
    Change,
    Clear,
    Cleared,
    Commit,
    LiveRequest,
    LiveSound,
    NothingToCommit,
    SpeechStarted,
    SpeechStopped,
    TurnClosed,
    TurnDraft,
    TurnText,
)
from voice_stack.asr.live.wire import CLIENT_EVENTS, ModelChoice, SessionSettings, find_sound, make_item, show_token
from voice_stack.asr.transcript import Segment
from voice_stack.core.errors import InvalidRequestError, VoiceStackError
from voice_stack.core.http.realtime import INVALID_EVENT, SESSION_S, ClientEvent, Event, make_id, read_frame
from voice_stack.core.ids import new_id

MAX_ITEMS, MAX_COMMITS = 256, 1024
"""Turns that can be asked for again; commits without an answer whose names are known."""
COMMIT_DRIFT_S = 0.01
"""How far the end of a turn may lie before the commit that is its reason: sound is counted at other rates there."""
MAX_LOGPROBS = 2_000
"""A quarter of an hour of speech: clients take no longer messages than 256 KiB."""
_BETA_NAMES = {
    "session.created": "transcription_session.created",
    "session.updated": "transcription_session.updated",
    "conversation.item.added": "conversation.item.created",
}
TRANSCRIPTION = "conversation.item.input_audio_transcription"

_OfTurn = SpeechStarted | SpeechStopped | TurnClosed | TurnDraft | TurnText


@dataclass(slots=True)
class _Turn:
    """A turn that is not over; `shown` are its deltas, joined."""

    item_id: str
    shown: str = ""
    segments: list[Segment] = field(default_factory=list)
    seconds: float = 0.0
    heard_s: float = 0.0
    is_started: bool = False
    is_stopped: bool = False
    is_committed: bool = False
    is_complete: bool = False

    @property
    def text(self) -> str:
        """What is final of it."""
        return "".join(segment.text for segment in self.segments).strip()


class RealtimeSession(LiveSession):
    """One session.

    Args:
        choice: Which model it may have.
        base: What the server's settings ask for.
        settings: What is set at the beginning.
        now_s: Seconds since 1970.
        is_beta: The client knows the names of the beta alone.
        replica: Name of the server, if it is one of several.
    """

    def __init__(
        self,
        choice: ModelChoice,
        base: LiveRequest,
        settings: SessionSettings,
        now_s: float,
        *,
        is_beta: bool = False,
        replica: str = "",
    ) -> None:
        self.id, self.expires_at = new_id("sess", replica), int(now_s) + SESSION_S
        self._choice, self._base, self._is_beta = choice, base, is_beta
        self._settings = choice.fit(settings)
        self._items: dict[str, Event] = {}
        self.audio_s, self.fallbacks = 0.0, dict[str, None]()
        self._heard, self._failed = list[HeardTurn](), 0
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Before the first sound of a transcription, whose turns and times count from 0."""
        self._offset_s, self._half_sample, self._is_begun = self.audio_s, b"", False
        self._turns: dict[int, _Turn] = {}
        self._over, self._over_below = set[int](), 0
        self._commits: deque[tuple[str | None, float]] = deque(maxlen=MAX_COMMITS)
        self._clears = 0
        self._closed_s = self.audio_s

    @property
    def model(self) -> str:
        """The model that is to hear."""
        return self._choice.find(self._settings.transcription.model)

    @property
    def asks_speakers(self) -> bool:
        """Whether who speaks is to be told."""
        return self._settings.transcription.diarize

    @property
    def request(self) -> LiveRequest:
        """What the transcription is asked."""
        asked = self._settings.ask(self._base)
        has_words = (asked.decode.word_timestamps or self.asks_speakers) and self._choice.capabilities(self.model).words
        return replace(asked, decode=replace(asked.decode, word_timestamps=has_words))

    def take_heard(self) -> tuple[list[HeardTurn], int]:
        """The turns that were completed since this was asked last; how many failed."""
        taken, self._heard, self._failed = (self._heard, self._failed), [], 0
        return taken

    def open(self) -> list[Event]:
        """What is sent at once."""
        return [self._event("session.created", session=self._show())]

    def _show(self) -> Event:
        shown = self._settings.show(is_flat=self._is_beta)
        if self._is_beta:
            shown["client_secret"] = None
        named = {"id": self.id, "object": "realtime.transcription_session", "expires_at": self.expires_at}
        return named | shown

    def _event(self, kind: str, **fields: object) -> Event:
        name = _BETA_NAMES.get(kind, kind) if self._is_beta else kind
        return {"type": name, "event_id": make_id("event"), **fields}

    def _error(self, error: VoiceStackError, event_id: str | None = None) -> Event:
        return self._event("error", error={**error.body()["error"], "event_id": event_id})

    def read(self, message: str | bytes) -> ClientEvent:
        """Read a message; in a binary one nothing is looked for."""
        return read_frame(message if isinstance(message, str) else "", CLIENT_EVENTS)

    def receive(self, event: str | ClientEvent) -> Answer:
        """Take a message: a text, or one that was read already."""
        event = self.read(event) if isinstance(event, str) else event
        try:
            if event.fault is not None:
                raise event.fault
            return self._take(event)
        except InvalidRequestError as error:
            return Answer([self._error(error, event.id)], [])

    def _take(self, event: ClientEvent) -> Answer:
        match event.kind:
            case "input_audio_buffer.append":
                return Answer([], self._append(event.sound))
            case "input_audio_buffer.commit" if self._is_begun:
                self._commits.append((event.id, self.audio_s - self._offset_s))
                return Answer([], [Commit()])
            case "input_audio_buffer.commit":
                return Answer([self._refuse_commit(event.id)], [])
            case "input_audio_buffer.clear" if self._is_begun:
                self._clears, self._half_sample = self._clears + 1, b""
                return Answer([], [Clear()])
            case "input_audio_buffer.clear":
                self._half_sample = b""
                return Answer([self._event("input_audio_buffer.cleared")], [])
            case "session.update" | "transcription_session.update":
                return self._update(event.fields.get("session"))
            case "conversation.item.retrieve":
                item = self._items[self._known_item(event, "retrieve")]
                return Answer([self._event("conversation.item.retrieved", item=item)], [])
            case "conversation.item.delete":
                item_id = self._known_item(event, "delete")
                del self._items[item_id]
                return Answer([self._event("conversation.item.deleted", item_id=item_id)], [])
            case "response.cancel":
                message = "Cancellation failed: no active response found"
                raise InvalidRequestError(message, code="response_cancel_not_active")
        message = f"{event.kind[:60]!r} is no event of a transcription session; possible are {', '.join(CLIENT_EVENTS)}"
        raise InvalidRequestError(message, param="type", code=INVALID_EVENT)

    def _append(self, sound: bytes) -> list[Piece]:
        asked = find_sound(self._settings.format)
        sample_bytes = 2 if asked.encoding == "pcm" else 1
        data = self._half_sample + sound
        whole = len(data) - len(data) % sample_bytes
        self._half_sample = data[whole:]
        if not whole:
            return []
        self._is_begun = True
        self.audio_s += whole / (sample_bytes * asked.sample_rate)
        return [LiveSound(data[:whole])]

    def _update(self, sent: object) -> Answer:
        if not isinstance(sent, Mapping):
            raise InvalidRequestError("you must provide session, an object", param="session", code="invalid_value")
        # Of a conversation's settings those of its input are taken; what is shown says that it is none.
        if (kind := sent.get("type")) not in (None, "transcription", "realtime"):
            message = f"Passing a {str(kind)[:40]} session update event to a transcription session is not allowed."
            raise InvalidRequestError(message, param="session.type", code="invalid_parameter")
        before, fixed = self._settings, self._settings.transcription.model if self._is_begun else None
        self._settings = self._choice.fit(before.changed(sent), fixed)
        if self._settings.format != before.format:
            self._half_sample = b""
        is_changed = self._is_begun and self._settings.ask(self._base) != before.ask(self._base)
        events = [self._event("session.updated", session=self._show())]
        return Answer(events, [Change(self.request)] if is_changed else [])

    def _known_item(self, event: ClientEvent, verb: str) -> str:
        item_id = event.fields.get("item_id")
        if not isinstance(item_id, str) or item_id not in self._items:
            message = f"There is no item {str(item_id)[:60]!r}; the last {MAX_ITEMS} are kept."
            raise InvalidRequestError(message, param="item_id", code=f"item_{verb}_invalid_item_id")
        return item_id

    def _refuse_commit(self, event_id: str | None) -> Event:
        message = "Nothing was committed: there are less than 100 ms of audio since the last turn."
        return self._error(InvalidRequestError(message, code="input_audio_buffer_commit_empty"), event_id)

    def tell(self, told: LiveOutput) -> list[Event]:
        """Take what the transcription tells; what it told before, after a crash, is passed over."""
        match told:
            case NothingToCommit():
                return [self._refuse_commit(self._commits.popleft()[0])] if self._commits else []
            case Cleared():
                events = [] if told.turn is None else self._drop(told.turn)
                if self._clears:
                    self._clears -= 1
                    events.append(self._event("input_audio_buffer.cleared"))
                return events
        if told.turn < self._over_below or told.turn in self._over:
            return []
        turn = self._turns.setdefault(told.turn, _Turn(make_id("item")))
        events = self._tell_turn(turn, told)
        if turn.is_committed and turn.is_complete:
            events.append(self._complete(turn))
            said = tuple(segment.later(self._offset_s) for segment in turn.segments)
            self._heard.append(HeardTurn(turn.item_id, said))
            self._end(told.turn)
        return events

    def _tell_turn(self, turn: _Turn, told: _OfTurn) -> list[Event]:
        match told:
            case SpeechStarted():
                return self._start(turn, told.at_s)
            case SpeechStopped():
                return self._stop(turn, told.at_s)
            case TurnClosed():
                return self._commit(turn, told)
            case TurnDraft():
                return [] if turn.is_complete else self._show_text(turn, told.text)
            case TurnText():
                # After a crash the windows of a long turn come again, cut almost where they were.
                turn.segments += [one for one in told.window.segments if one.start_s + one.end_s > 2 * turn.heard_s]
                turn.heard_s = max(turn.heard_s, told.window.heard_s)
                self.fallbacks.update(dict.fromkeys(told.window.fallbacks, None))
                turn.is_complete |= told.is_last
                return self._show_text(turn, turn.text)

    def _start(self, turn: _Turn, at_s: float) -> list[Event]:
        if turn.is_started or turn.is_committed or self._settings.turn_detection is None:
            return []
        turn.is_started, start_ms = True, self._to_ms(at_s)
        return [self._event("input_audio_buffer.speech_started", item_id=turn.item_id, audio_start_ms=start_ms)]

    def _stop(self, turn: _Turn, at_s: float) -> list[Event]:
        if turn.is_stopped or not turn.is_started:
            turn.is_stopped = True
            return []
        turn.is_stopped, end_ms = True, self._to_ms(at_s)
        return [self._event("input_audio_buffer.speech_stopped", item_id=turn.item_id, audio_end_ms=end_ms)]

    def _to_ms(self, at_s: float) -> int:
        return round((self._offset_s + max(at_s, 0.0)) * 1000)

    def _commit(self, turn: _Turn, closed: TurnClosed) -> list[Event]:
        if turn.is_committed:
            return []
        # A turn that ends where the client committed ends for that reason; what it committed before has its answer.
        while self._commits and self._commits[0][1] < closed.end_s - COMMIT_DRIFT_S:
            self._commits.popleft()
        if self._commits and self._commits[0][1] <= closed.end_s + COMMIT_DRIFT_S:
            self._commits.popleft()
        events = self._stop(turn, closed.end_s)
        turn.is_committed, turn.seconds = True, closed.end_s - closed.start_s
        self._closed_s = self._offset_s + closed.end_s
        place = {"previous_item_id": next(reversed(self._items), None)}
        item = make_item(turn.item_id)
        self._items[turn.item_id] = item
        if len(self._items) > MAX_ITEMS:
            del self._items[next(iter(self._items))]
        events += [
            self._event("input_audio_buffer.committed", item_id=turn.item_id, **place),
            self._event("conversation.item.added", item=item, **place),
        ]
        return events if self._is_beta else [*events, self._event("conversation.item.done", item=item, **place)]

    def _show_text(self, turn: _Turn, text: str) -> list[Event]:
        """The words that a text has more than what was shown; none if it does not begin with that."""
        text = text.strip()
        if len(text) <= len(turn.shown) or not text.startswith(turn.shown):
            return []
        delta, turn.shown = text[len(turn.shown) :], text
        return [self._event(f"{TRANSCRIPTION}.delta", item_id=turn.item_id, content_index=0, delta=delta)]

    def _complete(self, turn: _Turn) -> Event:
        if turn.item_id in self._items:
            self._items[turn.item_id] = make_item(turn.item_id, turn.text)
        tokens = [token for segment in turn.segments for token in segment.logprobs]
        languages = dict.fromkeys(segment.language for segment in turn.segments if segment.language)
        is_shown = bool(self._settings.include) and len(tokens) <= MAX_LOGPROBS
        return self._event(
            f"{TRANSCRIPTION}.completed",
            item_id=turn.item_id,
            content_index=0,
            transcript=turn.text,
            usage={"type": "duration", "seconds": round(max(turn.seconds, 0.0), 3)},
            logprobs=[show_token(token) for token in tokens] if is_shown else None,
            **({"languages": [{"code": code} for code in languages]} if languages else {}),
        )

    def _end(self, number: int) -> None:
        """Nothing is heard of this turn any more."""
        self._turns.pop(number, None)
        self._over.add(number)
        while self._over_below in self._over:
            self._over.discard(self._over_below)
            self._over_below += 1

    def _drop(self, number: int) -> list[Event]:
        """A turn that was cleared: who was told that it begins is told that it ends."""
        if (turn := self._turns.get(number)) is None:
            return []
        events = self._stop(turn, self.audio_s - self._offset_s)
        if turn.is_committed or turn.shown:
            message = "The client cleared the sound of this turn."
            error = {"type": "invalid_request_error", "code": "input_audio_buffer_cleared", "message": message}
            events.append(self._fail(turn, error))
        self._end(number)
        return events

    def _fail(self, turn: _Turn, error: Mapping[str, object]) -> Event:
        return self._event(f"{TRANSCRIPTION}.failed", item_id=turn.item_id, content_index=0, error=error)

    def fail(self, error: VoiceStackError) -> list[Event]:
        """The transcription has failed; with the next sound another one begins.

        Every item that waits for its text has failed. Sound that no item has is told of by an error.
        """
        told = {name: value for name, value in error.body()["error"].items() if value is not None}
        events = list[Event]()
        for turn in self._turns.values():
            events += self._stop(turn, self.audio_s - self._offset_s)
            if turn.is_committed or turn.shown:
                events.append(self._fail(turn, told))
                self._failed += 1
        self._failed += len(self._commits)
        is_lost = any(not turn.is_committed for turn in self._turns.values()) or bool(self._commits)
        is_lost |= self._settings.turn_detection is None and self.audio_s > self._closed_s + COMMIT_DRIFT_S
        if is_lost or not events:
            events.append(self._error(error, self._commits[0][0] if self._commits else None))
        events += [self._event("input_audio_buffer.cleared") for _ in range(min(self._clears, MAX_COMMITS))]
        self._begin_anew()
        return events
