"""Formats with one line for each segment: tables for programs, lyrics for players."""

from voice_stack.asr.rendering.transcript_json import encode_json, scored_word_fields, segment_fields
from voice_stack.asr.transcript import Transcript


def to_tsv(transcript: Transcript) -> bytes:
    """Start and end in whole milliseconds and the text, tabs between; a header first, as Whisper's own tool has it."""
    lines = ["start\tend\ttext"]
    lines += [
        f"{round(segment.start_s * 1000)}\t{round(segment.end_s * 1000)}\t{_one_line(segment.text)}"
        for segment in transcript.segments
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def to_jsonl(transcript: Transcript) -> bytes:
    """The fields of verbose_json's segments, an object a line; with `words` where words were asked for."""
    lines = []
    for index, segment in enumerate(transcript.segments):
        fields = segment_fields(index, segment)
        if segment.words:
            fields["words"] = [scored_word_fields(word) for word in segment.words]
        lines.append(encode_json(fields) + b"\n")
    return b"".join(lines)


def to_lrc(transcript: Transcript) -> bytes:
    """Each segment after its time, `[mm:ss.xx]`; minutes go on beyond 59, as the format knows no hours."""
    return "".join(
        f"[{_minutes(segment.start_s)}]{_one_line(segment.text)}\n" for segment in transcript.segments
    ).encode()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _minutes(time_s: float) -> str:
    minutes, hundredths = divmod(round(time_s * 100), 6000)
    return f"{minutes:02}:{hundredths // 100:02}.{hundredths % 100:02}"
