"""The responses of a conversation: which is asked for, when it begins, how it ends; one at a time, others apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from voice_stack.chat.conversation import VoiceChoice
from voice_stack.chat.events import ReplyDone, ReplyEvent
from voice_stack.chat.history import messages_for_model
from voice_stack.chat.realtime.items import Item, Items, as_messages, read_item
from voice_stack.chat.realtime.response import CancelReason, Response
from voice_stack.chat.realtime.settings import ConversationDefaults, ConversationSettings
from voice_stack.core.errors import InvalidRequestError, UpstreamError, VoiceStackError
from voice_stack.core.http.realtime import Event, make_id
from voice_stack.language_model.model import ModelRequest

MAX_APART = 8
"""Responses outside the conversation at once."""


@dataclass(frozen=True, slots=True)
class Ask:
    """To be done: have a reply made."""

    response_id: str
    request: ModelRequest
    voice: VoiceChoice | None


@dataclass(frozen=True, slots=True)
class Stop:
    """To be done: end the making of a reply."""

    response_id: str


@dataclass(frozen=True, slots=True)
class Transcribe:
    """To be done: have a file of the client understood."""

    item_id: str
    file: bytes
    language: str | None


Action = Ask | Stop | Transcribe


class Answer(NamedTuple):
    """What follows: for the client, to be done, and for the ASR server."""

    events: list[Event]
    actions: Sequence[Action] = ()
    forward: Event | None = None


@dataclass(slots=True)
class _Reply:
    """A response that is wanted or made.

    Attributes:
        context: What is said before it; None: the conversation as it is when it begins.
        is_begun: It is being made.
    """

    response: Response
    context: list[Item] | None = None
    is_begun: bool = False


class Replies:
    """The responses of one session.

    Args:
        defaults: What counts where the client says nothing.
        items: Of the conversation.
        settings: What is set.

    Attributes:
        settings: What is set now.
        has_sounded: Something was heard of one: its voice stays.
        is_held: Somebody speaks; whoever spoke before is answered when that is over.
        commits: Turns that the client has ended, and that are no items yet: they are waited for.
    """

    def __init__(self, defaults: ConversationDefaults, items: Items, settings: ConversationSettings) -> None:
        self._defaults, self._items, self.settings = defaults, items, settings
        self.has_sounded, self.is_held, self.commits = False, False, 0
        self._conversation_id = make_id("conv")
        self._active: _Reply | None = None
        self._apart: dict[str, _Reply] = {}
        self._owed = list[Item]()

    def owe(self, turn: Item) -> None:
        """Have a turn answered."""
        self._owed.append(turn)

    def forget(self, turn: Item) -> None:
        """Have it not answered."""
        self._owed = [one for one in self._owed if one is not turn]

    def create(self, asked: Mapping[str, object]) -> Answer:
        """Have one made that the client asks for.

        Raises:
            InvalidRequestError: Another one is being made, or what is to be said before it cannot be taken.
        """
        is_apart = asked.get("conversation") == "none"
        if not is_apart and self._active is not None:
            message = f"There is an active response in progress: {self._active.response.id}. Wait until it is finished."
            raise InvalidRequestError(message, code="conversation_already_has_active_response")
        if is_apart and len(self._apart) >= MAX_APART:
            message = f"{MAX_APART} responses outside the conversation are being made; wait for one to be done."
            raise InvalidRequestError(message, code="too_many_responses")
        given, metadata = asked.get("input"), asked.get("metadata")
        context = [self._read_context(item) for item in given] if isinstance(given, list) else None
        response = self._make(asked, metadata if isinstance(metadata, Mapping) else None, is_apart=is_apart)
        reply = _Reply(response, context)
        if is_apart:
            self._apart[response.id] = reply
        else:
            self._active = reply
            self._owed.clear()
        return self.advance(response.open())

    def cancel(self, response_id: object) -> Answer:
        """End one for the client; by no id the one of the conversation, also before it has begun.

        Raises:
            InvalidRequestError: There is none.
        """
        reply = self._active if response_id is None else self._find(response_id)
        if reply is not None:
            return self._end(reply, "client_cancelled")
        if response_id is None and self._owed:
            self._owed.clear()
            response = self._make({})
            return Answer([*response.open(), *response.cancel("client_cancelled")])
        raise InvalidRequestError("Cancellation failed: no active response found", code="response_cancel_not_active")

    def interrupt(self, events: list[Event]) -> Answer:
        """Somebody begins to speak, of which the events tell."""
        if self._active is None or not self.settings.turns.interrupt_response or self.settings.turn_detection is None:
            return Answer(events)
        return self._end(self._active, "turn_detected", events)

    def tell(self, response_id: str, told: ReplyEvent | VoiceStackError) -> Answer:
        """A reply tells something, or has failed; of one that was cancelled nothing follows."""
        if (reply := self._find(response_id)) is None:
            return Answer([])
        if isinstance(told, VoiceStackError):
            self._remove(reply)
            return self.advance(reply.response.fail(told))
        if isinstance(told, ReplyDone) and told.finish_reason == "error":
            return Answer([])  # which comes next
        events = reply.response.take(told)
        self.has_sounded |= reply.response.has_sound
        if not isinstance(told, ReplyDone):
            return Answer(events)
        self._remove(reply)
        return self.advance(events)

    def advance(self, events: list[Event]) -> Answer:
        """Begin what waits no longer for what was said; the events come before."""
        actions = list[Action]()
        if self._active is None and not (self.is_held or any(turn.is_pending for turn in self._owed)):
            events += self._begin_owed()
        for reply in filter(None, (self._active, *self._apart.values())):
            context = list(self._items) if reply.context is None else reply.context
            if not (reply.is_begun or self.commits or any(item.is_pending for item in context)):
                reply.is_begun = True
                actions.append(self._ask(reply.response, context))
        return Answer(events, actions)

    def _begin_owed(self) -> list[Event]:
        """Answer turns in which something was said; one that could not be understood has a response that says so."""
        owed, self._owed = self._owed, []
        failures = [turn.failure for turn in owed if turn.failure is not None]
        is_said = any(turn.text for turn in owed)
        if not (is_said or failures):
            return []
        response = self._make({})
        if not is_said:
            return [*response.open(), *response.fail(UpstreamError(str(failures[-1].get("message"))))]
        self._active = _Reply(response)
        return response.open()

    def _ask(self, response: Response, context: Sequence[Item]) -> Ask:
        messages = messages_for_model(self._defaults.instruct(response.settings), as_messages(context))
        request = ModelRequest(messages, self._defaults.language_model, response.settings.options())
        return Ask(response.id, request, self.settings.choose_voice(response.settings, self._defaults.voice))

    def _read_context(self, sent: object) -> Item:
        if isinstance(sent, Mapping) and sent.get("type") == "item_reference":
            if (item := self._items.find(sent.get("id"))) is None:
                raise InvalidRequestError(f"There is no item {str(sent.get('id'))[:60]!r}.", param="response.input")
            return item
        item, file = read_item(sent, self.settings.format)
        if file:
            message = "Sound in `input` needs its transcript; or create the item first, and refer to it."
            raise InvalidRequestError(message, param="response.input", code="invalid_value")
        return item

    def _make(
        self, asked: Mapping[str, object], metadata: Mapping[str, object] | None = None, *, is_apart: bool = False
    ) -> Response:
        settings = self.settings.reply.changed(asked)
        voice, place = settings.sound.voice or self._defaults.voice, None if is_apart else self._conversation_id
        return Response(settings, voice, place, self._items.place, metadata)

    def _find(self, response_id: object) -> _Reply | None:
        if self._active is not None and self._active.response.id == response_id:
            return self._active
        return self._apart.get(response_id) if isinstance(response_id, str) else None

    def _end(self, reply: _Reply, reason: CancelReason, before: Sequence[Event] = ()) -> Answer:
        self._remove(reply)
        answer = self.advance([*before, *reply.response.cancel(reason)])
        return Answer(answer.events, [Stop(reply.response.id), *answer.actions])

    def _remove(self, reply: _Reply) -> None:
        if reply is self._active:
            self._active = None
        self._apart.pop(reply.response.id, None)
