"""A transcript -> subtitle cues that are easy to read: short lines, whole phrases, in order and without overlap."""

from voice_stack.asr.transcript import Transcript
from voice_stack.utils.cues.cue import Cue, CueOptions
from voice_stack.utils.cues.stream import CueStream

__all__ = ["Cue", "CueOptions", "CueStream", "cues_from"]

_DEFAULT = CueOptions()


def cues_from(transcript: Transcript, options: CueOptions = _DEFAULT) -> list[Cue]:
    """All cues of a transcript: what `CueStream` gives for its segments.

    Args:
        transcript: With the times of words where there are any.
        options: How the cues shall look; by default two lines of 42 columns.
    """
    stream = CueStream(transcript.language, task=transcript.task, options=options)
    cues = [cue for segment in transcript.segments for cue in stream.push(segment)]
    return cues + stream.flush(transcript.duration_s)
