"""Everything that is known of a transcription, in one JSON body: a superset of verbose_json."""

from dataclasses import dataclass

from voice_stack.asr.rendering.transcript_json import (
    encode_json,
    logprobs_field,
    number,
    scored_word_fields,
    segment_fields,
    summary_fields,
    usage_field,
)
from voice_stack.asr.transcript import Segment, Transcript


@dataclass(frozen=True, slots=True)
class Processing:
    """How a transcript came to be.

    Attributes:
        model: The model that was used.
        speech_s: Speech that was found, in seconds.
        queue_s: Seconds from the complete upload until the engine began.
        run_s: Seconds from then until the end.
    """

    model: str
    speech_s: float
    queue_s: float
    run_s: float


def render_verbose(transcript: Transcript, processing: Processing) -> bytes:
    """The body of `POST /audio/transcriptions/verbose`."""
    body = summary_fields(transcript) | {
        "language_code": transcript.language,
        "language_probability": number(transcript.language_probability, 4),
        "speech_duration": number(processing.speech_s, 3),
        "model": processing.model,
        "segments": [_segment(index, segment) for index, segment in enumerate(transcript.segments)],
        "words": [scored_word_fields(word) for word in transcript.words],
    }
    if transcript.logprobs:
        body["logprobs"] = logprobs_field(transcript.logprobs)
    times = {"queue_s": number(processing.queue_s, 3), "run_s": number(processing.run_s, 3)}
    return encode_json(body | usage_field(transcript) | {"processing": times})


def _segment(index: int, segment: Segment) -> dict[str, object]:
    return segment_fields(index, segment) | {"words": [scored_word_fields(word) for word in segment.words]}
