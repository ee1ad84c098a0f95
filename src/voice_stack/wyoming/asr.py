"""Wyoming's door of the ASR server: sound in while it is spoken, words out as they are settled, at the end the text."""

from collections.abc import Iterator, Mapping
from contextlib import aclosing
from itertools import accumulate
from typing import Literal
from unicodedata import east_asian_width

from pydantic import BaseModel, Field

from voice_stack.asr.live.listener import LiveTranscription
from voice_stack.asr.live.turns import Commit, LiveRequest, LiveSound, SoundFormat, TurnDraft, TurnRules, TurnText
from voice_stack.asr.request import ALL_STEPS, DecodeOptions, WindowText
from voice_stack.asr.service import AsrService
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.http.form import check_fields
from voice_stack.core.jobs import options_from
from voice_stack.core.models.files import looks_like_path
from voice_stack.utils.language import find_characters, read_language
from voice_stack.wyoming.listener import Door, Link, describe_artifact, run_both
from voice_stack.wyoming.wire import Event

PAUSES_S = {"aggressive": 0.25, "default": 0.7, "relaxed": 1.25}
"""After how much silence Home Assistant itself takes a command for over, by `vad_sensitivity`."""
SPEECH_THRESHOLD = 0.35
"""As for files: a quiet word is not lost."""
MAX_HOTWORDS_CHARS = 4000


class Asked(BaseModel):
    """The data of `transcribe`."""

    name: str | None = Field(None, max_length=200)
    language: str | None = Field(None, max_length=100)
    vad_sensitivity: str | None = None
    transcript_names: tuple[str, ...] | None = None
    transcript_terms: tuple[str, ...] | None = None

    @property
    def hotwords(self) -> str | None:
        """The words to expect, names first, as many as there is room for."""
        given = (*(self.transcript_names or ()), *(self.transcript_terms or ()))
        words = list(dict.fromkeys(filter(None, map(str.strip, given))))
        ends = accumulate(len(word) + 2 for word in words)
        return ", ".join(word for word, end in zip(words, ends, strict=True) if end <= MAX_HOTWORDS_CHARS) or None


class SoundKind(BaseModel):
    """How sound is written, as `audio-start` and each `audio-chunk` say: little-endian samples of one channel."""

    rate: int = Field(16_000, ge=4_000, le=384_000)
    width: Literal[2] = 2
    channels: Literal[1] = 1


class TurnTexts:
    """What was said, turn by turn, and what of it was told.

    Attributes:
        language: Of the first words; None before them.
    """

    def __init__(self) -> None:
        self.language: str | None = None
        self._final: dict[int, str] = {}
        self._told: dict[int, str] = {}

    def draft(self, turn: int, text: str) -> str:
        """What words add that will stay."""
        text, told = text.strip(), self._told.get(turn, "")
        if text.startswith(told):
            rest = text[len(told) :]
        else:  # a word that was told is heard otherwise now: as many words as were told are skipped
            rest = "".join(f" {word}" for word in text.split()[len(told.split()) :])
        if not rest:
            return ""
        gap = _gap(text) if not told and any(self._told.values()) else ""
        self._told[turn] = told + rest
        return gap + rest

    def settle(self, turn: int, window: WindowText) -> str:
        """What the final text of a window adds."""
        self._final[turn] = self._final.get(turn, "") + "".join(segment.text for segment in window.segments)
        self.language = self.language or next((segment.language for segment in window.segments), None) or None
        return self.draft(turn, self._final[turn])

    @property
    def text(self) -> str:
        """The final text of all turns."""
        parts = [text for turn in sorted(self._final) if (text := self._final[turn].strip())]
        return "".join(_gap(part) * bool(number) + part for number, part in enumerate(parts))


def _gap(text: str) -> str:
    """What stands before a sentence that follows another: nothing in Chinese and Japanese."""
    return "" if east_asian_width(text[0]) in "WF" else " "


