"""From a checked request to segments: submits the job and gathers what comes back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import ClassVar, Generic, TypeVar

from voice_stack.asr.listening.repetition import RepeatFilter
from voice_stack.asr.request import (
    AlignedText,
    AlignedWords,
    AlignmentRequest,
    DiarizationRequest,
    SpeakersHeard,
    TranscriptionRequest,
    TranscriptionSummary,
    WindowText,
)
from voice_stack.asr.speakers.labels import label_speakers
from voice_stack.asr.transcript import Segment, Transcript, Word
from voice_stack.core.engine.handle import JobHandle
from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.errors import VoiceStackError

WorkT = TypeVar("WorkT", AlignmentRequest, DiarizationRequest)


def name_model(engine: EngineSpec) -> str:
    """What requests call the model of an engine."""
    return engine.name if engine.link == "task" else engine.model


@dataclass(slots=True)
class Transcription:
    """A transcription under way.

    Args:
        request: What was asked for.
        handle: The job in the engine.
        heard_s: How far into the file its text goes, in seconds; less where there is more to do then.
        total_s: The length the file says it has, in seconds; 0 while not known.
        fallbacks: What the engine did in the second-best way so far.
        own_fallbacks: What is done so whatever the engine does.
        warnings: What of the file is not heard, as far as it is known by now.
        engine: The one that was asked; None: it is not told which.
    """

    request: TranscriptionRequest
    handle: JobHandle
    share: ClassVar[float] = 1.0
    heard_s: float = 0.0
    total_s: float = 0.0
    fallbacks: tuple[str, ...] = ()
    own_fallbacks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    engine: EngineSpec | None = None

    async def segments(self) -> AsyncIterator[Segment]:
        """Segments in order of time, each as soon as its window is decoded; the job is cancelled if nobody reads on.

        Raises:
            VoiceStackError: The job failed.
        """
        try:
            repeats = RepeatFilter(is_active="repetition" in self.request.suppress)
            async for output in self.handle.outputs():
                if isinstance(output, WindowText):
                    self.heard_s, self.total_s = output.heard_s * self.share, output.total_s
                    self.fallbacks, self.warnings = output.fallbacks, output.warnings
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
        return await self.complete(tuple([segment async for segment in self.segments()]))

    async def complete(self, segments: tuple[Segment, ...]) -> Transcript:
        """Make the transcript of all segments, once there are no more; waits where something is left to do for it.

        Raises:
            VoiceStackError: The job failed.
        """
        summary = self.summary
        return Transcript(
            self.request.decode.task,
            summary.language,
            summary.language_probability,
            summary.audio_in_s,
            segments,
            summary.warnings,
            summary.has_speakers,
        )

    @property
    def handles(self) -> tuple[JobHandle, ...]:
        """Its jobs in the engine so far, the one that hears the file first."""
        return (self.handle,)

    @property
    def summary(self) -> TranscriptionSummary:
        """The engine's closing statement on what was heard."""
        summary = self.handles[0].summary
        assert isinstance(summary, TranscriptionSummary)
        return summary

    @property
    def is_over(self) -> bool:
        """Whether there is no more work for it."""
        return self.handle.is_over

    def stop(self, error: VoiceStackError | None = None) -> None:
        """Stop all work; whoever waits gets the error."""
        _stop(self.handle, error)

    def progress(self) -> tuple[float, float, float]:
        """How far it is: `heard_s` and `total_s`, and how long the work has taken, all in seconds."""
        return self.heard_s, self.total_s, sum(handle.run_s for handle in self.handles)

    def second_best(self) -> dict[str, str]:
        """What was done in the second-best way, as far as it is known by now: `fallback` and `fallback_model`."""
        summaries = [handle.summary for handle in self.handles if isinstance(handle.summary, TranscriptionSummary)]
        found = dict.fromkeys(chain(self.fallbacks, self.own_fallbacks, *(summary.fallbacks for summary in summaries)))
        told = {"fallback": ", ".join(found)} if found else {}
        substitute = self.handles[0].substitute
        return told | ({"fallback_model": name_model(substitute)} if substitute else {})

    @property
    def provider(self) -> str:
        """The provider that does the work; empty where this server does it."""
        engine = self.handles[0].substitute or self.engine
        return engine.engine if engine and engine.link == "task" else ""

    def log_fields(self) -> dict[str, object]:
        """What the request's log line says of the work."""
        first = self.handles[0]
        fields: dict[str, object] = {"queue_s": round(first.queue_wait_s, 3), "task": self.request.task}
        fields |= {"provider": self.provider} if self.provider else {}
        fields |= self.second_best() | ({"warnings": "; ".join(self.warnings)} if self.warnings else {})
        if isinstance(first.summary, TranscriptionSummary):
            duration_s, run_s = self.summary.audio_in_s, sum(handle.run_s for handle in self.handles)
            fields |= {
                "audio_s": round(duration_s, 2),
                "rtf": round(run_s / duration_s, 3) if duration_s else None,
                "language": self.summary.language,
            }
        return fields


