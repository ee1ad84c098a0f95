"""From a checked request to segments: submits the job and gathers what comes back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import chain

from voice_stack.asr.listening.repetition import RepeatFilter
from voice_stack.asr.request import TranscriptionRequest, TranscriptionSummary, WindowText
from voice_stack.asr.transcript import Segment, Transcript
from voice_stack.core.engine.handle import JobHandle


@dataclass(slots=True)
class Transcription:
    """A transcription under way.

    Args:
        request: What was asked for.
        handle: The job in the engine.
        heard_s: How far into the file its text goes, in seconds.
        total_s: The length the file says it has, in seconds; 0 while not known.
        fallbacks: What was done in the second-best way so far.
        warnings: What of the file is not heard, as far as it is known by now.
    """

    request: TranscriptionRequest
    handle: JobHandle
    heard_s: float = 0.0
    total_s: float = 0.0
    fallbacks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    async def segments(self) -> AsyncIterator[Segment]:
        """Segments in order of time, each as soon as its window is decoded; the job is cancelled if nobody reads on.

        Raises:
            VoiceStackError: The job failed.
        """
        try:
            repeats = RepeatFilter(is_active="repetition" in self.request.suppress)
            async for output in self.handle.outputs():
                if isinstance(output, WindowText):
                    self.heard_s, self.total_s, self.fallbacks = output.heard_s, output.total_s, output.fallbacks
                    self.warnings = output.warnings
                    for segment in chain.from_iterable(map(repeats.push, output.segments)):
                        yield segment
            for segment in repeats.finish():
                yield segment
            self.warnings = self.summary.warnings
        finally:
            self.handle.cancel()

    async def gather(self) -> Transcript:
        """Wait for the whole transcript.

        Raises:
            VoiceStackError: The job failed.
        """
        return self.transcript(tuple([segment async for segment in self.segments()]))

    def transcript(self, segments: tuple[Segment, ...]) -> Transcript:
        """The transcript of all segments; once the job is complete."""
        summary = self.summary
        return Transcript(
            self.request.decode.task,
            summary.language,
            summary.language_probability,
            summary.audio_in_s,
            segments,
            summary.warnings,
        )

    @property
    def summary(self) -> TranscriptionSummary:
        """The engine's closing statement."""
        summary = self.handle.summary
        assert isinstance(summary, TranscriptionSummary)
        return summary

    def second_best(self) -> dict[str, str]:
        """What was done in the second-best way, as far as it is known by now: `fallback` and `fallback_model`."""
        summary, substitute = self.handle.summary, self.handle.substitute
        found = summary.fallbacks if isinstance(summary, TranscriptionSummary) else self.fallbacks
        told = {"fallback": ", ".join(found)} if found else {}
        return told | ({"fallback_model": substitute.model} if substitute else {})

    def log_fields(self) -> dict[str, object]:
        """What the request's log line says of the work."""
        fields: dict[str, object] = {"queue_s": round(self.handle.queue_wait_s, 3), "task": self.request.decode.task}
        fields |= self.second_best() | ({"warnings": "; ".join(self.warnings)} if self.warnings else {})
        if isinstance(self.handle.summary, TranscriptionSummary):
            duration_s = self.summary.audio_in_s
            fields |= {
                "audio_s": round(duration_s, 2),
                "rtf": round(self.handle.run_s / duration_s, 3) if duration_s else None,
                "language": self.summary.language,
            }
        return fields
