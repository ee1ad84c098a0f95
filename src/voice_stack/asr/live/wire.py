"""What a client may send over OpenAI's Realtime wire: events, and the session that they set, show and ask a model for.

A setting that cannot be had is no error, because most clients give up at any: it is left as it was, and what counts is
shown. The flat session of the beta is understood as well.
"""

import binascii
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from voice_stack.asr.live.turns import LiveRequest, SoundFormat, TurnRules
from voice_stack.asr.models import AsrCapabilities
from voice_stack.asr.transcript import TokenLogprob
from voice_stack.core.errors import InvalidRequestError, ModelNotFoundError
from voice_stack.core.http.uploads import read_json
from voice_stack.utils.language import find_characters, find_code, find_language, is_to_be_found

MAX_ID_CHARS = 512
INVALID_EVENT = "invalid_event"
CLIENT_EVENTS = (
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.retrieve",
    "conversation.item.delete",
)


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """A frame as read.

    Attributes:
        kind: Its type.
        fields: All it says, but sound.
        sound: What it carries of that, decoded.
        fault: Why it cannot be understood.
    """

    kind: str
    fields: Mapping[str, object]
    sound: bytes = b""
    fault: InvalidRequestError | None = None

    @property
    def id(self) -> str | None:
        """The name that the client gave it; a longer one than 512 characters is forgotten."""
        name = self.fields.get("event_id")
        return name if isinstance(name, str) and len(name) <= MAX_ID_CHARS else None


def read_frame(text: str) -> ClientEvent:
    """Read a frame, which for a large one takes its time."""
    try:
        fields = read_json(text.encode())
    except (ValueError, InvalidRequestError) as error:
        return ClientEvent("", {}, fault=InvalidRequestError(f"This is no JSON text: {error}", code=INVALID_EVENT))
    kind = fields.get("type") if isinstance(fields, dict) else None
    if not isinstance(fields, dict) or not isinstance(kind, str):
        message = f"An event is a JSON object with a type, one of {', '.join(CLIENT_EVENTS)}"
        known = fields if isinstance(fields, dict) else {}
        return ClientEvent("", known, fault=InvalidRequestError(message, param="type", code=INVALID_EVENT))
    if kind != "input_audio_buffer.append":
        return ClientEvent(kind, fields)
    try:
        sound = _decode(fields.pop("audio", None))
    except ValueError as error:
        fault = InvalidRequestError(f"audio must be base64: {error}", param="audio", code="invalid_value")
        return ClientEvent(kind, fields, fault=fault)
    return ClientEvent(kind, fields, sound)


def _decode(audio: object) -> bytes:
    if not isinstance(audio, str):
        raise ValueError("it is no string")  # noqa: TRY004 - told to the client like all that is wrong with it
    return binascii.a2b_base64("".join(audio.split()), strict_mode=True)  # lines are allowed


MAX_PROMPT_CHARS = 4_000
"""Several times what a model reads of it, which is its end."""
MAX_KEYWORDS, MAX_KEYWORD_CHARS, MAX_NAME_CHARS = 100, 4_000, 40
LOGPROBS = "item.input_audio_transcription.logprobs"
"""The one thing that `include` may ask for."""
G711_RATE = 8_000
DIARIZE_MODEL = "gpt-4o-transcribe-diarize"
"""OpenAI's, here the default model: its name says that who speaks is asked."""


def _within(low: float, high: float) -> AfterValidator:
    return AfterValidator(lambda value: min(max(value, low), high))


def _check_language(name: str) -> str | None:
    if not is_to_be_found(name) and find_language(name) is None:
        raise ValueError("no language has that name")
    return None if is_to_be_found(name) else name.strip()


def _pick_languages(names: object) -> object:
    if not isinstance(names, list | tuple):
        return names
    short = (name for name in names[:MAX_KEYWORDS] if isinstance(name, str) and len(name) <= MAX_NAME_CHARS)
    return tuple(dict.fromkeys(name.strip() for name in short if find_language(name)))


def _read_keywords(words: object) -> object:
    """As many whole ones as there is room for."""
    if not isinstance(words, list | tuple):
        return words
    kept, room = list[str](), MAX_KEYWORD_CHARS
    for word in words[:MAX_KEYWORDS]:
        if isinstance(word, str) and word.strip() and len(word) <= room:
            kept.append(word.strip())
            room -= len(word)
    return tuple(kept)