def _stop(handle: JobHandle, error: VoiceStackError | None) -> None:
    handle.cancel()
    if error is not None:
        handle.fail(error)


@dataclass(slots=True, kw_only=True)
class _InTwoJobs(Transcription, Generic[WorkT]):
    """A transcription, then a job that looks at the file once more.

    Args:
        submit: Submits that job.
        first: The transcription, when it is over; `handle` is the second job then.
    """

    submit: Callable[[WorkT], Awaitable[JobHandle]]
    first: JobHandle | None = None

    async def _outputs(self, work: WorkT) -> AsyncIterator[object]:
        """What the second job gives."""
        self.total_s = self.summary.audio_in_s
        first = self.handle
        self.handle, self.first = await self.submit(work), first
        try:
            async for output in self.handle.outputs():
                yield output
        finally:
            self.handle.cancel()

    def _advance(self, heard_s: float) -> None:
        """The second job is so far in the file."""
        self.heard_s = heard_s * (1 - self.share) + self.total_s * self.share

    @property
    def handles(self) -> tuple[JobHandle, ...]:
        """The transcription, then the second job."""
        return (self.handle,) if self.first is None else (self.first, self.handle)


class Alignment(_InTwoJobs[AlignmentRequest]):
    """An alignment under way: its second job lays the text beside what was heard."""

    share: ClassVar[float] = 0.75

    async def complete(self, segments: tuple[Segment, ...]) -> Transcript:
        """Wait for the text with its times: sentences in place of segments.

        Raises:
            VoiceStackError: The second job failed.
        """
        heard, asked = await Transcription.complete(self, segments), self.request
        work = AlignmentRequest(
            asked.source, asked.text or "", heard.words, heard.language, heard.duration_s, asked.vad
        )
        sentences, words = tuple[tuple[str, tuple[str, ...]], ...](), dict[int, Word]()
        async for output in self._outputs(work):
            match output:
                case AlignedText():
                    sentences = output.sentences
                case AlignedWords():
                    words |= {n: word for n, word in output.words if word.is_heard or n not in words}
                    self._advance(output.heard_s)
        timed = await asyncio.to_thread(_time_sentences, sentences, words, heard.duration_s)
        return replace(heard, task=asked.task, segments=timed)


WORDS_FALLBACK, SPEAKERS_FALLBACK = "words", "speakers"
"""What the answer's `x-fallback` says: the model gives no word times, so that speakers are told by segments; nobody's
voice was found where words were, so that all are one speaker's."""


class Labelling(_InTwoJobs[DiarizationRequest]):
    """A transcription with speakers under way: its second job finds who speaks when."""

    share: ClassVar[float] = 0.75

    async def complete(self, segments: tuple[Segment, ...]) -> Transcript:
        """Wait for the speakers of segments and words; segments are cut where another speaks.

        Raises:
            VoiceStackError: The second job failed.
        """
        heard, asked = await Transcription.complete(self, segments), self.request
        is_told = heard.has_speakers
        heard = replace(heard, has_speakers=True)
        if is_told or not segments or asked.speakers is None:
            return heard
        found = SpeakersHeard(0.0, 0.0)
        async for output in self._outputs(DiarizationRequest(asked.source, asked.speakers)):
            assert isinstance(output, SpeakersHeard)
            found = output
            self._advance(output.heard_s)
        self.warnings = tuple(dict.fromkeys((*heard.warnings, *found.warnings)))
        self.own_fallbacks += found.fallbacks
        if asked.decode.task == "transcribe" and not heard.words:
            self.own_fallbacks += (WORDS_FALLBACK,)
        if not found.turns:
            self.own_fallbacks += (SPEAKERS_FALLBACK,)
        labelled = await asyncio.to_thread(label_speakers, segments, found.turns)
        return replace(heard, segments=labelled, warnings=self.warnings)


