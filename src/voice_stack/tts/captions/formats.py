"""Captions -> the body of the answer, in each format."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.tts.captions.kept import Captions
from voice_stack.utils.cues.cue import Cue, to_srt, to_vtt
from voice_stack.utils.cues.stream import CueStream


@dataclass(frozen=True, slots=True)
class CaptionFormat:
    """One format: the answer's Content-Type, and what makes its text."""

    media_type: str
    render: Callable[[Captions], str]


def _json(captions: Captions) -> str:
    sentences = [sentence.describe(with_words=captions.granularity == "word") for sentence in captions.sentences]
    body = {
        "id": captions.id,
        "object": "speech.captions",
        "status": captions.status,
        "language": captions.language or None,
        "duration": round(captions.duration_s, 3),
        "sentences": sentences,
    }
    return json.dumps(body, ensure_ascii=False)


def _cues(captions: Captions) -> Iterator[Cue]:
    stream = CueStream(captions.language)
    for index, sentence in enumerate(captions.sentences):
        yield from stream.push(sentence.with_space() if index else sentence)
    yield from stream.flush(captions.duration_s)


CAPTION_FORMATS: dict[str, CaptionFormat] = {
    "json": CaptionFormat("application/json", _json),
    "srt": CaptionFormat("application/x-subrip; charset=utf-8", lambda captions: to_srt(_cues(captions))),
    "vtt": CaptionFormat("text/vtt; charset=utf-8", lambda captions: to_vtt(_cues(captions))),
}
"""Every format of captions, by its name."""


def require_caption_format(name: str) -> CaptionFormat:
    """Find a format by its name.

    Raises:
        UnsupportedValueError: There is none of that name; the message lists the names.
    """
    if name not in CAPTION_FORMATS:
        message = f"Unknown format {name[:40]!r} of captions. Use one of: {', '.join(CAPTION_FORMATS)}."
        raise UnsupportedValueError(message, param="format")
    return CAPTION_FORMATS[name]
