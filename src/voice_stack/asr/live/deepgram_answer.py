"""What was heard, as Deepgram's answers show it, to a file and in a live session."""

import math
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import PurePath
from statistics import fmean

from voice_stack.asr.live.listen_query import ListenQuery
from voice_stack.asr.transcript import Segment, Word
from voice_stack.utils.audio.word_alignment import cut_words, writes_spaces

_MARKS = ".,;:!?…\"'“”‘’«»()[]{}¿¡—–-、。，！？；：「」『』"


def join_words(texts: Iterable[str]) -> str:
    """A text of words, with spaces where their script writes them."""
    return "".join(f" {text}" if writes_spaces(text) else text for text in texts).strip()


def _strip(text: str) -> str:
    """A word without the marks that cling to it, in small letters."""
    return text.strip(_MARKS).lower() or text


def show_text(text: str, query: ListenQuery) -> str:
    """A text as it was asked for."""
    return join_words(map(_strip, cut_words(text))) if query.is_bare else text.strip()


def show_word(word: Word, *, is_bare: bool) -> dict[str, object]:
    """A word with its times in seconds."""
    shown: dict[str, object] = {
        "word": _strip(word.text),
        "start": round(word.start_s, 3),
        "end": round(word.end_s, 3),
        "confidence": round(word.probability, 4),
    }
    shown |= {} if is_bare else {"punctuated_word": word.text}
    return shown | ({"speaker": word.speaker.number} if word.speaker else {})


def show_alternative(segments: Sequence[Segment], query: ListenQuery) -> dict[str, object]:
    """What was said, as the one alternative."""
    words = [word for segment in segments for word in segment.words]
    languages = list(dict.fromkeys(segment.language for segment in segments if segment.language))
    return {
        "transcript": show_text("".join(segment.text for segment in segments), query),
        "confidence": show_confidence(segments),
        **({"languages": languages} if query.is_multilingual else {}),
        "words": [show_word(word, is_bare=query.is_bare) for word in words],
    }


def show_confidence(segments: Sequence[Segment]) -> float:
    """The mean of all words, or else of the tokens of each segment; 0 where nothing was said."""
    sure = [word.probability for segment in segments for word in segment.words]
    sure = sure or [math.exp(min(segment.avg_logprob, 0.0)) for segment in segments]
    return round(fmean(sure), 4) if sure else 0.0


def describe_model(model: str, engine: str) -> tuple[str, dict[str, str]]:
    """A model's id, the same for the same name, and what is told of it."""
    # Where the operator keeps it is nobody's business.
    name = PurePath(model).name if model.startswith(("/", "~", ".")) else model
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name)), {"name": name, "version": version("voice-stack"), "arch": engine}


def show_metadata(
    request_id: str, sha256: str, created_s: float, audio_s: float, described: tuple[str, dict[str, str]]
) -> dict[str, object]:
    """What is told of a request when it is over.

    Args:
        request_id: As in the log.
        sha256: Of the sound as it came.
        created_s: When it began, seconds since 1970.
        audio_s: Length of the sound.
        described: Of the model, as `describe_model` gives it.
    """
    model_id, info = described
    return {
        "transaction_key": "deprecated",
        "request_id": request_id,
        "sha256": sha256,
        "created": datetime.fromtimestamp(created_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "duration": round(audio_s, 3),
        "channels": 1,
        "models": [model_id],
        "model_info": {model_id: info},
    }
