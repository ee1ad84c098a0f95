"""A transcription whose text is translated: as it is heard, or once all of it is."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from voice_stack.asr.transcriber import Transcription
from voice_stack.asr.transcript import Segment, Transcript
from voice_stack.asr.translation.cues import CueCutting, SourceCue, cut_transcript
from voice_stack.asr.translation.translator import CueTranslator
from voice_stack.core.engine.handle import JobHandle
from voice_stack.core.errors import VoiceStackError

TRANSLATION_FALLBACK = "translation"
"""What the answer's `x-fallback` says where cues stay in the language that is spoken."""
_LISTENING_SHARE = 0.5
"""Of the progress."""


class Translation(Transcription):
    """Its segments are the cues of what is heard, each translated, with its original and at its times.

    Args:
        listening: The transcription of what is said.
        translator: What translates it.
        on_heard: Told the whole transcript before it is translated, where it is not translated as it is heard.
    """

    def __init__(
        self,
        listening: Transcription,
        translator: CueTranslator,
        on_heard: Callable[[Transcript], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(listening.request, listening.handle, engine=listening.engine)
        self._listening, self._translator, self._on_heard = listening, translator, on_heard
        self._source: Transcript | None = None
        self._cues = 0
        self._heard_at = 0.0
        self._is_over = False
        self._step: asyncio.Future[tuple[SourceCue, str] | None] | None = None
        self._stopped_by: VoiceStackError | None = None

    async def segments(self) -> AsyncIterator[Segment]:
        """The cues in order of time, each as soon as it is translated; all work ends if nobody reads on.

        Raises:
            VoiceStackError: The job failed, or the language model cannot be asked.
        """
        choice = self._translator.choice
        # Who speaks is known when all is heard, and cuts the cues.
        is_live = choice.as_heard and self.request.speakers is None
        cues = self._cut_as_heard() if is_live else self._cut_when_heard()
        try:
            async with aclosing(self._translator.translate(cues)) as translated:
                while (told := await self._next(translated)) is not None:
                    cue, text = told
                    yield replace(cue.segment, text=text, original=cue.segment.text)
        finally:
            self._is_over = True
            self._listening.stop()

    async def _next(self, translated: AsyncGenerator[tuple[SourceCue, str], None]) -> tuple[SourceCue, str] | None:
        """What comes next, None after the last; in a task of its own, so that it can be stopped from outside."""
        self._step = asyncio.ensure_future(anext(translated, None))
        try:
            return await self._step
        except asyncio.CancelledError:
            if self._stopped_by is not None:
                raise self._stopped_by from None
            raise

    async def _cut_as_heard(self) -> AsyncGenerator[SourceCue, None]:
        heard, cutting = list[Segment](), None
        async for segment in self._listening.segments():
            heard.append(segment)
            cutting = cutting or CueCutting(segment.language, self._translator.choice)
            for cue in cutting.push(segment):
                yield cue
        source = self._source = await self._listening.complete(tuple(heard))
        for cue in cutting.flush(source.duration_s) if cutting else ():
            yield cue

    async def _cut_when_heard(self) -> AsyncGenerator[SourceCue, None]:
        source = await self._listening.gather()
        if self._on_heard is not None:
            await self._on_heard(source)
        cues = await asyncio.to_thread(cut_transcript, source, self._translator.choice)
        self._source, self._cues, self._heard_at = source, len(cues), time.monotonic()
        for cue in cues:
            yield cue

    async def complete(self, segments: tuple[Segment, ...]) -> Transcript:
        """Make the transcript of all cues, once there are no more."""
        source = self._source
        assert source is not None
        self.warnings = (*source.warnings, *self._translator.warnings)
        code = self._translator.choice.language
        return replace(source, task="translate", target_language=code, segments=segments, warnings=self.warnings)

    @property
    def handles(self) -> tuple[JobHandle, ...]:
        """Those of what is said."""
        return self._listening.handles

    @property
    def is_over(self) -> bool:
        """Whether all is translated, or nobody waits for it."""
        return self._is_over

    def stop(self, error: VoiceStackError | None = None) -> None:
        """Stop all work; whoever waits gets the error."""
        self._stopped_by, self._is_over = error, True
        self._listening.stop(error)
        if self._step is not None:
            self._step.cancel()

    def progress(self) -> tuple[float, float, float]:
        """See `Transcription.progress`: half of it is listening."""
        heard_s, total_s, run_s = self._listening.progress()
        if self._source is None or not self._cues:
            return heard_s * _LISTENING_SHARE, total_s, run_s
        share = _LISTENING_SHARE + (1 - _LISTENING_SHARE) * self._translator.done / self._cues
        total_s = self._source.duration_s
        return total_s * share, total_s, run_s + time.monotonic() - self._heard_at

    def second_best(self) -> dict[str, str]:
        """See `Transcription.second_best`."""
        told = self._listening.second_best()
        if self._translator.lost:
            told["fallback"] = ", ".join([*filter(None, [told.get("fallback")]), TRANSLATION_FALLBACK])
        return told

    def log_fields(self) -> dict[str, object]:
        """See `Transcription.log_fields`."""
        return super().log_fields() | {"target": self._translator.choice.language, "cues": self._translator.done}
