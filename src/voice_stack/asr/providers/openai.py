"""OpenAI's transcriptions and translations, and those of whoever has the same API.

Whisper models tell segments and words with their times. `gpt-4o-transcribe` and its like tell the text alone;
`gpt-4o-transcribe-diarize` tells who speaks, in segments without words.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel

from voice_stack.asr.models import AsrCapabilities
from voice_stack.asr.providers.answer import Heard, Reader, parse
from voice_stack.asr.providers.sound import Sound
from voice_stack.asr.providers.wire import (
    COUNTS,
    OWN_FIELDS,
    PATIENCE_S,
    Number,
    Wire,
    multipart,
    tell_number,
)
from voice_stack.asr.request import TranscriptionRequest
from voice_stack.asr.transcript import Segment, TokenLogprob, Word
from voice_stack.core.provider_client import Question
from voice_stack.utils.language import find_code


class _Segment(BaseModel):
    text: str
    start: Number
    end: Number
    seek: int | None = None
    tokens: tuple[int, ...] | None = None
    temperature: Number | None = None
    avg_logprob: Number | None = None
    compression_ratio: Number | None = None
    no_speech_prob: Number | None = None
    speaker: str | None = None

    @property
    def ours(self) -> Segment:
        return Segment(
            self.text,
            self.start,
            self.end,
            self.tokens or (),
            self.temperature or 0.0,
            self.avg_logprob or 0.0,
            self.compression_ratio or 0.0,
            self.no_speech_prob or 0.0,
            self.seek or 0,
        )


class _Word(BaseModel):
    word: str
    start: Number
    end: Number


class _Token(BaseModel):
    token: str
    logprob: Number
    bytes: list[int] | None = None

    @property
    def ours(self) -> TokenLogprob:
        data = self.token.encode() if self.bytes is None else bytes(byte & 0xFF for byte in self.bytes)
        return TokenLogprob(data, min(self.logprob, 0.0))


class _Answer(BaseModel):
    text: str
    language: str | None = None
    duration: Number | None = None
    segments: tuple[_Segment, ...] | None = None
    words: tuple[_Word, ...] | None = None
    logprobs: tuple[_Token, ...] | None = None


Kind = Literal["whisper", "text", "speakers"]


def _kind(model: str) -> Kind:
    name = model.rpartition("/")[2]
    if "diarize" in name:
        return "speakers"
    return "text" if name.startswith("gpt-") else "whisper"


_CAPABILITIES: dict[Kind, AsrCapabilities] = {
    "whisper": AsrCapabilities(token_logprobs=False, alignment=False),
    "text": AsrCapabilities(
        translate=False, words=False, alignment=False, times=False, tells_language=False
    ),
    "speakers": AsrCapabilities(
        translate=False, words=False, token_logprobs=False, alignment=False, speakers=True,
        tells_language=False,
    ),
}  # fmt: skip


class OpenAiWire(Wire):
    """See the module."""

    models = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize")
    max_bytes = 25_000_000

    def capabilities(self, model: str) -> AsrCapabilities:
        return _CAPABILITIES[_kind(model)]

    def unheeded(self, model: str) -> frozenset[str]:
        without = {"languages"} | ({"prompt", "hotwords", "keywords", *COUNTS} if _kind(model) == "speakers" else set())
        return OWN_FIELDS | without

    def ask(self, model: str, request: TranscriptionRequest, sound: Sound) -> Question:
        fields, is_translation = [("model", model)], request.decode.task == "translate"
        if request.decode.language and not is_translation:
            fields.append(("language", request.decode.language))
        fields += _FORMATS[_kind(model)](request)
        if request.decode.temperature and _kind(model) != "speakers":
            fields.append(("temperature", tell_number(request.decode.temperature)))
        prompt = ". ".join(filter(None, (request.decode.hotwords, request.decode.prompt)))
        if prompt.strip() and _kind(model) != "speakers":
            fields.append(("prompt", prompt))
        path = "/audio/translations" if is_translation else "/audio/transcriptions"
        return Question(path, multipart(fields, sound), model=model, answer_timeout_s=PATIENCE_S + sound.duration_s)

    def read(self, content: bytes, request: TranscriptionRequest, duration_s: float) -> Heard:
        answer, decode = parse("openai", _Answer, content), request.decode
        told = find_code(answer.language or "") if request.decode.task == "transcribe" else ""
        reader = Reader("openai", request, duration_s, decode.language or told)
        reader.require_whole(answer.duration or None)
        segments = None
        if answer.segments is not None:
            segments = [replace(part.ours, speaker=reader.speaker(part.speaker)) for part in answer.segments]
        words = None
        if answer.words is not None and decode.word_timestamps:
            words = [Word(word.word, word.start, word.end, 1.0) for word in answer.words]
        text = _without_names(answer, segments or ())
        heard = reader.read(text, segments if segments or answer.words is None else None, words)
        return _with_logprobs(heard, answer.logprobs or ()) if decode.token_logprobs else heard


def _without_names(answer: _Answer, segments: Sequence[Segment]) -> str:
    """All that was said: of a diarized answer the text says as well who spoke, before each turn, as `A: `.

    The segments' own texts are taken then, where they hold all of it; what does not is for the reader to judge.
    """
    names = {re.escape(str(part.speaker)) for part in answer.segments or () if part.speaker is not None}
    if not names:
        return answer.text
    said = re.sub(rf"(?:^|(?<=\s))(?:{'|'.join(names)}):\s+", "", answer.text)
    parts = " ".join(segment.text.strip() for segment in segments)
    return parts if parts.split() == answer.text.split() or parts.split() == said.split() else said


def _with_logprobs(heard: Heard, tokens: Sequence[_Token]) -> Heard:
    ours = tuple(token.ours for token in tokens)
    return replace(heard, segments=tuple(replace(segment, logprobs=ours) for segment in heard.segments[:1]))


def _whisper_format(request: TranscriptionRequest) -> list[tuple[str, str]]:
    fields = [("response_format", "verbose_json")]
    if request.decode.task == "transcribe":
        fields.append(("timestamp_granularities[]", "segment"))
    if request.decode.word_timestamps:
        fields.append(("timestamp_granularities[]", "word"))
    return fields


def _text_format(request: TranscriptionRequest) -> list[tuple[str, str]]:
    return [("response_format", "json"), *[("include[]", "logprobs")] * request.decode.token_logprobs]


def _speakers_format(_request: TranscriptionRequest) -> list[tuple[str, str]]:
    return [("response_format", "diarized_json"), ("chunking_strategy", "auto")]


_FORMATS = {"whisper": _whisper_format, "text": _text_format, "speakers": _speakers_format}
