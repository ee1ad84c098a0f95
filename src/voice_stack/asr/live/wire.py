"""What a client may set of a session that transcribes, what that asks of the engine, and which model it has."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import PurePath

from voice_stack.asr.live.turns import LiveRequest, SoundFormat, TurnRules
from voice_stack.asr.models import AsrCapabilities
from voice_stack.asr.transcript import TokenLogprob
from voice_stack.core.errors import ModelNotFoundError, UnsupportedValueError
from voice_stack.core.http.form import check_fields
from voice_stack.core.http.realtime import ClientSecretBody, SecretLife, make_client_secret, make_id
from voice_stack.utils.audio.g711 import RATE as G711_RATE
from voice_stack.utils.language import find_characters, find_code
from voice_stack.utils.live_settings import (
    OLDER_FORMATS,
    OLDER_NAMES,
    AudioFormat,
    InputSettings,
    SemanticVad,
    ServerVad,
    TranscriptionSettings,
    TurnDetection,
)

CLIENT_EVENTS = (
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.retrieve",
    "conversation.item.delete",
)


DIARIZE_MODEL = "gpt-4o-transcribe-diarize"
"""OpenAI's, here the default model: its name says that who speaks is asked."""
_STEPS_S = {"minimal": 0.25, "high": 1.0}
"""How often words are looked for, by `delay`; otherwise every 0.5 s."""


class SessionSettings(InputSettings):
    """A session that transcribes, as it asks the engine and as it is shown."""

    def show(self, *, is_flat: bool = False) -> dict[str, object]:
        """As it is sent, or as the beta had it; create_response and its like mean nothing here and are not shown."""
        sound, include = self.show_input(), {"include": list(self.include) or None}
        if is_flat:
            sound["format"] = next(name for name, kind in OLDER_FORMATS.items() if kind == self.format.type)
            return {**include, **{older: sound[name] for older, name in OLDER_NAMES.items()}}
        return {"type": "transcription", **include, "audio": {"input": sound}}

    def ask(self, base: LiveRequest) -> LiveRequest:
        """What it asks of the engine.

        Args:
            base: What the server's settings say; it counts where the session says nothing.
        """
        heard = self.transcription
        return replace(
            base,
            decode=replace(
                base.decode,
                language=find_code(heard.language) if heard.language else base.decode.language,
                prompt=heard.prompt or None,
                hotwords=", ".join(heard.keywords) or None,
                token_logprobs=bool(self.include),
            ),
            sound=find_sound(self.format),
            rules=_find_rules(self.turn_detection),
            candidate_languages=() if heard.language else tuple(dict.fromkeys(map(find_code, heard.languages))),
            characters=find_characters(heard.language, *heard.languages) or base.characters,
            has_drafts=heard.delay != "xhigh",
            draft_step_s=_STEPS_S.get(heard.delay or "", base.draft_step_s),
        )


def find_sound(written: AudioFormat) -> SoundFormat:
    """How sound is written, for the engine."""
    if written.type == "audio/pcm":
        return SoundFormat("pcm", written.rate)
    return SoundFormat("pcmu" if written.type == "audio/pcmu" else "pcma", G711_RATE)


def _find_rules(turns: TurnDetection) -> TurnRules:
    match turns:
        case ServerVad():
            prefix_s, silence_s = turns.prefix_padding_ms / 1000, turns.silence_duration_ms / 1000
            return TurnRules("silence", turns.threshold, prefix_s, silence_s)
        case SemanticVad():
            return TurnRules("semantic", eagerness=turns.eagerness)
    return TurnRules("none")


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
        heard = _fit(asked.transcription.model_copy(update={"model": shown} | who), can)
        include = asked.include if can.token_logprobs else ()
        return asked.model_copy(update={"transcription": heard, "include": include})

    def _find(self, name: str) -> tuple[str, str]:
        name = name or self.default
        with suppress(ModelNotFoundError):
            return name, self.resolve(name)
        return self.default, self.default


def _fit(heard: TranscriptionSettings, can: AsrCapabilities) -> TranscriptionSettings:
    """Without what a model cannot do."""
    kept = {
        "language": heard.language if find_code(heard.language or "") in can.languages else None,
        "languages": tuple(name for name in heard.languages if find_code(name) in can.languages),
        "prompt": heard.prompt if can.prompt else None,
        "keywords": heard.keywords if can.prompt else (),
    }
    return heard.model_copy(update=kept)


def make_item(item_id: str, transcript: str | None = None) -> dict[str, object]:
    """A turn of the user; its transcript is left out until it is known, as some clients refuse null."""
    said = {"type": "input_audio"} | ({} if transcript is None else {"transcript": transcript})
    named = {"id": item_id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user"}
    return {**named, "content": [said]}


def show_token(token: TokenLogprob) -> dict[str, object]:
    """A token as `logprobs` has it."""
    return {"token": token.text, "bytes": list(token.data), "logprob": max(-100.0, round(token.logprob, 6))}


def grant(choice: ModelChoice, body: Mapping[str, object], now_s: float, key_id: str = "") -> dict[str, object]:
    """The answer to who asks for a secret.

    Args:
        choice: Which model the session may have.
        body: As sent.
        now_s: Seconds since 1970.
        key_id: Of the key that it is asked with, if one is needed.

    Raises:
        InvalidRequestError: It is for no transcription session, or for too long a time, or too much is set.
    """
    asked = check_fields(ClientSecretBody, body)
    if (kind := asked.session.get("type")) not in (None, "transcription"):
        message = f"This server has no session of type {str(kind)[:40]!r}; use 'transcription'."
        raise UnsupportedValueError(message, param="session.type")
    expires_at = int(now_s) + check_fields(SecretLife, asked.expires_after).seconds
    settings = choice.fit(SessionSettings().changed(asked.session))
    session = {"id": make_id("sess"), "object": "realtime.transcription_session", **settings.show()}
    return {
        "value": make_client_secret(settings.show(), expires_at, key_id),
        "expires_at": expires_at,
        "session": session,
    }


def grant_flat(choice: ModelChoice, body: Mapping[str, object], now_s: float, key_id: str = "") -> dict[str, object]:
    """The same as the beta had it: the body is the session.

    Raises:
        InvalidRequestError: As for `grant`.
    """
    secret = body.get("client_secret")
    life = secret if isinstance(secret, Mapping) else {}
    asked = {"session": {**body, "type": None}, "expires_after": life.get("expires_after") or life.get("expires_at")}
    granted = grant(choice, {name: value for name, value in asked.items() if value}, now_s, key_id)
    session = choice.fit(SessionSettings().changed(body)).show(is_flat=True)
    named = {"id": make_id("sess"), "object": "realtime.transcription_session", "modalities": ["text"]}
    return {**named, **session, "client_secret": {name: granted[name] for name in ("value", "expires_at")}}
