"""Speech while it is spoken: the events of a session of OpenAI's Realtime, typed."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote

import httpx2

from voice_stack.client.errors import ApiError, BadRequestError, ErrorDetails, InvalidResponseError, excerpt
from voice_stack.client.events import load_event, told_error
from voice_stack.client.live import Talk
from voice_stack.client.options import ListenOptions
from voice_stack.client.results import number_of, object_of, optional_number_of, text_of


@dataclass(frozen=True)
class ListeningStarted:
    """The first event; `session_id` is what the transcript can be had by afterwards."""

    session_id: str


@dataclass(frozen=True)
class SpeechStarted:
    """Somebody speaks; times are in seconds from the start of the sound."""

    item_id: str
    start_s: float


@dataclass(frozen=True)
class SpeechStopped:
    """Nobody speaks any more: the text of the turn follows."""

    item_id: str
    end_s: float


@dataclass(frozen=True)
class TextDelta:
    """Further words of a turn, while it is spoken; joined they are its text so far."""

    item_id: str
    delta: str


@dataclass(frozen=True)
class TextCompleted:
    """The final text of a turn, and when it was said; `languages` are codes."""

    item_id: str
    text: str
    start_s: float
    end_s: float
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class SpeakerSegment:
    """Some words of a turn, and who said them: a name that the server knows, `A`, `B`, or `unknown`."""

    item_id: str
    speaker: str
    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class TextFailed:
    """A turn has no text, or sound belongs to none (`item_id` is empty); listening goes on."""

    item_id: str
    message: str
    code: str | None = None


LiveEvent: TypeAlias = (
    ListeningStarted | SpeechStarted | SpeechStopped | TextDelta | TextCompleted | SpeakerSegment | TextFailed
)

TRANSCRIPT_OF: Final = "/realtime/sessions/{}/transcript?response_format="
_TRANSCRIPTION = "conversation.item.input_audio_transcription."
_BUFFER = "input_audio_buffer."
_LAST_COMMIT = "the-last"
_PIECE_BYTES = 96_000


class ListeningTalk(Talk[bytes, LiveEvent]):
    """A session: sound is sent, and then a commit and a clear, whose answer comes when all turns are known."""

    def __init__(self, request: httpx2.Request, options: ListenOptions) -> None:
        super().__init__(request)
        language = options.get("language")
        self._language = None if language == "auto" else language
        self._asks_speakers = options.get("diarize", False)
        update = {"type": "session.update", "session": _session(options)}
        commit = {"type": f"{_BUFFER}commit", "event_id": _LAST_COMMIT}
        self.beginning = (json.dumps(update),)
        self.ending = (json.dumps(commit), json.dumps({"type": f"{_BUFFER}clear"}))
        self._times: dict[str, list[float]] = {}
        self._waiting = set[str]()
        self._unlabelled: dict[str, int] = {}
        self._until_s = 0.0
        self._has_ended = False

    @staticmethod
    def path(options: ListenOptions) -> str:
        """Of the session, below the API prefix."""
        return f"/realtime?model={quote(options.get('model', 'whisper-1'), safe='')}"

    def messages(self, piece: bytes) -> Iterator[str]:
        """Sound as the wire has it."""
        for start in range(0, len(piece), _PIECE_BYTES):
            audio = base64.b64encode(piece[start : start + _PIECE_BYTES]).decode()
            yield json.dumps({"type": f"{_BUFFER}append", "audio": audio})

    def read(self, message: str | bytes) -> Iterator[LiveEvent]:
        """What a message tells; types that are not known tell nothing.

        Raises:
            BadRequestError: The model does not know the language.
            InvalidResponseError: The message is not what the API says.
        """
        data = message if isinstance(message, str) else message.decode("utf-8", "replace")
        event = load_event(data, self.answer)
        try:
            if told := self._tell(str(event.get("type")), event, data):
                yield told
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidResponseError(f"{self.url} sent an event that cannot be read: {excerpt(data)}") from error
        self.is_over = self._has_ended and not self._waiting and not self._unlabelled

    def _tell(self, kind: str, event: Mapping[str, object], data: str) -> LiveEvent | None:
        item = str(event.get("item_id", ""))
        match kind.removeprefix(_BUFFER).removeprefix(_TRANSCRIPTION):
            case "session.created":
                return ListeningStarted(text_of(object_of(event["session"]), "id"))
            case "session.updated":
                self._check_settings(object_of(event["session"]))
            case "speech_started":
                self._times[item] = [number_of(event, "audio_start_ms") / 1000]
                return SpeechStarted(item, *self._times[item])
            case "speech_stopped":
                self._times.setdefault(item, [self._until_s]).append(number_of(event, "audio_end_ms") / 1000)
                return SpeechStopped(item, self._times[item][-1])
            case "committed":
                self._waiting.add(item)
            case "cleared":
                self._has_ended = True
            case "delta":
                return TextDelta(item, text_of(event, "delta"))
            case "completed" | "segment":
                return (self._label if kind.endswith("segment") else self._complete)(item, event)
            case "failed" | "error":
                return self._fail(item, event, data)
        return None

    def _complete(self, item: str, event: Mapping[str, object]) -> TextCompleted:
        self._waiting.discard(item)
        if isinstance(self.failure, ApiError):
            self.failure = None
        usage = object_of(event.get("usage", {}))
        start_s, *end_s = self._times.pop(item, [self._until_s])
        self._until_s = end_s[-1] if end_s else start_s + (optional_number_of(usage, "seconds") or 0.0)
        languages = event.get("languages")
        codes = tuple(text_of(object_of(one), "code") for one in (languages if isinstance(languages, list) else ()))
        text = text_of(event, "transcript")
        if self._asks_speakers and (letters := _count_letters(text)):
            self._unlabelled[item] = letters
        return TextCompleted(item, text, start_s, self._until_s, codes)

    def _label(self, item: str, event: Mapping[str, object]) -> SpeakerSegment:
        text = text_of(event, "text")
        if item in self._unlabelled:
            self._unlabelled[item] -= _count_letters(text)
            if self._unlabelled[item] <= 0:
                del self._unlabelled[item]
        times = number_of(event, "start"), number_of(event, "end")
        return SpeakerSegment(item, text_of(event, "speaker"), text, *times)

    def _fail(self, item: str, event: Mapping[str, object], data: str) -> TextFailed | None:
        self._waiting.discard(item)
        told = object_of(event["error"])
        if told.get("event_id") == _LAST_COMMIT and told.get("code") == "input_audio_buffer_commit_empty":
            return None  # all sound belongs to turns that are known
        error = told_error(data, self.answer)
        if not item and self.failure is None:
            self.failure = error  # if the connection ends now, this is why
        return TextFailed(item, error.message, error.code)

    def _check_settings(self, session: Mapping[str, object]) -> None:
        """The server leaves out without a word what a model does not know, or what it cannot do."""
        heard = object_of(object_of(object_of(session["audio"])["input"])["transcription"])
        if self._language and not heard.get("language"):
            message = f"the model {heard.get('model')} does not know the language {self._language!r}"
            raise BadRequestError(400, ErrorDetails(message, param="language"))
        if self._asks_speakers and not heard.get("diarize"):
            message = "this server tells no speakers in live sessions: a model for that is not there, or switched off"
            raise BadRequestError(400, ErrorDetails(message, param="diarize"))


def _count_letters(text: str) -> int:
    """Of a text that was cut, which costs it blanks alone."""
    return len("".join(text.split()))


def _session(options: ListenOptions) -> dict[str, object]:
    asked: dict[str, object] = {name: options.get(name) for name in ("model", "language", "prompt", "diarize")}
    hotwords = options.get("hotwords")
    heard = {name: value for name, value in asked.items() if value} | ({"keywords": list(hotwords)} if hotwords else {})
    known: dict[str, object] = {"silence_duration_ms": options.get("silence_ms"), "threshold": options.get("threshold")}
    known |= {"eagerness": options.get("eagerness"), "type": options.get("turn_detection", "server_vad")}
    turns = {name: value for name, value in known.items() if value is not None}
    sound: dict[str, object] = {"format": {"type": "audio/pcm", "rate": options.get("sample_rate", 24_000)}}
    sound |= {"transcription": heard, "turn_detection": turns if "type" in turns else None}
    return {"type": "transcription", "audio": {"input": sound}}
