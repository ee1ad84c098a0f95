"""What a client may set of a conversation over OpenAI's Realtime wire, how that is shown, and what it asks for.

As everywhere on this wire, what cannot be had is no error: it is left as it was, and what counts is shown.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field

from voice_stack.chat.conversation import VoiceChoice
from voice_stack.utils.language import find_code
from voice_stack.utils.live_settings import (
    OLDER_FORMATS,
    AudioFormat,
    InputSettings,
    SettingsPart,
    read_input,
)

MAX_NAME_CHARS = 200
_OLDER_REPLY_NAMES = {"modalities": "output_modalities", "max_response_output_tokens": "max_output_tokens"}
_CHOICES = ("auto", "none", "required")


def _read_format(sent: object) -> object:
    return {"type": OLDER_FORMATS.get(sent, sent)} if isinstance(sent, str) else sent


def _read_voice(sent: object) -> object:
    return sent.get("id") if isinstance(sent, Mapping) else sent


def _read_modalities(sent: object) -> object:
    """Sound goes with its text, so that who asks for both gets both."""
    if not isinstance(sent, list | tuple):
        return sent
    return "audio" if "audio" in sent else "text" if "text" in sent else None


def _read_tools(sent: object) -> object:
    """The functions among them: nothing else can be called from here."""
    if not isinstance(sent, list | tuple):
        return sent
    return tuple(
        {name: tool[name] for name in ("type", "name", "description", "parameters") if tool.get(name) is not None}
        for tool in sent
        if isinstance(tool, Mapping) and tool.get("type") == "function" and isinstance(tool.get("name"), str)
    )


def _check_choice(sent: object) -> object:
    if sent in _CHOICES:
        return sent
    if isinstance(sent, Mapping) and sent.get("type") == "function" and isinstance(sent.get("name"), str):
        return {"type": "function", "name": sent["name"]}
    raise ValueError("it is none of auto, none, required, and names no function")


class _OutputFormat(AudioFormat):
    """The TTS server's own rate, which is OpenAI's as well."""

    rate: int = Field(24_000, ge=24_000, le=24_000)


class OutputSound(SettingsPart):
    """`audio.output`: how a reply is spoken."""

    format: Annotated[_OutputFormat, BeforeValidator(_read_format)] = _OutputFormat()
    voice: Annotated[str, BeforeValidator(_read_voice), Field(min_length=1, max_length=MAX_NAME_CHARS)] | None = None
    speed: Annotated[float, Field(allow_inf_nan=False), AfterValidator(lambda value: min(max(value, 0.25), 1.5))] = 1.0


class ReplySettings(SettingsPart):
    """What a reply is like; `response.create` may change it for one."""

    output_modalities: Annotated[Literal["audio", "text"], BeforeValidator(_read_modalities)] = "audio"
    instructions: str | None = None
    tools: Annotated[tuple[dict[str, object], ...], BeforeValidator(_read_tools)] = ()
    tool_choice: Annotated[str | dict[str, object], BeforeValidator(_check_choice)] = "auto"
    max_output_tokens: Annotated[int, Field(ge=1)] | Literal["inf"] = "inf"
    sound: OutputSound = OutputSound()

    def changed(self, sent: object) -> Self:
        """With what was sent of a session or of a response, in today's form or in that of the beta."""
        given = dict(sent) if isinstance(sent, Mapping) else {}
        audio = given.get("audio")
        output = audio.get("output") if isinstance(audio, Mapping) else None
        older = {name: given[name] for name in ("voice", "speed") if name in given}
        older |= {"format": given["output_audio_format"]} if "output_audio_format" in given else {}
        renamed = {new: given[old] for old, new in _OLDER_REPLY_NAMES.items() if old in given}
        reply = super().changed({name: value for name, value in (renamed | given).items() if name != "sound"})
        spoken = self.sound.changed(older | (dict(output) if isinstance(output, Mapping) else {}))
        return reply.model_copy(update={"sound": spoken})

    @property
    def is_spoken(self) -> bool:
        """Whether it has sound."""
        return self.output_modalities == "audio"

    def options(self) -> dict[str, object]:
        """The fields of OpenAI's chat that ask for the same."""
        options: dict[str, object] = {}
        if self.tools:
            options["tools"] = [
                {"type": "function", "function": {name: part for name, part in tool.items() if name != "type"}}
                for tool in self.tools
            ]
            if isinstance(self.tool_choice, dict):
                options["tool_choice"] = {"type": "function", "function": {"name": self.tool_choice["name"]}}
            elif self.tool_choice != "auto":
                options["tool_choice"] = self.tool_choice
        return options if self.max_output_tokens == "inf" else options | {"max_tokens": self.max_output_tokens}


