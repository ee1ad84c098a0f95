"""A transcript -> the body of the answer, in each format; its parts as JSON has them; the events of a stream."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from voice_stack.asr.transcript import Segment, Speaker, TokenLogprob, Transcript, Word
from voice_stack.core.errors import UnsupportedValueError
from voice_stack.utils.cues.cue import USUAL, Cue, CueOptions, to_srt, to_vtt
from voice_stack.utils.cues.stream import CueStream, fit_lines
from voice_stack.utils.language import LANGUAGES

_AUDIO_TOKENS_PER_SECOND = 10


def encode_json(value: Mapping[str, object]) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def number(value: float, digits: int) -> float:
    """Rounded, and 0 where it is no number that JSON has."""
    return round(float(value), digits) if math.isfinite(value) else 0.0


def usage_field(transcript: Transcript, *, tokens: bool = False) -> dict[str, object]:
    """What OpenAI adds to transcriptions, but not to translations: seconds heard, or tokens.

    Audio counts as ten tokens a second, text as the tokens the model wrote.
    """
    if transcript.task == "translate":
        return {}
    if not tokens:
        return {"usage": {"type": "duration", "seconds": math.ceil(transcript.duration_s)}}
    heard = math.ceil(transcript.duration_s * _AUDIO_TOKENS_PER_SECOND)
    written = sum(len(segment.tokens) for segment in transcript.segments)
    usage = {
        "type": "tokens",
        "input_tokens": heard,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
        "output_tokens": written,
        "total_tokens": heard + written,
    }
    return {"usage": usage}


def summary_fields(transcript: Transcript, *, names_language: bool = True) -> dict[str, object]:
    """How verbose_json begins; the language is that of the text, by its English name or its code.

    `languages` are those spoken.
    """
    code = transcript.target_language or ("en" if transcript.task == "translate" else transcript.language)
    return {
        "task": transcript.task,
        "language": LANGUAGES[code].name if names_language and code in LANGUAGES else code,
        "duration": number(transcript.duration_s, 3),
        "text": transcript.text,
        "languages": languages_field(transcript),
    }


def segment_fields(index: int, segment: Segment, *, original: bool = False) -> dict[str, object]:
    """A segment with OpenAI's ten fields, the language spoken in it, who speaks, and what it is a translation of."""
    return (
        {
            "id": index,
            "seek": segment.seek,
            "start": number(segment.start_s, 3),
            "end": number(segment.end_s, 3),
            "text": segment.text,
            "tokens": list(segment.tokens),
            "temperature": number(segment.temperature, 2),
            "avg_logprob": number(segment.avg_logprob, 4),
            "compression_ratio": number(segment.compression_ratio, 4),
            "no_speech_prob": number(segment.no_speech_prob, 4),
        }
        | _language_field(segment)
        | _speaker_field(segment)
        | ({"original": segment.original} if original else {})
    )


def _speaker_field(said: Segment | Word) -> dict[str, object]:
    return {"speaker": said.speaker.label} if said.speaker else {}


def _language_field(segment: Segment) -> dict[str, object]:
    return {"language": segment.language} if segment.language else {}


def word_fields(word: Word) -> dict[str, object]:
    """A word with OpenAI's three fields."""
    return {"word": word.text.strip(), "start": number(word.start_s, 3), "end": number(word.end_s, 3)}


def words_field(segments: Iterable[Segment], *, scored: bool = False) -> list[dict[str, object]]:
    """The words of segments, each with its segment's language and speaker; `scored`: with its probability, too."""
    return [
        word_fields(word)
        | ({"probability": number(word.probability, 4)} if scored else {})
        | _language_field(segment)
        | _speaker_field(word)
        for segment in segments
        for word in segment.words
    ]


def languages_field(transcript: Transcript) -> list[dict[str, str]]:
    """The languages that were found, the main one first; none where nobody spoke."""
    return [{"code": code} for code in transcript.languages]


