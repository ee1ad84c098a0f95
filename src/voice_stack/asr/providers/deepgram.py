"""Deepgram's `/v1/listen`: words with times and speakers, formatted as one writes; sentences are found here."""

from pydantic import BaseModel

from voice_stack.asr.models import AsrCapabilities
from voice_stack.asr.providers.answer import Heard, Reader, parse
from voice_stack.asr.providers.sound import Sound
from voice_stack.asr.providers.wire import COUNTS, OWN_FIELDS, PATIENCE_S, Number, Wire, split_hotwords
from voice_stack.asr.request import TranscriptionRequest
from voice_stack.asr.transcript import Word
from voice_stack.core.provider_client import Question
from voice_stack.utils.language import find_code


class _Word(BaseModel):
    word: str
    punctuated_word: str | None = None
    start: Number
    end: Number
    confidence: Number = 1.0
    speaker: int | None = None


class _Alternative(BaseModel):
    transcript: str
    words: tuple[_Word, ...] = ()


class _Channel(BaseModel):
    alternatives: tuple[_Alternative, ...]
    detected_language: str | None = None
    language_confidence: Number | None = None


class _Results(BaseModel):
    channels: tuple[_Channel, ...]


class _Metadata(BaseModel):
    duration: Number | None = None


class _Answer(BaseModel):
    results: _Results
    metadata: _Metadata = _Metadata()


class DeepgramWire(Wire):
    """See the module."""

    models = ("nova-3", "nova-2")
    max_bytes = 2_000_000_000

    def capabilities(self, model: str) -> AsrCapabilities:
        return AsrCapabilities(translate=False, token_logprobs=False, alignment=False, speakers=True)

    def unheeded(self, model: str) -> frozenset[str]:
        return OWN_FIELDS | COUNTS | {"languages", "prompt", "temperature"}

    def ask(self, model: str, request: TranscriptionRequest, sound: Sound) -> Question:
        decode = request.decode
        params = [("model", model), ("smart_format", "true"), ("punctuate", "true")]
        if decode.language:
            params.append(("language", decode.language))
        else:
            params.append(("detect_language", "true"))
        if request.speakers is not None:
            params.append(("diarize", "true"))
        # Models before the third have the older parameter.
        name = "keywords" if model.startswith(("nova-2", "nova-1", "enhanced", "base", "whisper")) else "keyterm"
        params += [(name, word) for word in split_hotwords(decode.hotwords)]
        return Question(
            "/v1/listen", sound.body(), tuple(params), model=model, answer_timeout_s=PATIENCE_S + sound.duration_s
        )

    def read(self, content: bytes, request: TranscriptionRequest, duration_s: float) -> Heard:
        answer = parse("deepgram", _Answer, content)
        channel = answer.results.channels[0] if answer.results.channels else _Channel(alternatives=())
        language = request.decode.language or find_code(channel.detected_language or "")
        reader = Reader("deepgram", request, duration_s, language)
        if not answer.results.channels:
            raise reader.lie("it has no channel")
        reader.require_whole(answer.metadata.duration)
        best = channel.alternatives[0] if channel.alternatives else _Alternative(transcript="")
        words = [
            Word(
                word.punctuated_word or word.word,
                word.start,
                word.end,
                min(max(word.confidence, 0.0), 1.0),
                speaker=reader.speaker(word.speaker),
            )
            for word in best.words
        ]
        probability = 1.0 if channel.language_confidence is None else min(max(channel.language_confidence, 0.0), 1.0)
        return reader.read(best.transcript, None, words, probability)
