"""A transcript -> the body of the answer, in each of OpenAI's formats; and the events of a streamed answer."""

import html
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from voice_stack.asr.subtitles import cues_from
from voice_stack.asr.transcript import Segment, Transcript
from voice_stack.core.errors import UnsupportedValueError
from voice_stack.utils.language import LANGUAGES

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
_AUDIO_TOKENS_PER_SECOND = 10


@dataclass(frozen=True, slots=True)
class TranscriptFormat:
    """One output format.

    Attributes:
        media_type: The answer's Content-Type.
        render: Turns a transcript and the granularities asked for (`word`, `segment`) into the body.
    """

    media_type: str
    render: Callable[[Transcript, frozenset[str]], bytes]


def _encode(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _number(value: float, digits: int) -> float:
    """Rounded, and 0 where it is no number that JSON has."""
    return round(float(value), digits) if math.isfinite(value) else 0.0


def _usage(transcript: Transcript) -> dict[str, object]:
    """What OpenAI adds to transcriptions, but not to translations."""
    if transcript.task == "translate":
        return {}
    return {"usage": {"type": "duration", "seconds": math.ceil(transcript.duration_s)}}


def _language_name(transcript: Transcript) -> str:
    """English name of the language of the text."""
    code = "en" if transcript.task == "translate" else transcript.language
    return LANGUAGES[code].name if code in LANGUAGES else code


def _json(transcript: Transcript, _granularities: frozenset[str]) -> bytes:
    return _encode({"text": transcript.text, **_usage(transcript)})


def _verbose_json(transcript: Transcript, granularities: frozenset[str]) -> bytes:
    body: dict[str, object] = {
        "task": transcript.task,
        "language": _language_name(transcript),
        "duration": _number(transcript.duration_s, 3),
        "text": transcript.text,
    }
    if "segment" in granularities or "word" not in granularities:
        body["segments"] = [_segment_fields(n, segment) for n, segment in enumerate(transcript.segments)]
    if "word" in granularities:
        body["words"] = [
            {"word": word.text.strip(), "start": _number(word.start_s, 3), "end": _number(word.end_s, 3)}
            for word in transcript.words
        ]
    return _encode(body | _usage(transcript))


def _segment_fields(number: int, segment: Segment) -> dict[str, object]:
    return {
        "id": number,
        "seek": segment.seek,
        "start": _number(segment.start_s, 3),
        "end": _number(segment.end_s, 3),
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": _number(segment.temperature, 2),
        "avg_logprob": _number(segment.avg_logprob, 4),
        "compression_ratio": _number(segment.compression_ratio, 4),
        "no_speech_prob": _number(segment.no_speech_prob, 4),
    }


def _text(transcript: Transcript, _granularities: frozenset[str]) -> bytes:
    return f"{transcript.text}\n".encode()


def _clock(time_s: float, separator: str) -> str:
    seconds, milliseconds = divmod(round(time_s * 1000), 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{separator}{milliseconds:03}"


def _srt(transcript: Transcript, _granularities: frozenset[str]) -> bytes:
    cues = (
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n" + "\n".join(cue.lines) + "\n\n"
        for number, cue in enumerate(cues_from(transcript), start=1)
    )
    return "".join(cues).encode()


def _vtt(transcript: Transcript, _granularities: frozenset[str]) -> bytes:
    """WebVTT, in which `&`, `<` and `>` would begin or end markup."""
    cues = (
        f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n"
        + html.escape("\n".join(cue.lines), quote=False)
        + "\n\n"
        for cue in cues_from(transcript)
    )
    return ("WEBVTT\n\n" + "".join(cues)).encode()


def _tsv(transcript: Transcript, _granularities: frozenset[str]) -> bytes:
    """Times in whole milliseconds, then the text, with a tab between them."""
    rows = (
        f"{round(segment.start_s * 1000)}\t{round(segment.end_s * 1000)}\t{' '.join(segment.text.split())}\n"
        for segment in transcript.segments
    )
    return ("start\tend\ttext\n" + "".join(rows)).encode()


def _jsonl(transcript: Transcript, _granularities: frozenset[str]) -> bytes:
    """One segment a line."""
    return b"".join(_encode(_segment_fields(n, segment)) + b"\n" for n, segment in enumerate(transcript.segments))


TRANSCRIPT_FORMATS: dict[str, TranscriptFormat] = {
    "json": TranscriptFormat(JSON_TYPE, _json),
    "text": TranscriptFormat(TEXT_TYPE, _text),
    "srt": TranscriptFormat(TEXT_TYPE, _srt),
    "verbose_json": TranscriptFormat(JSON_TYPE, _verbose_json),
    "vtt": TranscriptFormat(TEXT_TYPE, _vtt),
    "tsv": TranscriptFormat(TEXT_TYPE, _tsv),
    "jsonl": TranscriptFormat("application/jsonl", _jsonl),
}
"""Every format of a transcription, by its name in `response_format`."""


def require_transcript_format(name: str) -> TranscriptFormat:
    """Find a format by its name.

    Raises:
        UnsupportedValueError: There is none of that name; the message lists the names.
    """
    if name not in TRANSCRIPT_FORMATS:
        message = f"Unknown response_format {name[:40]!r}. Use one of: {', '.join(TRANSCRIPT_FORMATS)}."
        raise UnsupportedValueError(message, param="response_format")
    return TRANSCRIPT_FORMATS[name]


def render(transcript: Transcript, response_format: str, *, granularities: frozenset[str] = frozenset()) -> bytes:
    """Body of the answer.

    Args:
        transcript: What was heard.
        response_format: A key of `TRANSCRIPT_FORMATS`.
        granularities: What verbose_json details: `segment`, `word` or both; nothing means `segment`.

    Raises:
        UnsupportedValueError: There is no such format.
    """
    return require_transcript_format(response_format).render(transcript, granularities)


def delta_event(text: str) -> dict[str, object]:
    """Event for a further piece of text."""
    return {"type": "transcript.text.delta", "delta": text}


def done_event(transcript: Transcript) -> dict[str, object]:
    """The last event of a stream. Audio counts as ten tokens a second, text as the tokens the model wrote."""
    heard = math.ceil(transcript.duration_s * _AUDIO_TOKENS_PER_SECOND)
    written = sum(len(segment.tokens) for segment in transcript.segments)
    usage = {
        "type": "tokens",
        "input_tokens": heard,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
        "output_tokens": written,
        "total_tokens": heard + written,
    }
    return {"type": "transcript.text.done", "text": transcript.text, "usage": usage}


def encode_sse(event: Mapping[str, object]) -> bytes:
    """One server-sent event, the blank line that ends it included."""
    return b"data: " + _encode(event) + b"\n\n"
