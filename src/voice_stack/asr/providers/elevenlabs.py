"""ElevenLabs' speech-to-text (Scribe): words with times, speakers and sounds; what is a sentence is found here."""

import math
from typing import Literal

from pydantic import BaseModel

from voice_stack.asr.models import AsrCapabilities
from voice_stack.asr.providers.answer import Heard, Reader, parse
from voice_stack.asr.providers.sound import Sound
from voice_stack.asr.providers.wire import OWN_FIELDS, PATIENCE_S, Number, Wire, multipart, split_hotwords, tell_number
from voice_stack.asr.request import TranscriptionRequest
from voice_stack.asr.transcript import Word
from voice_stack.core.provider_client import Question
from voice_stack.utils.language import LANGUAGES, find_code


class _Word(BaseModel):
    text: str
    type: Literal["word", "spacing", "audio_event"] = "word"
    start: Number | None = None
    end: Number | None = None
    speaker_id: str | None = None
    logprob: Number = 0.0


class _Answer(BaseModel):
    text: str
    language_code: str = ""
    language_probability: Number = 1.0
    words: tuple[_Word, ...]


class ElevenLabsWire(Wire):
    """See the module."""

    models = ("scribe_v1", "scribe_v2")
    max_bytes = 3_000_000_000

    def capabilities(self, model: str) -> AsrCapabilities:
        return AsrCapabilities(translate=False, token_logprobs=False, alignment=False, speakers=True)

    def unheeded(self, model: str) -> frozenset[str]:
        return OWN_FIELDS | {"languages", "prompt", "min_speakers"}

    def ask(self, model: str, request: TranscriptionRequest, sound: Sound) -> Question:
        decode, speakers = request.decode, request.speakers
        tags = "false" if "labels" in request.suppress else "true"
        fields = [("model_id", model), ("timestamps_granularity", "word"), ("tag_audio_events", tags)]
        if decode.language:
            known = LANGUAGES.get(decode.language)
            fields.append(("language_code", known.alpha3 if known else decode.language))
        if speakers is not None:
            most = speakers.count or speakers.most
            fields += [("diarize", "true"), *([("num_speakers", str(most))] if most else [])]
        if decode.temperature:
            fields.append(("temperature", tell_number(decode.temperature)))
        fields += [("keyterms", word) for word in split_hotwords(decode.hotwords)]
        return Question(
            "/v1/speech-to-text", multipart(fields, sound), model=model, answer_timeout_s=PATIENCE_S + sound.duration_s
        )

    def read(self, content: bytes, request: TranscriptionRequest, duration_s: float) -> Heard:
        answer = parse("elevenlabs", _Answer, content)
        language = request.decode.language or find_code(answer.language_code)
        reader, words = Reader("elevenlabs", request, duration_s, language), list[Word]()
        for word in answer.words:
            if word.type == "spacing":
                continue
            if word.start is None or word.end is None:
                raise reader.lie(f"{word.text!r} has no time")
            probability = math.exp(min(0.0, word.logprob))
            speaker = reader.speaker(word.speaker_id)
            words.append(Word(word.text.strip(), word.start, word.end, probability, speaker=speaker))
        return reader.read(answer.text, None, words, min(max(answer.language_probability, 0.0), 1.0))
