"""What a session of OpenAI's Realtime wire says of the sound that goes in: format, transcription, turns.

A setting that cannot be had is no error, because most clients give up at any: it is left as it was, and what counts is
shown. The flat session of the beta is understood as well.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from voice_stack.utils.language import find_language, is_to_be_found

MAX_PROMPT_CHARS = 4_000
"""Several times what a model reads of it, which is its end."""
MAX_KEYWORDS, MAX_KEYWORD_CHARS, MAX_NAME_CHARS = 100, 4_000, 40
LOGPROBS = "item.input_audio_transcription.logprobs"
"""The one thing that `include` may ask for."""


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


class SettingsPart(BaseModel):
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


class AudioFormat(SettingsPart):
    """How the sound is written; OpenAI has 24 kHz alone."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: int = Field(24_000, ge=8_000, le=48_000)

    def show(self) -> dict[str, object]:
        """G.711 has one rate, which goes without saying."""
        return self.model_dump() if self.type == "audio/pcm" else {"type": self.type}


class NoiseReduction(SettingsPart):
    """Shown to who asked for it; nothing is done. Without a type it is off."""

    type: Literal["near_field", "far_field"] | None = None
    strength: Annotated[float, Field(ge=0, le=1)] | None = None

    def show(self) -> dict[str, object] | None:
        """Null where it is off."""
        return self.model_dump(exclude_none=True) if self.type else None


class TranscriptionSettings(SettingsPart):
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


class ServerVad(SettingsPart):
    """`server_vad`: silence ends a turn. Nobody is waited for after what was played."""

    type: Literal["server_vad"] = "server_vad"
    threshold: Annotated[float, Field(allow_inf_nan=False), _within(0.01, 0.99)] = 0.5
    prefix_padding_ms: Annotated[int, _within(0, 10_000)] = 300
    silence_duration_ms: Annotated[int, _within(50, 60_000)] = 500
    idle_timeout_ms: None = None


class SemanticVad(SettingsPart):
    """`semantic_vad`: a turn ends when what was said is complete."""

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"


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


OLDER_NAMES = {
    "input_audio_format": "format",
    "input_audio_noise_reduction": "noise_reduction",
    "input_audio_transcription": "transcription",
    "turn_detection": "turn_detection",
}
OLDER_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
"""Of the beta: its names of sound, and ours."""


class InputSettings(BaseModel):
    """What a client may set of what it sends; all values are good ones."""

    model_config = ConfigDict(frozen=True)

    format: AudioFormat = AudioFormat()
    noise_reduction: NoiseReduction = NoiseReduction()
    transcription: TranscriptionSettings = TranscriptionSettings()
    turn_detection: TurnDetection = ServerVad()
    include: tuple[str, ...] = ()

    def changed(self, sent: Mapping[str, object]) -> Self:
        """With what was sent of a session, in today's form or in the flat one of the beta, or both."""
        given = read_input(sent)
        written = given.get("format", {})
        if isinstance(written, str):
            written = {"type": OLDER_FORMATS.get(written, written)}
        include = sent.get("include", self.include)
        changes = {
            "format": self.format.changed(written),
            "noise_reduction": self.noise_reduction.changed(given.get("noise_reduction", {})),
            "transcription": self.transcription.changed(given.get("transcription", {})),
            "turn_detection": _change_turns(self.turn_detection, given.get("turn_detection", {})),
            "include": (LOGPROBS,) if isinstance(include, list | tuple) and LOGPROBS in include else (),
        }
        return self.model_copy(update=changes)

    def show_input(self) -> dict[str, object]:
        """`audio.input`, as it is sent."""
        return {
            "format": self.format.show(),
            "noise_reduction": self.noise_reduction.show(),
            "transcription": self.transcription.show(),
            "turn_detection": self.turn_detection.model_dump() if self.turn_detection else None,
        }


def read_input(sent: Mapping[str, object]) -> dict[str, object]:
    """What a session says of `audio.input`, in either form."""
    audio = sent.get("audio")
    sound = audio.get("input") if isinstance(audio, Mapping) else None
    older = {name: sent[flat] for flat, name in OLDER_NAMES.items() if flat in sent}
    return older | (dict(sound) if isinstance(sound, Mapping) else {})
