"""A conversation over OpenAI's Realtime wire as a machine without clock or socket: events in, events and actions out.

Turns are found and understood by the ASR server: what its transcription session tells comes in by `hear`. Replies are
made elsewhere, too: what they tell comes in by `reply`.
"""

from collections.abc import Mapping

from voice_stack.chat.events import Heard, ReplyEvent
from voice_stack.chat.realtime.items import MAX_ITEMS, Item, Items, Part, read_item
from voice_stack.chat.realtime.replies import Answer, Replies, Transcribe
from voice_stack.chat.realtime.response import make_event
from voice_stack.chat.realtime.settings import ConversationDefaults, ConversationSettings
from voice_stack.core.errors import InvalidRequestError, VoiceStackError
from voice_stack.core.http.realtime import INVALID_EVENT, SESSION_S, ClientEvent, Event, make_id

CLIENT_EVENTS = (
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "conversation.item.delete",
    "response.create",
    "response.cancel",
)
COMMIT, CLEARED = "input_audio_buffer.commit", "input_audio_buffer.cleared"
COMMIT_EMPTY = "input_audio_buffer_commit_empty"
TRANSCRIPTION = "conversation.item.input_audio_transcription"


class ConversationSession:
    """One session.

    Args:
        defaults: What counts where the client says nothing.
        settings: What is set at the beginning.
        now_s: Seconds since 1970.

    Attributes:
        audio_ms: All the sound that was ever sent.
        is_heard: The ASR server listens.
    """

    def __init__(self, defaults: ConversationDefaults, settings: ConversationSettings, now_s: float) -> None:
        self.id, self.expires_at = make_id("sess"), int(now_s) + SESSION_S
        self.audio_ms, self.is_heard = 0.0, False
        self._defaults, self._items = defaults, Items()
        self._replies = Replies(defaults, self._items, settings)
        self._awaited: dict[str, Item] = {}  # turns that the ASR server has still to understand
        self._speaking: str | None = None
        self._updates = list[bool]()  # that it has not confirmed yet; whether the client waits for that
        self._clears = 0
        self._offset_ms = self._closed_ms = 0.0  # where it began to listen, and where the last turn ended

    @property
    def settings(self) -> ConversationSettings:
        """What is set now."""
        return self._replies.settings

    def open(self) -> list[Event]:
        """What is sent at once."""
        return [self._show("session.created")]

    def _show(self, kind: str = "session.updated") -> Event:
        named = {"id": self.id, "object": "realtime.session", "expires_at": self.expires_at}
        return make_event(kind, session=named | self.settings.show(self._defaults))

    def error(self, error: VoiceStackError, event_id: str | None = None) -> Event:
        """An error as it is sent; the session goes on."""
        return make_event("error", error={**error.body()["error"], "event_id": event_id})

    def receive(self, event: ClientEvent) -> Answer:
        """Take an event of the client; sound is not looked at here."""
        try:
            if event.fault is not None:
                raise event.fault
            return self._take(event)
        except InvalidRequestError as error:
            return Answer([self.error(error, event.id)])

    def _take(self, event: ClientEvent) -> Answer:
        match event.kind:
            case "session.update":
                return self._update(event.fields.get("session"))
            case "input_audio_buffer.commit" | "input_audio_buffer.clear":
                return self._pass_on(event)
            case "conversation.item.create":
                return self._create_item(event)
            case "conversation.item.retrieve":
                return Answer([make_event("conversation.item.retrieved", item=self._known(event, "retrieve").show())])
            case "conversation.item.truncate":
                return self._truncate(event)
            case "conversation.item.delete":
                item = self._known(event, "delete")
                self._items.remove(item)
                self._replies.forget(item)
                return self._replies.advance([make_event("conversation.item.deleted", item_id=item.id)])
            case "response.create":
                asked = event.fields.get("response")
                return self._replies.create(asked if isinstance(asked, Mapping) else {})
            case "response.cancel":
                return self._replies.cancel(event.fields.get("response_id"))
        message = f"{event.kind[:60]!r} is no event of a conversation; possible are {', '.join(CLIENT_EVENTS)}"
        raise InvalidRequestError(message, param="type", code=INVALID_EVENT)

    def _update(self, sent: object) -> Answer:
        if not isinstance(sent, Mapping):
            raise InvalidRequestError("you must provide session, an object", param="session", code="invalid_value")
        if (kind := sent.get("type")) not in (None, "realtime"):
            message = f"Passing a {str(kind)[:40]} session update event to a realtime session is not allowed."
            raise InvalidRequestError(message, param="session.type", code="invalid_parameter")
        before, settings = self.settings, self.settings.changed(sent)
        if self._replies.has_sounded:
            sound = settings.reply.sound.model_copy(update={"voice": before.reply.sound.voice})
            settings = settings.model_copy(update={"reply": settings.reply.model_copy(update={"sound": sound})})
        self._replies.settings = settings
        if self.is_heard and settings.ask_listener() != before.ask_listener():
            self._updates.append(True)
            return Answer([], forward={"type": "session.update", "session": settings.ask_listener()})
        return Answer([self._show()])

    def _pass_on(self, event: ClientEvent) -> Answer:
        is_commit = event.kind == COMMIT
        if self.is_heard:
            self._replies.commits += is_commit
            self._clears += not is_commit
            forward: Event = {"type": event.kind, **({"event_id": event.id} if event.id else {})}
            return Answer([], forward=forward)
        if not is_commit:
            return Answer([make_event(CLEARED)])
        raise InvalidRequestError("Nothing was committed: there is no sound since the last turn.", code=COMMIT_EMPTY)

    def _known(self, event: ClientEvent, verb: str) -> Item:
        if (item := self._items.find(event.fields.get("item_id"))) is None:
            message = f"There is no item {str(event.fields.get('item_id'))[:60]!r}; the last {MAX_ITEMS} are kept."
            raise InvalidRequestError(message, param="item_id", code=f"item_{verb}_invalid_item_id")
        return item

    def _create_item(self, event: ClientEvent) -> Answer:
        item, file = read_item(event.fields.get("item"), self.settings.format)
        if self._items.find(item.id) is not None:
            message = f"There is an item {item.id[:60]!r} already."
            raise InvalidRequestError(message, param="item.id", code="item_create_duplicate_item_id")
        before = event.fields.get("previous_item_id")
        if before not in (None, "root") and self._items.find(before) is None:
            message = f"There is no item {str(before)[:60]!r} to follow."
            raise InvalidRequestError(message, param="previous_item_id", code="item_create_invalid_previous_item_id")
        events = self._place(item, before if isinstance(before, str) else None)
        return Answer(events, [Transcribe(item.id, file, self.settings.transcription.language)] if file else [])

    def _place(self, item: Item, before: str | None = None) -> list[Event]:
        place = {"previous_item_id": self._items.place(item, before)}
        return [make_event(f"conversation.item.{end}", item=item.show(), **place) for end in ("added", "done")]

    def _truncate(self, event: ClientEvent) -> Answer:
        item, end_ms = self._known(event, "truncate"), event.fields.get("audio_end_ms")
        if not isinstance(end_ms, int | float) or isinstance(end_ms, bool):
            raise InvalidRequestError("audio_end_ms must be a number", param="audio_end_ms", code="invalid_value")
        if item.role != "assistant" or item.kind != "message":
            message = "Only messages of the assistant can be cut."
            raise InvalidRequestError(message, param="item_id", code="item_truncate_invalid_item_id")
        end_ms = min(max(int(end_ms), 0), item.audio_ms)  # clients tell times beyond the end
        item.cut(end_ms)
        named = {"item_id": item.id, "content_index": 0, "audio_end_ms": end_ms}
        return Answer([make_event("conversation.item.truncated", **named)])

    def transcribed(self, item_id: str, said: Heard | VoiceStackError) -> Answer:
        """It is known what a file of the client says, or why not."""
        if (item := self._items.find(item_id)) is None:
            return Answer([])
        if isinstance(said, VoiceStackError):
            item.failure = _tell(said)
            return self._replies.advance(self._of_transcript(item_id, "failed", error=item.failure))
        item.say(said.text)
        usage = {"type": "duration", "seconds": said.duration_s}
        return self._replies.advance(self._of_transcript(item_id, "completed", transcript=said.text, usage=usage))

    def _of_transcript(self, item_id: str, end: str, **fields: object) -> list[Event]:
        """What the client is told of a transcript, if it wants to know."""
        event = make_event(f"{TRANSCRIPTION}.{end}", item_id=item_id, content_index=0, **fields)
        return [event] if self.settings.tells_transcripts else []

    def reply(self, response_id: str, told: ReplyEvent | VoiceStackError) -> Answer:
        """A reply tells something, or has failed; of one that was cancelled nothing follows."""
        return self._replies.tell(response_id, told)

    def begin_hearing(self) -> Event:
        """The ASR server listens from here on; returns what it is to be told first."""
        self.is_heard, self._offset_ms = True, self.audio_ms
        self._updates.append(False)
        return {"type": "session.update", "session": self.settings.ask_listener()}

    def lose_hearing(self, error: VoiceStackError, *, is_new: bool = False) -> Answer:
        """It does so no more: what it had not understood has failed; with the next sound it is asked again.

        Args:
            error: Why.
            is_new: It never did.
        """
        events = [self._show() for is_asked in self._updates if is_asked]
        for item in self._awaited.values():
            item.failure = _tell(error)
            events += self._of_transcript(item.id, "failed", error=item.failure)
        is_open = self.settings.turn_detection is None and self.audio_ms > self._closed_ms
        if is_new or is_open or self._speaking or self._replies.commits:
            events.append(self.error(error))
        events += [make_event(CLEARED) for _ in range(self._clears)]
        self.is_heard, self._replies.commits, self._clears = False, 0, 0
        self._updates.clear()
        self._awaited.clear()
        self._end_turn(self._speaking)
        return self._replies.advance(events)

    def hear(self, event: Event) -> Answer:
        """Take what the transcription session of the ASR server tells."""
        kind, item_id = event.get("type"), str(event.get("item_id", ""))
        match kind:
            case "session.updated":
                return self._confirm(event.get("session"))
            case "input_audio_buffer.speech_started":
                self._speaking, self._replies.is_held = item_id, True
                return self._replies.interrupt([self._in_session_time(event, "audio_start_ms")])
            case "input_audio_buffer.speech_stopped":
                return Answer([self._in_session_time(event, "audio_end_ms")])
            case "input_audio_buffer.committed":
                return self._commit(item_id)
            case "input_audio_buffer.cleared":
                self._clears = max(self._clears - 1, 0)
                self._end_turn(self._speaking)
                return self._replies.advance([event])
            case "error":
                error = event.get("error")
                if isinstance(error, Mapping) and error.get("code") == COMMIT_EMPTY:
                    self._replies.commits = max(self._replies.commits - 1, 0)
                return self._replies.advance([event])
        if isinstance(kind, str) and kind.startswith(f"{TRANSCRIPTION}."):
            return self._understand(event, kind.removeprefix(f"{TRANSCRIPTION}."), item_id)
        return Answer([])

    def _confirm(self, shown: object) -> Answer:
        if isinstance(shown, Mapping):
            self._replies.settings = self.settings.heard_as(shown)
        is_asked = self._updates.pop(0) if self._updates else False
        return Answer([self._show()] if is_asked else [])

    def _in_session_time(self, event: Event, name: str) -> Event:
        at_ms = event.get(name)
        return event | {name: round(self._offset_ms + at_ms)} if isinstance(at_ms, int | float) else event

    def _end_turn(self, item_id: str | None) -> None:
        self._closed_ms = self.audio_ms
        if item_id == self._speaking:
            self._speaking, self._replies.is_held = None, False

    def _commit(self, item_id: str) -> Answer:
        item = self._awaited[item_id] = Item(item_id, parts=[Part("input_audio", None)])
        placed = self._place(item)
        before = placed[0]["previous_item_id"]
        self._end_turn(item_id)
        if self._replies.commits:  # what the client commits it has answered when it likes
            self._replies.commits -= 1
        elif self.settings.turn_detection is not None and self.settings.turns.create_response:
            self._replies.owe(item)
        committed = make_event("input_audio_buffer.committed", item_id=item_id, previous_item_id=before)
        return self._replies.advance([committed, *placed])

    def _understand(self, event: Event, end: str, item_id: str) -> Answer:
        if end in {"completed", "failed"}:
            item, error = self._awaited.pop(item_id, None), event.get("error")
            if item is None:
                self._end_turn(item_id)
            elif end == "completed":
                item.say(str(event.get("transcript", "")))
            else:
                item.failure = dict(error) if isinstance(error, Mapping) else {}
        return self._replies.advance([event] if self.settings.tells_transcripts else [])


def _tell(error: VoiceStackError) -> Event:
    """An error inside an event; some clients refuse null."""
    return {name: value for name, value in error.body()["error"].items() if value is not None}