def logprobs_field(tokens: Iterable[TokenLogprob]) -> list[dict[str, object]]:
    """Tokens as OpenAI shows them."""
    return [{"token": token.text, "bytes": list(token.data), "logprob": number(token.logprob, 6)} for token in tokens]


def alignment_fields(transcript: Transcript) -> dict[str, object]:
    """The body of an alignment: the text, and when its words and sentences are said; null: not in the sound."""
    words = [_aligned("word", word.text, [word]) for word in transcript.words]
    sentences = [_aligned("text", sentence.text.strip(), sentence.words) for sentence in transcript.segments]
    score = _mean_score(transcript.words)
    return {**summary_fields(transcript), "score": score, "words": words, "sentences": sentences}


def _aligned(name: str, text: str, words: Sequence[Word]) -> dict[str, object]:
    heard = [word for word in words if word.is_heard]
    start, end = (number(heard[0].start_s, 3), number(heard[-1].end_s, 3)) if heard else (None, None)
    return {name: text, "start": start, "end": end, "score": _mean_score(words)}


def _mean_score(words: Sequence[Word]) -> float:
    return number(sum(word.probability for word in words) / len(words), 4) if words else 0.0


def render_verbose(transcript: Transcript, *, model: str, speech_s: float, queue_s: float, run_s: float) -> bytes:
    """The body of `POST /audio/transcriptions/verbose`.

    Args:
        transcript: What was heard.
        model: The model that was used.
        speech_s: Speech that was found, in seconds.
        queue_s: Seconds from the complete upload until the engine began.
        run_s: Seconds from then until the end.
    """
    body = summary_fields(transcript) | {
        "language_code": transcript.target_language or transcript.language,
        "language_probability": number(transcript.language_probability, 4),
        "speech_duration": number(speech_s, 3),
        "model": model,
        "segments": [
            segment_fields(index, segment, original=bool(transcript.target_language))
            | {"words": words_field((segment,), scored=True)}
            for index, segment in enumerate(transcript.segments)
        ],
        "words": words_field(transcript.segments, scored=True),
    }
    if transcript.target_language:
        body["original"] = transcript.original
    if transcript.logprobs:
        body["logprobs"] = logprobs_field(transcript.logprobs)
    if transcript.warnings:
        body["warnings"] = list(transcript.warnings)
    times = {"queue_s": number(queue_s, 3), "run_s": number(run_s, 3)}
    return encode_json(body | usage_field(transcript) | {"processing": times})


MAX_HEADER_CHARS = 500


def warnings_header(warnings: Sequence[str]) -> dict[str, str]:
    """`x-warnings`: what of the file is not heard; none where all was."""
    told = "; ".join(warnings)
    shown = told if len(told) <= MAX_HEADER_CHARS else f"{told[: MAX_HEADER_CHARS - 4]} ..."
    return {"x-warnings": shown} if told else {}


def delta_event(text: str, tokens: Sequence[TokenLogprob] = ()) -> dict[str, object]:
    """Event for a further piece of text; with its tokens where log-probabilities were asked for."""
    event: dict[str, object] = {"type": "transcript.text.delta", "delta": text}
    return event | ({"logprobs": logprobs_field(tokens)} if tokens else {})


def segment_event(index: int, segment: Segment, *, uses_letters: bool = True) -> dict[str, object]:
    """A segment with its speaker, as OpenAI's diarizing model gives it; an event of a stream as well."""
    speaker = segment.speaker or Speaker(0)
    return {
        "type": "transcript.text.segment",
        "id": f"seg_{index + 1:03}",
        "start": number(segment.start_s, 3),
        "end": number(segment.end_s, 3),
        "text": segment.text.strip(),
        "speaker": speaker.letter if uses_letters else speaker.label,
    }