class _Part(BaseModel):
    """A part of the session, in the words of the wire."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    def changed(self, sent: object) -> Self:
        """With what was sent of it; null means as at the beginning, and what does not fit changes nothing."""
        if sent is None:
            return type(self)()
        part, given = self, sent if isinstance(sent, Mapping) else {}
        for name in type(self).model_fields:
            if name in given:
                values = {known: value for known, value in part.model_dump().items() if known != name}
                with suppress(ValidationError):
                    part = type(self).model_validate(values if given[name] is None else values | {name: given[name]})
        return part


class AudioFormat(_Part):
    """How the sound is written; OpenAI has 24 kHz alone."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: int = Field(24_000, ge=8_000, le=48_000)

    def show(self) -> dict[str, object]:
        """G.711 has one rate, which goes without saying."""
        return self.model_dump() if self.type == "audio/pcm" else {"type": self.type}

    def sound(self) -> SoundFormat:
        """The same, for the engine."""
        if self.type == "audio/pcm":
            return SoundFormat("pcm", self.rate)
        return SoundFormat("pcmu" if self.type == "audio/pcmu" else "pcma", G711_RATE)


class NoiseReduction(_Part):
    """Shown to who asked for it; nothing is done. Without a type it is off."""

    type: Literal["near_field", "far_field"] | None = None
    strength: Annotated[float, Field(ge=0, le=1)] | None = None

    def show(self) -> dict[str, object] | None:
        """Null where it is off."""
        return self.model_dump(exclude_none=True) if self.type else None


