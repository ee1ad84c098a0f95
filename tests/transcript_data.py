"""Transcripts of real speech, as the server's verbose_json gave them, in `tests/data/transcripts`."""

import json
from collections.abc import Iterator
from pathlib import Path

from voice_stack.asr.transcript import Segment, Transcript, Word
from voice_stack.utils.language import require_language

FOLDER = Path(__file__).parent / "data" / "transcripts"


def load_transcript(name: str) -> Transcript:
    """The transcript of that name, its words given back to their segments."""
    body = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    words = iter([Word(word["word"], word["start"], word["end"], 1.0) for word in body["words"]])
    segments = tuple(
        Segment(row["text"], row["start"], row["end"], (), 0.0, -0.1, 1.0, 0.0, words=tuple(_of(row["text"], words)))
        for row in body["segments"]
    )
    code = require_language(body["language"]).code
    return Transcript(body["task"], code, 1.0, body["duration"], segments)


def _of(text: str, words: Iterator[Word]) -> Iterator[Word]:
    left = "".join(text.split())
    while left:
        word = next(words)
        assert left.startswith(word.text), (word, left)
        left = left.removeprefix(word.text)
        yield word