def done_event(
    transcript: Transcript, *, shows_languages: bool = False, shows_original: bool = False
) -> dict[str, object]:
    """The last event of a stream: the whole text, what it cost, and what else was asked for."""
    event: dict[str, object] = {"type": "transcript.text.done", "text": transcript.text}
    if shows_original:
        event["original"] = transcript.original
    if transcript.logprobs:
        event["logprobs"] = logprobs_field(transcript.logprobs)
    if shows_languages:
        event["languages"] = languages_field(transcript)
    if transcript.warnings:
        event["warnings"] = list(transcript.warnings)
    return event | usage_field(transcript, tokens=True)


def cues_from(transcript: Transcript, options: CueOptions = USUAL, *, shows_names: bool = False) -> list[Cue]:
    """All cues of a transcript: what `CueStream` gives for its segments; those of a translated one are its segments."""
    if transcript.target_language:
        return list(_translated_cues(transcript, options, shows_names=shows_names))
    stream = CueStream(transcript.language, task=transcript.task, options=options, shows_names=shows_names)
    # A sentence of a given text of which no word is heard is not shown: nobody says it.
    said = [part for part in transcript.segments if not part.words or any(word.is_heard for word in part.words)]
    cues = [cue for part in said for cue in stream.push(part, part.speaker.label if part.speaker else "")]
    return cues + stream.flush(transcript.duration_s)


def _translated_cues(transcript: Transcript, options: CueOptions, *, shows_names: bool) -> Iterator[Cue]:
    last, target = None, transcript.target_language
    for part in transcript.segments:
        voice = part.speaker.label if part.speaker else ""
        name = f"{voice}: " if shows_names and voice and part.speaker != last else ""
        lines = fit_lines(f"{name}{part.text.strip()}", target, options)
        if _shows_original(transcript, options) and part.original != part.text:
            lines += fit_lines(part.original, part.language or transcript.language, options)
        last = part.speaker
        yield Cue(part.start_s, part.end_s, lines, voice)


def tsv_header(*, has_speakers: bool, has_original: bool = False) -> bytes:
    """The names of the columns, as Whisper's own tool has them; what else was asked for has columns of its own."""
    more = ["speaker"] * has_speakers + ["original"] * has_original
    return ("\t".join(["start", "end", "text", *more]) + "\n").encode()


def to_tsv(transcript: Transcript, options: CueOptions) -> bytes:
    """Start and end in whole milliseconds and the text, tabs between; a header first."""
    rows, original = list[str](), _shows_original(transcript, options)
    for part in transcript.segments:
        row = [str(round(part.start_s * 1000)), str(round(part.end_s * 1000)), _one_line(part.text)]
        row += [part.speaker.label if part.speaker else ""] if transcript.has_speakers else []
        row += [_one_line(part.original)] if original else []
        rows.append("\t".join(row) + "\n")
    header = tsv_header(has_speakers=transcript.has_speakers, has_original=original)
    return header + "".join(rows).encode()


def to_jsonl(transcript: Transcript, options: CueOptions) -> bytes:
    """The fields of verbose_json's segments, an object a line; with `words` where words were asked for."""
    lines = []
    for index, segment in enumerate(transcript.segments):
        fields = segment_fields(index, segment, original=_shows_original(transcript, options))
        if segment.words:
            fields["words"] = words_field((segment,), scored=True)
        lines.append(encode_json(fields) + b"\n")
    return b"".join(lines)


def to_lrc(transcript: Transcript, options: CueOptions) -> bytes:
    """Each segment after its time, `[mm:ss.xx]`; minutes go on beyond 59, as the format knows no hours.

    A segment that another speaker begins to speak in is preceded by their name; what it is a translation of stands in
    a line of its own behind it, at the same time.
    """
    lines, last = list[str](), None
    for part in transcript.segments:
        name = f"{part.speaker.label}: " if part.speaker and part.speaker != last else ""
        shown = [f"{name}{_one_line(part.text)}"]
        is_shown = _shows_original(transcript, options) and part.original != part.text
        shown += [_one_line(part.original)] if is_shown else []
        lines += [f"[{_minutes(part.start_s)}]{line}\n" for line in shown]
        last = part.speaker
    return "".join(lines).encode()


