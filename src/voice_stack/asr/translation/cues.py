"""A transcript as cues in the language that is spoken: what is translated, one by one, at times that stay."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from voice_stack.asr.request import TranslationChoice
from voice_stack.asr.transcript import Segment, Transcript
from voice_stack.utils.cues.cue import Cue
from voice_stack.utils.cues.stream import CueStream, lead

_EARLY_S = 0.05
"""A word may begin so much before its segment."""
_KEPT_SEGMENTS = 500
"""No cue is final so much later than it is said."""


@dataclass(frozen=True, slots=True)
class SourceCue:
    """A cue of the transcript.

    Attributes:
        number: From 1, as in a subtitle file.
        segment: Its text, with the space before it, its times, its speaker; what else is known is that of the segment
            in which it begins.
    """

    number: int
    segment: Segment

    @property
    def text(self) -> str:
        """What is said, on one line."""
        return self.segment.text.strip()

    @property
    def shown_s(self) -> float:
        """How long it is shown, in seconds."""
        return self.segment.end_s - self.segment.start_s


class CueCutting:
    """Cuts segments, as they come, into cues as `cues_from` does for a transcript in its own language."""

    def __init__(self, language: str, choice: TranslationChoice) -> None:
        self._language = language
        self._stream = CueStream(language, options=choice.cues)
        self._segments = deque[Segment](maxlen=_KEPT_SEGMENTS)
        self._number = 0

    def push(self, segment: Segment) -> list[SourceCue]:
        """Add the next segment; returns the cues that are now final."""
        self._segments.append(segment)
        return self._number_cues(self._stream.push(segment, segment.speaker.label if segment.speaker else ""))

    def flush(self, duration_s: float) -> list[SourceCue]:
        """The remaining cues of a file of so many seconds."""
        return self._number_cues(self._stream.flush(duration_s))

    def _number_cues(self, cues: Sequence[Cue]) -> list[SourceCue]:
        numbered = []
        for cue in cues:
            self._number += 1
            numbered.append(SourceCue(self._number, self._segment_of(cue)))
        return numbered

    def _segment_of(self, cue: Cue) -> Segment:
        """The segment in which a cue begins, with the cue's text and times."""
        known = [part for part in self._segments if (part.speaker.label if part.speaker else "") == cue.voice]
        said = next((part for part in reversed(known) if part.start_s <= cue.start_s + _EARLY_S), known[0])
        return replace(
            said,
            text=lead(cue.text),
            start_s=cue.start_s,
            end_s=cue.end_s,
            tokens=(),
            words=(),
            logprobs=(),
            language=said.language or self._language,
        )


def cut_transcript(transcript: Transcript, choice: TranslationChoice) -> list[SourceCue]:
    """The cues of a whole transcript."""
    cutting = CueCutting(transcript.language, choice)
    cues = [cue for segment in transcript.segments for cue in cutting.push(segment)]
    return cues + cutting.flush(transcript.duration_s)