class _Turns(SettingsPart):
    """What follows when somebody begins to speak, and when a turn ends; asks nothing of who hears."""

    create_response: bool = True
    interrupt_response: bool = True


class ConversationSettings(InputSettings):
    """All that a client may set of a conversation.

    Attributes:
        model: As the client named it.
        reply: What replies are like.
        turns: What follows from turns.
        tells_transcripts: Whether what the user said is told, and not only understood.
    """

    model: str = ""
    reply: ReplySettings = ReplySettings()
    turns: _Turns = _Turns()
    tells_transcripts: bool = False

    def changed(self, sent: Mapping[str, object]) -> Self:
        """With what was sent of a session, in today's form or in the flat one of the beta, or both."""
        given, model = read_input(sent), sent.get("model")
        is_named = isinstance(model, str) and 0 < len(model) <= MAX_NAME_CHARS
        tells = self.tells_transcripts if "transcription" not in given else isinstance(given["transcription"], Mapping)
        changes = {
            "model": model if is_named else self.model,
            "reply": self.reply.changed(sent),
            "turns": self.turns.changed(given.get("turn_detection") or {}),
            "tells_transcripts": tells,
        }
        return super().changed(sent).model_copy(update=changes)

    def heard_as(self, shown: Mapping[str, object]) -> Self:
        """With what the ASR server says that counts of it."""
        return self.model_copy(update=dict(InputSettings().changed(shown)))

    def ask_listener(self) -> dict[str, object]:
        """The transcription session that hears for it: all of its settings, so that none of before is left."""
        transcription = self.transcription.model_dump(mode="json", exclude={"model"})
        named = {"model": self.transcription.model} if self.transcription.model else {}
        sound = {**self.show_input(), "transcription": transcription | named}
        return {"type": "transcription", "audio": {"input": sound}, "include": list(self.include)}

    def choose_voice(self, reply: ReplySettings, default: str) -> VoiceChoice | None:
        """How a reply is spoken; None: it is not."""
        if not reply.is_spoken:
            return None
        spoken = self.transcription.language
        language = find_code(spoken) if spoken else None
        return VoiceChoice(reply.sound.voice or default, language=language, speed=reply.sound.speed)

    def show(self, base: "ConversationDefaults") -> dict[str, object]:
        """As it is sent."""
        reply, sound = self.reply, self.show_input()
        if self.turn_detection is not None:
            shown = self.turn_detection.model_dump()
            sound["turn_detection"] = shown | self.turns.model_dump()
        sound["transcription"] = (
            (self.transcription.show() or {"model": "whisper-1"}) if self.tells_transcripts else None
        )
        voice, instructions = reply.sound.voice or base.voice, base.instruct(reply)
        named: dict[str, object] = {"model": self.model or base.model, "instructions": instructions}
        named |= {"tools": list(reply.tools), "tool_choice": reply.tool_choice}
        return named | {
            "type": "realtime",
            "output_modalities": [reply.output_modalities],
            "max_output_tokens": reply.max_output_tokens,
            "tracing": None,
            "truncation": "auto",
            "include": list(self.include) or None,
            "audio": {
                "input": sound,
                "output": {"format": reply.sound.format.show(), "voice": voice, "speed": reply.sound.speed},
            },
        }


class ConversationDefaults(SettingsPart):
    """What counts where a session says nothing.

    Attributes:
        model: The name that is shown.
        voice: Of the server's settings, like `instructions`.
        language_model: The one that answers; empty: that of the settings.
    """

    model: str = "gpt-realtime"
    voice: str = ""
    instructions: str = ""
    language_model: str = ""

    def instruct(self, reply: ReplySettings) -> str:
        """What the language model is told first."""
        return self.instructions if reply.instructions is None else reply.instructions
