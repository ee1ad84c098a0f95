"""What is wanted of recordings, and what was heard in one: the transcript, whoever made it, and its texts."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from voice_stack.asr.rendering import DIARIZED_JSON, RenderOptions, render, require_transcript_format
from voice_stack.asr.transcript import Segment, Speaker, Transcript, Word
from voice_stack.core.errors import UnsupportedValueError, UpstreamError
from voice_stack.utils.language import find_code

SUFFIX_OF_FORMAT = {"text": "txt", "verbose_json": "json", DIARIZED_JSON: "json"}
"""How a text ends where that is not the name of its format."""
_NUMBERED = re.compile(r"SPEAKER_(\d{2,4})")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What every recording is to become; None: the server's choice.

    Attributes:
        formats: Of `TRANSCRIPT_FORMATS`, none twice.
        language: Spoken; found per recording if absent.
        known: Voices, each with a recording of it.
        target: The language a language model puts it into.
        original: With a target, what was said stands beside it.
    """

    formats: tuple[str, ...]
    model: str = "whisper-1"
    task: str = "transcribe"
    language: str | None = None
    prompt: str | None = None
    temperature: float | None = None
    word_timestamps: bool = False
    diarize: bool = False
    known: Mapping[str, Path] | None = None
    num_speakers: int | None = None
    min_speakers: int | None = None
    max_speakers: int | None = None
    target: str | None = None
    original: bool = False

    def __post_init__(self) -> None:
        for name in self.formats:
            require_transcript_format(name)
        for suffix, alike in groupby(sorted(self.formats, key=suffix_of), suffix_of):
            if len(names := list(alike)) > 1:
                raise UnsupportedValueError(f"{' and '.join(names)} both end in .{suffix}: take one of them")
        if DIARIZED_JSON in self.formats and not self.diarize:
            raise UnsupportedValueError(f"{DIARIZED_JSON} tells who speaks: add --diarize")

    @property
    def digest(self) -> str:
        """Another one where other texts are wanted."""
        wishes = asdict(self) | {"formats": sorted(self.formats), "known": sorted(self.known or ())}
        return hashlib.sha256(json.dumps(wishes, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def shown(self) -> RenderOptions:
        """What of a transcript its texts show."""
        granularities = frozenset({"segment", "word"} if self.word_timestamps else ())
        return RenderOptions(granularities=granularities, original=self.original)

    def text_language(self, spoken: str) -> str:
        """The language of the texts, for their names."""
        return self.target or ("en" if self.task == "translate" else spoken) or "und"


def suffix_of(text_format: str) -> str:
    """How the name of a text ends."""
    return SUFFIX_OF_FORMAT.get(text_format, text_format)


@dataclass(frozen=True, slots=True)
class Heard:
    """A transcript, and how it was made.

    Attributes:
        transcript: What was said.
        notes: What was not heard, or done in the second-best way.
    """

    transcript: Transcript
    notes: tuple[str, ...] = ()

    def texts(self, wanted: Wanted) -> dict[str, bytes]:
        """Its texts by their format."""
        return {name: render(self.transcript, name, wanted.shown) for name in wanted.formats}


def read_verbose(body: Mapping[str, object], wanted: Wanted) -> Heard:
    """What `POST /audio/transcriptions/verbose` answers; `fallback` and `fallback_model` as jobs have them.

    Raises:
        UpstreamError: It is not as the API says.
    """
    try:
        languages = [str(_object(language)["code"]) for language in _items(body, "languages")]
        named = str(body.get("language_code") or "")
        transcript = Transcript(
            task=str(body["task"]),
            language=languages[0] if languages and wanted.target else named,
            language_probability=1.0,
            duration_s=_number(body["duration"]),
            segments=tuple(_segment(_object(segment)) for segment in _items(body, "segments")),
            warnings=tuple(map(str, _items(body, "warnings"))),
            has_speakers=wanted.diarize,
            target_language=named if wanted.target else "",
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UpstreamError(f"The server sent no transcript: {error!r}") from None
    return Heard(transcript, transcript.warnings + second_best(body.get("fallback"), body.get("fallback_model")))


def read_segments(lines: str) -> tuple[Segment, ...]:
    """A transcript as JSON lines, the format `jsonl`.

    Raises:
        UpstreamError: It is not as the API says.
    """
    try:
        return tuple(_segment(_object(json.loads(line))) for line in lines.splitlines() if line)
    except (KeyError, TypeError, ValueError) as error:
        raise UpstreamError(f"The server sent no transcript: {error!r}") from None


def second_best(fallback: object, model: object) -> tuple[str, ...]:
    """What is told of work that was done in the second-best way."""
    told = (f"fallback: {fallback}",) if fallback else ()
    return told + ((f"by the model {model}",) if model else ())


def target_code(wanted: Wanted) -> str:
    """The code of the language that it is put into, as transcripts have it."""
    return (find_code(wanted.target) or wanted.target) if wanted.target else ""


def _segment(fields: Mapping[str, object]) -> Segment:
    return Segment(
        text=str(fields["text"]),
        start_s=_number(fields["start"]),
        end_s=_number(fields["end"]),
        tokens=tuple(int(_number(token)) for token in _items(fields, "tokens")),
        temperature=_number(fields["temperature"]),
        avg_logprob=_number(fields["avg_logprob"]),
        compression_ratio=_number(fields["compression_ratio"]),
        no_speech_prob=_number(fields["no_speech_prob"]),
        seek=int(_number(fields["seek"])),
        words=tuple(_word(_object(word)) for word in _items(fields, "words")),
        language=str(fields.get("language") or ""),
        speaker=_speaker(fields.get("speaker")),
        original=str(fields.get("original") or ""),
    )


def _word(fields: Mapping[str, object]) -> Word:
    times = _number(fields["start"]), _number(fields["end"])
    probability = _number(fields.get("probability", 1.0))
    return Word(str(fields["word"]), *times, probability, speaker=_speaker(fields.get("speaker")))


def _speaker(label: object) -> Speaker | None:
    if not isinstance(label, str):
        return None
    numbered = _NUMBERED.fullmatch(label)
    return Speaker(int(numbered[1])) if numbered else Speaker(0, label)


def _items(fields: Mapping[str, object], name: str) -> Sequence[object]:
    value = fields.get(name) or ()
    if not isinstance(value, list | tuple):
        raise TypeError(f"{name} is no list")
    return value


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"no object: {value!r:.80}")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"no number: {value!r:.80}")
    return value
