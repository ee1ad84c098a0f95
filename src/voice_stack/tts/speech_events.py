"""A speech as OpenAI's server-sent events."""

import base64
import json
from collections.abc import AsyncIterator

from voice_stack.core.errors import VoiceStackError
from voice_stack.core.telemetry.engine_report import count_error
from voice_stack.tts.cache.reader import Reader
from voice_stack.tts.cache.speech_data import Piece, SpeechFacts
from voice_stack.tts.captions.sentences import Granularity, find_sentence


async def speech_events(reader: Reader, text: str, timestamps: Granularity | None = None) -> AsyncIterator[bytes]:
    """The events of a speech; a failure on the way is an event, too.

    Args:
        reader: Of the speech.
        text: What is said in it.
        timestamps: What is told the times of: each sentence before its sound, with its words or without.
    """
    try:
        async for piece in reader.pieces():
            sentence = find_sentence(piece.note)
            if piece.audio:
                yield encode_event(_delta(piece))
            if sentence and timestamps:
                times = sentence.describe(with_words=timestamps == "word")
                yield encode_event({"type": "speech.timestamps", **times})
    except VoiceStackError as error:
        count_error(error)
        yield encode_event(error.body())
        return
    assert reader.facts is not None
    yield encode_event(_done(reader.facts, text))


def encode_event(event: object) -> bytes:
    """An event as it goes over the wire."""
    return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"


def _delta(piece: Piece) -> dict[str, object]:
    event: dict[str, object] = {"type": "speech.audio.delta", "audio": base64.b64encode(piece.audio).decode()}
    return event | (piece.note if piece.note and find_sentence(piece.note) is None else {})


def _done(facts: SpeechFacts, text: str) -> dict[str, object]:
    """OpenAI counts tokens; here a token in is 4 characters and a token out is 50 ms."""
    tokens_in, tokens_out = -(-len(text) // 4), round(facts.audio_s * 20)
    usage = {"input_tokens": tokens_in, "output_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    done: dict[str, object] = {"type": "speech.audio.done", "usage": usage, "duration": round(facts.audio_s, 3)}
    if head := facts.exact_head.data:
        done["exact_head"] = {"replaces": facts.exact_head.replaces, "data": base64.b64encode(head).decode()}
    return done
