"""A live session on Deepgram's wire, as a machine without socket."""

import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from voice_stack.asr.live.deepgram_answer import (
    join_words,
    show_alternative,
    show_metadata,
    show_text,
)
from voice_stack.asr.live.dialogue import Answer, HeardTurn, LiveOutput, LiveSession, Piece
from voice_stack.asr.live.listen_query import MAX_SHOWN, MAX_TERMS, MAX_TERMS_CHARS, ListenQuery, join_terms
from voice_stack.asr.live.turns import (
    Change,
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
from voice_stack.asr.transcript import Segment
from voice_stack.core.errors import VoiceStackError
from voice_stack.core.http.realtime import ClientEvent, Event, make_id, read_frame
from voice_stack.utils.audio.word_alignment import cut_words

LONGEST_S = 12 * 3600
"""Of a session: Deepgram's last as long as somebody speaks."""
COMMIT_DRIFT_S = 0.01
"""How far the end of a turn may lie before the request that is its reason."""
CLIENT_MESSAGES = ("KeepAlive", "Finalize", "CloseStream", "Configure")
CHANNELS = [0, 1]
"""The first of one."""


@dataclass(slots=True)
class _Utterance:
    """A turn that is not over, in the transcription's time.

    Attributes:
        start_s: Where it begins.
        shown_s: How far its final results go.
        words: How many words these have; `kept` are their segments.
        heard_s: How far its windows go.
        segments: What came since the last result.
        end_s: Where it ends; None: it goes on.
        is_complete: Its last window has come.
        is_asked: The client has asked for its end.
    """

    start_s: float
    shown_s: float
    words: int = 0
    heard_s: float = 0.0
    segments: list[Segment] = field(default_factory=list)
    kept: list[Segment] = field(default_factory=list)
    end_s: float | None = None
    is_complete: bool = False
    is_asked: bool = False


class DeepgramSession(LiveSession):
    """One session.

    Args:
        query: What is asked.
        model: What hears, as `ModelNames.resolve` gives it.
        request: What the transcription is asked.
        described: Of the model, as `describe_model` gives it.
        request_id: What its messages call it.
        now_s: Seconds since 1970.
        clock: Any steady clock, in seconds.
    """

    def __init__(
        self,
        query: ListenQuery,
        model: str,
        request: LiveRequest,
        described: tuple[str, dict[str, str]],
        request_id: str,
        now_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.id, self.expires_at = make_id("sess"), int(now_s) + LONGEST_S
        self.audio_s, self.fallbacks = 0.0, dict[str, None]()
        self._query, self._model, self._request, self._clock = query, model, request, clock
        self._created_s, self._request_id = now_s, request_id
        uuid_, info = described
        self._metadata: Event = {"request_id": request_id, "model_info": info, "model_uuid": uuid_}
        self._described, self._digest = described, hashlib.sha256()
        self._heard, self._failed = list[HeardTurn](), 0
        self._last_word_s, self._is_end_due, self._end_due_at = 0.0, False, 0.0
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Before the first sound of a transcription, whose turns and times count from 0."""
        self._offset_s, self._half_sample, self._is_begun = self.audio_s, b"", False
        self._turns: dict[int, _Utterance] = {}
        self._over_below, self._over = 0, set[int]()
        self._commits = deque[float]()

    @property
    def model(self) -> str:
        return self._model

    @property
    def request(self) -> LiveRequest:
        return self._request

    def take_heard(self) -> tuple[list[HeardTurn], int]:
        taken, self._heard, self._failed = (self._heard, self._failed), [], 0
        return taken

    def open(self) -> list[Event]:
        return []

    def read(self, message: str | bytes) -> ClientEvent:
        if isinstance(message, bytes):
            return ClientEvent("sound", {}, message)
        event = read_frame(message, CLIENT_MESSAGES)
        return replace(event, fields={**event.fields, "said": message[:MAX_SHOWN]})

    def receive(self, event: ClientEvent) -> Answer:
        match event.kind:
            case "sound" if event.sound:
                pieces = self._append(event.sound)
                return Answer(self._end_utterance(), pieces)
            case "sound" | "CloseStream":
                self.is_over = True
                return Answer([], [])
            case "KeepAlive":
                return Answer(self._end_utterance(), [])
            case "Finalize":
                if not self._is_begun:
                    return Answer([self._show([], 0.0, 0.0, is_asked=True)], [])
                self._commits.append(self.audio_s - self._offset_s)
                return Answer([], [Commit()])
            case "Configure":
                return self._configure(event.fields)
        said = event.fields.get("said")
        told = event.fault.message if event.fault else f"The type must be one of {', '.join(CLIENT_MESSAGES)}."
        return Answer([{"type": "Error", "variant": "SchemaError", "description": told, "message": said}], [])

    def _append(self, sound: bytes) -> list[Piece]:
        written = self._request.sound
        sample_bytes = 2 if written.encoding == "pcm" else 1
        data = self._half_sample + sound
        whole = len(data) - len(data) % sample_bytes
        self._half_sample = data[whole:]
        if not whole:
            return []
        self._is_begun = True
        self._digest.update(data[:whole])
        self.audio_s += whole / (sample_bytes * written.sample_rate)
        return [LiveSound(data[:whole])]

    def _configure(self, fields: Mapping[str, object]) -> Answer:
        terms = fields.get("keyterms")
        if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
            return self._refuse("CONFIGURE_INTERNAL_ERROR", "Only keyterms can be changed here: a list of texts.")
        if len(terms) > MAX_TERMS or len(", ".join(terms)) > MAX_TERMS_CHARS:
            least = f"At most {MAX_TERMS} keyterms are taken, of {MAX_TERMS_CHARS} characters in all."
            return self._refuse("CONFIGURE_KEYTERM_LIMIT_EXCEEDED", least)
        decode = replace(self._request.decode, hotwords=join_terms(terms))
        self._request = replace(self._request, decode=decode)
        done: Event = {"type": "ConfigureSuccess", "request_id": self._request_id, "keyterms": terms}
        return Answer([done], [Change(self._request)] if self._is_begun else [])

    def _refuse(self, code: str, reason: str) -> Answer:
        told: Event = {"type": "ConfigureFailure", "request_id": self._request_id, "code": code, "description": reason}
        return Answer([told], [])

    def tell(self, told: LiveOutput) -> list[Event]:
        match told:
            case NothingToCommit():
                at_s = self._commits.popleft() if self._commits else 0.0
                if pending := [turn for turn in self._turns.values() if turn.end_s is not None]:
                    pending[-1].is_asked = True  # its result is on the way, and answers this as well
                    return []
                return [self._show([], at_s, at_s, is_asked=True)]
            case Cleared() | SpeechStopped():
                return []
        if told.turn < self._over_below or told.turn in self._over:
            return []
        match told:
            case SpeechStarted():
                return self._start(told.turn, told.at_s)
            case TurnDraft():
                return self._show_draft(told)
            case TurnClosed():
                return self._close(told)
            case TurnText():
                return self._take_text(told)

    def _turn(self, number: int, start_s: float) -> _Utterance:
        return self._turns.setdefault(number, _Utterance(start_s, start_s))

    def _start(self, number: int, at_s: float) -> list[Event]:
        if number in self._turns:
            return []
        at_s = self._turn(number, max(at_s, 0.0)).start_s + self._offset_s
        events, self._is_end_due = self._end_utterance(at_s), False
        if self._query.vad_events:
            events.append({"type": "SpeechStarted", "channel": CHANNELS, "timestamp": round(at_s, 3)})
        return events

    def _show_draft(self, draft: TurnDraft) -> list[Event]:
        turn = self._turn(draft.turn, 0.0)
        if turn.is_complete:
            return []
        # The draft is of the whole turn, of which final results may have shown the beginning.
        text = join_words(cut_words(draft.text)[turn.words :]) if turn.words else draft.text
        if not text.strip():
            return []
        now_s = self.audio_s - self._offset_s
        alternative: Event = {"transcript": show_text(text, self._query), "confidence": 0.0, "words": []}
        return [self._result(alternative, turn.shown_s, now_s, is_final=False)]

    def _take_text(self, told: TurnText) -> list[Event]:
        turn = self._turn(told.turn, 0.0)
        # After a crash the windows of a long turn come again, cut almost where they were.
        turn.segments += [one for one in told.window.segments if one.start_s + one.end_s > 2 * turn.heard_s]
        turn.heard_s = max(turn.heard_s, told.window.heard_s)
        self.fallbacks.update(dict.fromkeys(told.window.fallbacks, None))
        turn.is_complete |= told.is_last
        if told.is_last:
            return self._finish(told.turn, turn)
        if not turn.segments:
            return []
        shown, shown_s = turn.segments, turn.shown_s
        turn.kept, turn.segments, turn.shown_s = [*turn.kept, *shown], [], max(turn.heard_s, shown_s)
        turn.words += sum(len(cut_words(segment.text)) for segment in shown)
        return [self._show(shown, shown_s, turn.shown_s)]

    def _close(self, closed: TurnClosed) -> list[Event]:
        turn = self._turn(closed.turn, closed.start_s)
        if turn.end_s is not None:
            return []
        turn.end_s = closed.end_s
        if self._commits and self._commits[0] <= closed.end_s + COMMIT_DRIFT_S:
            self._commits.popleft()
            turn.is_asked = True
        return self._finish(closed.turn, turn)

    def _finish(self, number: int, turn: _Utterance) -> list[Event]:
        """The last result of a turn whose end and text are known, in whichever order they came."""
        if turn.end_s is None or not turn.is_complete:
            return []
        said = tuple(segment.later(self._offset_s) for segment in (*turn.kept, *turn.segments))
        self._heard.append(HeardTurn(make_id("item"), said))
        shown = self._show(turn.segments, turn.shown_s, turn.end_s, is_end=True, is_asked=turn.is_asked)
        self._turns.pop(number, None)
        self._over.add(number)
        while self._over_below in self._over:
            self._over.discard(self._over_below)
            self._over_below += 1
        if said and self._query.utterance_end_ms:
            words = [word.end_s for segment in said for word in segment.words] or [said[-1].end_s]
            self._last_word_s, self._is_end_due = max(words), True
            gap_s = self._offset_s + turn.end_s - self._last_word_s
            self._end_due_at = self._clock() + max(0.0, self._query.utterance_end_ms / 1000 - gap_s)
        if self._turns:  # somebody has begun to speak before this text was there
            ended = self._end_utterance(self._offset_s + min(turn.start_s for turn in self._turns.values()))
            self._is_end_due = False
            return [shown, *ended]
        return [shown, *self._end_utterance()]

    def _end_utterance(self, quiet_to_s: float | None = None) -> list[Event]:
        """Tell that nothing was said for as long as was asked.

        Args:
            quiet_to_s: So far it is known that nothing was said; None: as far as sound has come, if there was time to
                hear it.
        """
        if not self._is_end_due or self._query.utterance_end_ms is None:
            return []
        if quiet_to_s is None:
            if self._turns or self._clock() < self._end_due_at:
                return []
            quiet_to_s = self.audio_s
        is_over = quiet_to_s - self._last_word_s >= self._query.utterance_end_ms / 1000
        return [self._tell_utterance_end()] if is_over else []

    def _tell_utterance_end(self) -> Event:
        self._is_end_due = False
        return {"type": "UtteranceEnd", "channel": CHANNELS, "last_word_end": round(self._last_word_s, 3)}

    def _show(
        self, segments: Sequence[Segment], start_s: float, end_s: float, *, is_end: bool = False, is_asked: bool = False
    ) -> Event:
        placed = [segment.later(self._offset_s) for segment in segments]
        alternative = show_alternative(placed, self._query)
        is_speech_final = is_end and self._query.endpointing is not False
        return self._result(alternative, start_s, end_s, is_speech_final=is_speech_final, is_asked=is_asked)

    def _result(
        self,
        alternative: dict[str, object],
        start_s: float,
        end_s: float,
        *,
        is_final: bool = True,
        is_speech_final: bool = False,
        is_asked: bool = False,
    ) -> Event:
        return {
            "type": "Results",
            "channel_index": CHANNELS,
            "start": round(self._offset_s + start_s, 3),
            "duration": round(max(end_s - start_s, 0.0), 3),
            "is_final": is_final,
            "speech_final": is_speech_final,
            "from_finalize": is_asked,
            "channel": {"alternatives": [alternative]},
            "metadata": self._metadata,
        }

    def fail(self, error: VoiceStackError) -> list[Event]:
        self._failed += len(self._turns) + len(self._commits)
        self._begin_anew()
        return [{"type": "Error", "variant": (error.code or error.type).upper(), "description": error.told}]

    def close(self) -> list[Event]:
        last = [self._tell_utterance_end()] if self._is_end_due else []
        told = show_metadata(self._request_id, self._digest.hexdigest(), self._created_s, self.audio_s, self._described)
        return [*last, {"type": "Metadata", **told}]
