"""A transcript -> the body of the answer, in each format."""

from collections.abc import Callable
from dataclasses import dataclass

from voice_stack.asr.rendering.objects import (
    alignment_fields,
    encode_json,
    languages_field,
    logprobs_field,
    segment_fields,
    summary_fields,
    usage_field,
    words_field,
)
from voice_stack.asr.transcript import Transcript
from voice_stack.core.errors import UnsupportedValueError
from voice_stack.utils.cues.cue import USUAL, Cue, CueOptions, to_srt, to_vtt
from voice_stack.utils.cues.stream import CueStream


def cues_from(transcript: Transcript, options: CueOptions = USUAL) -> list[Cue]:
    """All cues of a transcript: what `CueStream` gives for its segments."""
    stream = CueStream(transcript.language, task=transcript.task, options=options)
    # A sentence of a given text of which no word is heard is not shown: nobody says it.
    said = [part for part in transcript.segments if not part.words or any(word.is_heard for word in part.words)]
    cues = [cue for segment in said for cue in stream.push(segment)]
    return cues + stream.flush(transcript.duration_s)


def to_tsv(transcript: Transcript, _options: CueOptions) -> bytes:
    """Start and end in whole milliseconds and the text, tabs between; a header first, as Whisper's own tool has it."""
    lines = ["start\tend\ttext"]
    lines += [
        f"{round(segment.start_s * 1000)}\t{round(segment.end_s * 1000)}\t{_one_line(segment.text)}"
        for segment in transcript.segments
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def to_jsonl(transcript: Transcript, _options: CueOptions) -> bytes:
    """The fields of verbose_json's segments, an object a line; with `words` where words were asked for."""
    lines = []
    for index, segment in enumerate(transcript.segments):
        fields = segment_fields(index, segment)
        if segment.words:
            fields["words"] = words_field((segment,), scored=True)
        lines.append(encode_json(fields) + b"\n")
    return b"".join(lines)


def to_lrc(transcript: Transcript, _options: CueOptions) -> bytes:
    """Each segment after its time, `[mm:ss.xx]`; minutes go on beyond 59, as the format knows no hours."""
    return "".join(
        f"[{_minutes(segment.start_s)}]{_one_line(segment.text)}\n" for segment in transcript.segments
    ).encode()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _minutes(time_s: float) -> str:
    minutes, hundredths = divmod(round(time_s * 100), 6000)
    return f"{minutes:02}:{hundredths // 100:02}.{hundredths % 100:02}"


JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class RenderOptions(CueOptions):
    """What of a transcript is shown, and how.

    Attributes:
        granularities: What verbose_json details: `segment`, `word` or both; nothing means `segment`.
        token_usage: json counts tokens, as OpenAI's newer models do, not seconds.
        shows_languages: json names the language that was found.
        language_code: verbose_json has the language's code, as whisper-asr-webservice has it, not its English name.
    """

    granularities: frozenset[str] = frozenset()
    token_usage: bool = False
    shows_languages: bool = False
    language_code: bool = False


@dataclass(frozen=True, slots=True)
class TranscriptFormat:
    """One output format.

    Attributes:
        media_type: The answer's Content-Type.
        render: Turns a transcript into the body.
        uses_words: Whether it is better for the times of words, which then are asked of the engine.
    """

    media_type: str
    render: Callable[[Transcript, RenderOptions], bytes]
    uses_words: bool = False


def _json(transcript: Transcript, options: RenderOptions) -> bytes:
    if transcript.task == "align":
        return encode_json(alignment_fields(transcript) | usage_field(transcript))
    body: dict[str, object] = {"text": transcript.text}
    if options.shows_languages:
        body["languages"] = languages_field(transcript)
    if transcript.logprobs:
        body["logprobs"] = logprobs_field(transcript.logprobs)
    return encode_json(body | usage_field(transcript, tokens=options.token_usage))


def _verbose_json(transcript: Transcript, options: RenderOptions) -> bytes:
    body = summary_fields(transcript, names_language=not options.language_code)
    if "segment" in options.granularities or "word" not in options.granularities:
        body["segments"] = [segment_fields(n, segment) for n, segment in enumerate(transcript.segments)]
    if "word" in options.granularities:
        body["words"] = words_field(transcript.segments)
    return encode_json(body | usage_field(transcript))


def _text(transcript: Transcript, _options: RenderOptions) -> bytes:
    return f"{transcript.text}\n".encode()


def _srt(transcript: Transcript, options: RenderOptions) -> bytes:
    return to_srt(cues_from(transcript, options)).encode()


def _vtt(transcript: Transcript, options: RenderOptions) -> bytes:
    return to_vtt(cues_from(transcript, options)).encode()


TRANSCRIPT_FORMATS: dict[str, TranscriptFormat] = {
    "json": TranscriptFormat(JSON_TYPE, _json),
    "text": TranscriptFormat(TEXT_TYPE, _text),
    "srt": TranscriptFormat(TEXT_TYPE, _srt, uses_words=True),
    "verbose_json": TranscriptFormat(JSON_TYPE, _verbose_json),
    "vtt": TranscriptFormat(TEXT_TYPE, _vtt, uses_words=True),
    "tsv": TranscriptFormat("text/tab-separated-values; charset=utf-8", to_tsv),
    "jsonl": TranscriptFormat("application/jsonl", to_jsonl),
    "lrc": TranscriptFormat(TEXT_TYPE, to_lrc),
}
"""Every format of a transcription, by its name in `response_format`."""


def require_transcript_format(name: str) -> TranscriptFormat:
    """Find a format by its name.

    Raises:
        UnsupportedValueError: There is none of that name; the message lists the names.
    """
    if name == "diarized_json":
        message = "This server does not tell speakers apart, so response_format 'diarized_json' is not possible. "
        raise UnsupportedValueError(f"{message}Use one of: {', '.join(TRANSCRIPT_FORMATS)}.", param="response_format")
    if name not in TRANSCRIPT_FORMATS:
        message = f"Unknown response_format {name[:40]!r}. Use one of: {', '.join(TRANSCRIPT_FORMATS)}."
        raise UnsupportedValueError(message, param="response_format")
    return TRANSCRIPT_FORMATS[name]


def render(transcript: Transcript, response_format: str, options: RenderOptions = RenderOptions()) -> bytes:
    """Body of the answer, in a format of `TRANSCRIPT_FORMATS`.

    Raises:
        UnsupportedValueError: There is no such format.
    """
    return require_transcript_format(response_format).render(transcript, options)