class Heard(_Part):
    """`transcription`: how speech becomes text."""

    model: str = Field("", max_length=200)
    language: Annotated[str, Field(max_length=MAX_NAME_CHARS), AfterValidator(_check_language)] | None = None
    languages: Annotated[tuple[str, ...], BeforeValidator(_pick_languages)] = ()
    prompt: Annotated[str, AfterValidator(lambda text: text[-MAX_PROMPT_CHARS:])] | None = None
    keywords: Annotated[tuple[str, ...], BeforeValidator(_read_keywords)] = ()
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None
    diarize: bool = False

    def show(self) -> dict[str, object]:
        """What is set of it."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def fit(self, can: AsrCapabilities) -> Self:
        """Without what a model cannot do."""
        kept = {
            "language": self.language if find_code(self.language or "") in can.languages else None,
            "languages": tuple(name for name in self.languages if find_code(name) in can.languages),
            "prompt": self.prompt if can.prompt else None,
            "keywords": self.keywords if can.prompt else (),
        }
        return self.model_copy(update=kept)


class ServerVad(_Part):
    """`server_vad`: silence ends a turn. Nothing is ever played here, so that nobody is waited for after it."""

    type: Literal["server_vad"] = "server_vad"
    threshold: Annotated[float, Field(allow_inf_nan=False), _within(0.01, 0.99)] = 0.5
    prefix_padding_ms: Annotated[int, _within(0, 10_000)] = 300
    silence_duration_ms: Annotated[int, _within(50, 60_000)] = 500
    idle_timeout_ms: None = None

    def rules(self) -> TurnRules:
        """The same, for the engine."""
        prefix_s, silence_s = self.prefix_padding_ms / 1000, self.silence_duration_ms / 1000
        return TurnRules("silence", self.threshold, prefix_s, silence_s)


class SemanticVad(_Part):
    """`semantic_vad`: a turn ends when what was said is complete."""

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"

    def rules(self) -> TurnRules:
        """The same, for the engine."""
        return TurnRules("semantic", eagerness=self.eagerness)


TurnDetection = ServerVad | SemanticVad | None


def _change_turns(current: TurnDetection, sent: object) -> TurnDetection:
    """Another type begins with its own defaults; null: the client commits."""
    if not isinstance(sent, Mapping) or not sent:
        return None if sent is None else current
    kind = sent.get("type") or (current.type if current else "server_vad")
    known: tuple[ServerVad | SemanticVad, ...] = (ServerVad(), SemanticVad())
    for possible in known:
        if kind == possible.type:
            return (current if current is not None and current.type == kind else possible).changed(sent)
    return current


_OLDER_NAMES = {
    "input_audio_format": "format",
    "input_audio_noise_reduction": "noise_reduction",
    "input_audio_transcription": "transcription",
    "turn_detection": "turn_detection",
}
_OLDER_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
_STEPS_S = {"minimal": 0.25, "high": 1.0}
"""How often words are looked for, by `delay`; otherwise every 0.5 s."""


class SessionSettings(BaseModel):
    """What a client may set; all values are good ones."""

    model_config = ConfigDict(frozen=True)

    format: AudioFormat = AudioFormat()
    noise_reduction: NoiseReduction = NoiseReduction()
    transcription: Heard = Heard()
    turn_detection: TurnDetection = ServerVad()
    include: tuple[str, ...] = ()

    def changed(self, sent: Mapping[str, object]) -> "SessionSettings":
        """With what was sent of a session, in today's form or in the flat one of the beta, or both."""
        audio = sent.get("audio")
        sound = audio.get("input") if isinstance(audio, Mapping) else None
        older = {name: sent[flat] for flat, name in _OLDER_NAMES.items() if flat in sent}
        given = older | (dict(sound) if isinstance(sound, Mapping) else {})
        written = given.get("format", {})
        if isinstance(written, str):
            written = {"type": _OLDER_FORMATS.get(written, written)}
        include = sent.get("include", self.include)
        return SessionSettings(
            format=self.format.changed(written),
            noise_reduction=self.noise_reduction.changed(given.get("noise_reduction", {})),
            transcription=self.transcription.changed(given.get("transcription", {})),
            turn_detection=_change_turns(self.turn_detection, given.get("turn_detection", {})),
            include=(LOGPROBS,) if isinstance(include, list | tuple) and LOGPROBS in include else (),
        )

    def show(self, *, is_flat: bool = False) -> dict[str, object]:
        """As it is sent, or as the beta had it; create_response and its like mean nothing here and are not shown."""
        sound: dict[str, object] = {
            "format": self.format.show(),
            "noise_reduction": self.noise_reduction.show(),
            "transcription": self.transcription.show(),
            "turn_detection": self.turn_detection.model_dump() if self.turn_detection else None,
        }
        include = {"include": list(self.include) or None}
        if is_flat:
            sound["format"] = next(name for name, kind in _OLDER_FORMATS.items() if kind == self.format.type)
            return {**include, **{older: sound[name] for older, name in _OLDER_NAMES.items()}}
        return {"type": "transcription", **include, "audio": {"input": sound}}

    def ask(self, base: LiveRequest) -> LiveRequest:
        """What it asks of the engine.

        Args:
            base: What the server's settings say; it counts where the session says nothing.
        """
        heard, turns = self.transcription, self.turn_detection
        return replace(
            base,
            decode=replace(
                base.decode,
                language=find_code(heard.language) if heard.language else base.decode.language,
                prompt=heard.prompt or None,
                hotwords=", ".join(heard.keywords) or None,
                token_logprobs=bool(self.include),
            ),
            sound=self.format.sound(),
            rules=turns.rules() if turns else TurnRules("none"),
            candidate_languages=() if heard.language else tuple(dict.fromkeys(map(find_code, heard.languages))),
            characters=find_characters(heard.language, *heard.languages) or base.characters,
            has_drafts=heard.delay != "xhigh",
            draft_step_s=_STEPS_S.get(heard.delay or "", base.draft_step_s),
        )


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model a session has.

    Attributes:
        default: The server's own.
        resolve: The model behind a name, or `ModelNotFoundError`.
        capabilities: What a model can do.
        can_follow_speakers: Whether speakers can be told apart in a session.
    """

    default: str
    resolve: Callable[[str], str]
    capabilities: Callable[[str], AsrCapabilities]
    can_follow_speakers: Callable[[], bool] = lambda: False

    def find(self, name: str) -> str:
        """The model behind a name; the default where nothing has it."""
        return self._find(name)[1]

    def fit(self, asked: SessionSettings, fixed: str | None = None) -> SessionSettings:
        """Settings with a model that is here, named as the client named it, and without what it cannot do.

        Args:
            asked: The settings.
            fixed: The name of the model that hears already and cannot be changed.
        """
        name, model = self._find(asked.transcription.model)
        if fixed is not None and model != self.find(fixed):
            name, model = self._find(fixed)
        can = self.capabilities(model)
        # Where the operator keeps it is nobody's business.
        shown = PurePath(name).name if name.startswith(("/", "~", ".")) else name
        is_asked = asked.transcription.diarize or name == DIARIZE_MODEL
        who = {"diarize": is_asked and self.can_follow_speakers()}
        heard = asked.transcription.model_copy(update={"model": shown} | who).fit(can)
        include = asked.include if can.token_logprobs else ()
        return asked.model_copy(update={"transcription": heard, "include": include})

    def _find(self, name: str) -> tuple[str, str]:
        name = name or self.default
        with suppress(ModelNotFoundError):
            return name, self.resolve(name)
        return self.default, self.default


def make_item(item_id: str, transcript: str | None = None) -> dict[str, object]:
    """A turn of the user; its transcript is left out until it is known, as some clients refuse null."""
    said = {"type": "input_audio"} | ({} if transcript is None else {"transcript": transcript})
    named = {"id": item_id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user"}
    return {**named, "content": [said]}


def show_token(token: TokenLogprob) -> dict[str, object]:
    """A token as `logprobs` has it."""
    return {"token": token.text, "bytes": list(token.data), "logprob": max(-100.0, round(token.logprob, 6))}