def text_by_turns(transcript: Transcript, name: Callable[[Speaker], str] = lambda speaker: speaker.label) -> str:
    """All that was said; where speakers were asked for, a line for each turn of speech, behind the speaker's name."""
    if not transcript.has_speakers:
        return transcript.text
    lines = list[str]()
    for speaker, parts in groupby(transcript.segments, key=lambda part: part.speaker):
        text = "".join(part.text for part in parts).strip()
        lines += [f"{name(speaker)}: {text}" if speaker else text] if text else []
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _minutes(time_s: float) -> str:
    minutes, hundredths = divmod(round(time_s * 100), 6000)
    return f"{minutes:02}:{hundredths // 100:02}.{hundredths % 100:02}"


DIARIZED_JSON = "diarized_json"
"""OpenAI's format for who said what."""
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
        original: What was said stands beside its translation.
    """

    granularities: frozenset[str] = frozenset()
    token_usage: bool = False
    shows_languages: bool = False
    language_code: bool = False
    original: bool = False


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


def _shows_original(transcript: Transcript, options: CueOptions) -> bool:
    return bool(transcript.target_language) and isinstance(options, RenderOptions) and options.original


def _original_field(transcript: Transcript, options: RenderOptions) -> dict[str, object]:
    return {"original": transcript.original} if _shows_original(transcript, options) else {}


def _json(transcript: Transcript, options: RenderOptions) -> bytes:
    if transcript.task == "align":
        return encode_json(alignment_fields(transcript) | usage_field(transcript))
    body: dict[str, object] = {"text": text_by_turns(transcript)} | _original_field(transcript, options)
    if options.shows_languages:
        body["languages"] = languages_field(transcript)
    if transcript.logprobs:
        body["logprobs"] = logprobs_field(transcript.logprobs)
    return encode_json(body | usage_field(transcript, tokens=options.token_usage))


def _verbose_json(transcript: Transcript, options: RenderOptions) -> bytes:
    body = summary_fields(transcript, names_language=not options.language_code) | _original_field(transcript, options)
    original = _shows_original(transcript, options)
    if "segment" in options.granularities or "word" not in options.granularities:
        parts = enumerate(transcript.segments)
        body["segments"] = [segment_fields(n, part, original=original) for n, part in parts]
    if "word" in options.granularities:
        body["words"] = words_field(transcript.segments)
    return encode_json(body | usage_field(transcript))


def _diarized_json(transcript: Transcript, options: RenderOptions) -> bytes:
    if not transcript.has_speakers:
        message = "Nobody was asked for here: response_format 'diarized_json' needs a transcription with diarize=true"
        raise UnsupportedValueError(message, param="response_format")
    body: dict[str, object] = {
        "task": transcript.task,
        "duration": number(transcript.duration_s, 3),
        "text": text_by_turns(transcript, lambda speaker: speaker.letter),
        "segments": [
            segment_event(index, segment)
            | ({"original": segment.original.strip()} if _shows_original(transcript, options) else {})
            for index, segment in enumerate(transcript.segments)
        ],
    }
    return encode_json(body | _original_field(transcript, options) | usage_field(transcript))


def _text(transcript: Transcript, options: RenderOptions) -> bytes:
    original = f"\n{transcript.original}\n" if _shows_original(transcript, options) else ""
    return f"{text_by_turns(transcript)}\n{original}".encode()


def _srt(transcript: Transcript, options: RenderOptions) -> bytes:
    return to_srt(cues_from(transcript, options, shows_names=True)).encode()


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
    DIARIZED_JSON: TranscriptFormat(JSON_TYPE, _diarized_json),
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


def render(transcript: Transcript, response_format: str, options: RenderOptions = RenderOptions()) -> bytes:
    """Body of the answer, in a format of `TRANSCRIPT_FORMATS`.

    Raises:
        UnsupportedValueError: There is no such format.
    """
    return require_transcript_format(response_format).render(transcript, options)