class AsrDoor(Door):
    """See `Door`."""

    title = "Speech to text"
    events = frozenset({"transcribe", "audio-start", "audio-chunk", "audio-stop"})

    def __init__(self, service: AsrService) -> None:
        self._service = service

    def describe(self) -> Mapping[str, object]:
        """See `Door.describe`: models by the names they have over HTTP.

        The end of a command is Home Assistant's to find, by the device's own setting for it.
        """
        program = describe_artifact(
            self._service.settings.project_name,
            self.title,
            models=list(self._describe_models()),
            supports_transcript_streaming=True,
            requires_external_vad=True,
        )
        return {"asr": [program]}

    def _describe_models(self) -> Iterator[dict[str, object]]:
        names, service = self._service.models, self._service
        # The first of a model's names is found last, and stays: its own, or for the default one of OpenAI's.
        named = {names.resolve(name): name for name in reversed(names.names()) if not service.is_provided(name)}
        for model in sorted(named, key=lambda model: model != names.default):
            # Where the operator keeps it is nobody's business.
            shown = named[model] if looks_like_path(model) else model
            described = describe_artifact(shown, shown, languages=list(service.capabilities(model).languages))
            yield {**described, "installed": model == names.default or service.store.is_local(model)}

    async def take(self, link: Link, event: Event) -> None:
        """See `Door.take`: `transcribe` may be left out; `audio-stop` ends the request."""
        if event.type == "audio-stop":
            return  # of sound that never began
        async with link.request("transcribe") as log_fields:
            asked = Asked()
            while event.type == "transcribe":
                asked = check_fields(Asked, event.data)
                event = await link.next()
            kind = check_fields(SoundKind, event.data)
            live = await self._begin(asked, kind.rate)
            log_fields |= {"model": asked.name or self._service.models.default, "audio_s": 0.0}
            await run_both(_feed(link, event, kind, live, log_fields), _tell(link, live, log_fields))

    async def _begin(self, asked: Asked, rate: int) -> LiveTranscription:
        service, language = self._service, read_language(asked.language)
        decode = options_from(
            DecodeOptions, service.settings, language=language.code if language else None, hotwords=asked.hotwords
        )
        pause_s = PAUSES_S.get(asked.vad_sensitivity or "", PAUSES_S["default"])
        rules = TurnRules(threshold=SPEECH_THRESHOLD, silence_s=pause_s)
        characters = find_characters(asked.language)
        request = LiveRequest(decode, SoundFormat(sample_rate=rate), rules, ALL_STEPS, characters=characters)
        model = service.models.resolve(asked.name) if asked.name else service.models.default
        return await service.listen(model, request)


async def _feed(
    link: Link, event: Event, kind: SoundKind, live: LiveTranscription, log_fields: dict[str, object]
) -> None:
    """Hand on the sound until it stops; what no rule has closed by then is the last turn."""
    size = 0
    while event.type != "audio-stop":
        if event.payload:
            known = kind.model_dump()
            if (other := check_fields(SoundKind, {**known, **event.data})) != kind:
                raise InvalidRequestError(f"the sound changes from {known} to {other.model_dump()}", param="rate")
            size += len(event.payload)
            log_fields["audio_s"] = round(size / 2 / kind.rate, 2)
            await live.feed(LiveSound(event.payload))
        event = await link.next()
    await live.feed(Commit())
    live.close()


async def _tell(link: Link, live: LiveTranscription, log_fields: dict[str, object]) -> None:
    """Tell the words as they are settled, and at the end the text, which is right where a word was settled too soon."""
    texts = TurnTexts()
    await link.send("transcript-start")
    async with aclosing(live.outputs()) as outputs:
        async for output in outputs:
            match output:
                case TurnDraft(turn, text):
                    piece = texts.draft(turn, text)
                case TurnText(turn, window):
                    piece = texts.settle(turn, window)
                case _:
                    continue
            if piece:
                await link.send("transcript-chunk", {"text": piece})
    language = {"language": texts.language} if texts.language else {}
    log_fields |= language
    await link.send("transcript", {"text": texts.text, **language})
    await link.send("transcript-stop")