@dataclass(slots=True)
class Diarization:
    """A diarization under way.

    Args:
        request: What was asked for.
        handle: The job in the engine.
        heard: How far it is; when it is over, all turns.
    """

    request: DiarizationRequest
    handle: JobHandle
    heard: SpeakersHeard = field(default_factory=lambda: SpeakersHeard(0.0, 0.0))

    async def gather(self) -> SpeakersHeard:
        """Wait for all turns; the job is cancelled if nobody waits on.

        Raises:
            VoiceStackError: The job failed.
        """
        try:
            async for output in self.handle.outputs():
                assert isinstance(output, SpeakersHeard)
                self.heard = output
        finally:
            self.handle.cancel()
        return self.heard

    @property
    def is_over(self) -> bool:
        """Whether there is no more work for it."""
        return self.handle.is_over

    def stop(self, error: VoiceStackError | None = None) -> None:
        """Stop all work; whoever waits gets the error."""
        _stop(self.handle, error)

    def progress(self) -> tuple[float, float, float]:
        """How far into the file it is, the length the file says it has, 0 while not known, and how long that took."""
        return self.heard.heard_s, self.heard.total_s, self.handle.run_s

    def log_fields(self) -> dict[str, object]:
        """What the request's log line says of the work."""
        heard, run_s = self.heard, self.handle.run_s
        fields: dict[str, object] = {"task": "diarize", "queue_s": round(self.handle.queue_wait_s, 3)}
        fields |= {"audio_s": round(heard.heard_s, 2)}
        fields |= {"rtf": round(run_s / heard.heard_s, 3)} if heard.heard_s else {}
        fields |= {"speakers": len({turn.speaker for turn in heard.turns})}
        fields |= {"fallback": ", ".join(heard.fallbacks)} if heard.fallbacks else {}
        return fields | ({"warnings": "; ".join(heard.warnings)} if heard.warnings else {})


def _time_sentences(
    sentences: Sequence[tuple[str, Sequence[str]]], known: Mapping[int, Word], duration_s: float
) -> tuple[Segment, ...]:
    """The sentences with what is known of their words, by number; times rise and stay within the audio."""
    clock_s, first, timed = 0.0, 0, list[Segment]()
    for text, own in sentences:
        began_s, words = clock_s, list[Word]()
        for word in (known.get(n) or Word(part, 0.0, 0.0, 0.0, is_heard=False) for n, part in enumerate(own, first)):
            start_s, end_s = (min(max(time_s, clock_s), duration_s) for time_s in (word.start_s, word.end_s))
            clock_s = end_s if word.is_heard else clock_s
            words.append(replace(word, start_s=start_s, end_s=end_s) if word.is_heard else word)
        first += len(words)
        placed = tuple(_place_unheard(words, began_s))
        start_s, end_s = (placed[0].start_s, placed[-1].end_s) if placed else (began_s, began_s)
        timed.append(Segment(text, start_s, end_s, (), 0.0, 0.0, 0.0, 0.0, words=placed))
    return tuple(timed)


def _place_unheard(words: Sequence[Word], clock_s: float) -> Iterator[Word]:
    """The words of a sentence; one that was not heard lies where the one before it ends, else where the next begins."""
    at_s = next((word.start_s for word in words if word.is_heard), clock_s)
    for word in words:
        yield word if word.is_heard else Word(word.text, at_s, at_s, word.probability, is_heard=False)
        at_s = word.end_s if word.is_heard else at_s
