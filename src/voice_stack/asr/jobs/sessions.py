"""What live sessions heard: kept turn by turn, where background jobs are kept and as long."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from voice_stack.asr.jobs.record import LIVE, JobRecord
from voice_stack.asr.jobs.store import JobStore
from voice_stack.asr.transcript import Segment, Transcript
from voice_stack.core.errors import NotFoundError, VoiceStackError
from voice_stack.core.ids import tell_other_replica
from voice_stack.core.logging import log_event, request_id_var

logger = logging.getLogger(__name__)


class SessionRecorder:
    """Keeps what one live session hears; lives on the event loop. Nothing is written before there is sound.

    Args:
        store: Where it is kept; None: nowhere.
        session: What is known at its beginning.

    Attributes:
        record: As it is now.
    """

    def __init__(self, store: JobStore | None, session: JobRecord) -> None:
        self.record, self._store = session, store
        self._writing: asyncio.Task[None] | None = None

    @property
    def is_keeping(self) -> bool:
        """Whether anything is kept."""
        return self._store is not None

    async def keep(self, segments: Sequence[Segment], *, audio_s: float, lost_turns: int) -> None:
        """Keep the text of a turn, in the time of the session; waits until that of the one before is on disk.

        Whoever asks for the transcript from now on gets this turn with it.

        Args:
            segments: The turn; none of one without words.
            audio_s: All the sound of the session by now, in seconds.
            lost_turns: How many turns have failed meanwhile.
        """
        if self._store is None or not audio_s:
            return
        before = self._writing
        self._writing = asyncio.create_task(self._write(self._store, segments, audio_s, lost_turns, before))
        await _wait(before)

    def stop(self) -> None:
        """Keep nothing more."""
        self._store = None

    async def flush(self) -> None:
        """Wait until all is on disk."""
        await _wait(self._writing)

    async def _write(
        self,
        store: JobStore,
        segments: Sequence[Segment],
        audio_s: float,
        lost_turns: int,
        before: asyncio.Task[None] | None,
    ) -> None:
        await _wait(before)
        if self.record.finished_at and store.find(self.record.id) is None:
            return  # removed meanwhile: the rest alone would pass for all
        now, lost_turns = time.time(), lost_turns + self.record.lost_turns
        self.record = replace(self.record, audio_s=round(audio_s, 3), finished_at=now, lost_turns=lost_turns)
        try:
            self.record = await store.append(self.record, [replace(segment, logprobs=()) for segment in segments])
        except (VoiceStackError, RuntimeError) as error:  # the latter: the server has ended
            log_event(logger, logging.ERROR, "turn not kept", session=self.record.id, reason=str(error))
            if segments and isinstance(error, VoiceStackError):
                self.record = replace(self.record, lost_turns=lost_turns + 1)
                await store.save(self.record)


async def _wait(writing: asyncio.Task[None] | None) -> None:
    """Wait for it; whoever is cancelled meanwhile leaves it at work."""
    if writing is not None:
        await asyncio.wait({writing})


class SessionTranscripts:
    """What the sessions of one server heard; lives on the event loop.

    Args:
        store: Where it is kept.
        replica: Name of this server, if it is one of several.
        is_on: Whether anything is.
    """

    def __init__(self, store: JobStore, replica: str, *, is_on: bool) -> None:
        self.is_on, self.replica, self._store = is_on, replica, store
        self._open: dict[str, SessionRecorder] = {}

    def begin(self, session_id: str, owner: str, *, is_kept: bool = True) -> SessionRecorder:
        """Begin to keep a session of whoever `name_caller` gives, if it is to be kept; to be handed to `end`."""
        request_id, now = request_id_var.get() or "", time.time()
        record = JobRecord(session_id, now, LIVE, {}, "", "", 0, 0, request_id, owner, "completed")
        is_kept &= self.is_on
        recorder = SessionRecorder(self._store if is_kept else None, record)
        if is_kept:
            self._open[session_id] = recorder
        return recorder

    async def end(
        self, recorder: SessionRecorder, segments: Sequence[Segment], *, audio_s: float, lost_turns: int
    ) -> None:
        """The session is over; arguments as for `SessionRecorder.keep`."""
        await recorder.keep(segments, audio_s=audio_s, lost_turns=lost_turns)
        await recorder.flush()
        self._open.pop(recorder.record.id, None)

    async def transcript(self, session_id: str) -> Transcript:
        """What a session has heard so far, its words with the times of the session.

        Raises:
            NotFoundError: There is no such session, or nothing is kept of it.
            VoiceStackError: What is kept is damaged.
        """
        record = self._require(session_id)
        segments = await self._store.load_turns(session_id) if record.finished_at else ()
        said = sorted(segments, key=lambda segment: segment.start_s)
        spoken_s = defaultdict[str, float](float)
        for segment in said:
            spoken_s[segment.language] += segment.end_s - segment.start_s
        language = max(spoken_s, key=lambda code: spoken_s[code], default="") or "en"
        lost = record.lost_turns
        warnings = (f"turns that failed or could not be kept: {lost}",) if lost else ()
        is_labelled = any(segment.speaker for segment in said)
        return Transcript("transcribe", language, 0.0, record.audio_s or 0.0, tuple(said), warnings, is_labelled)

    async def remove(self, session_id: str) -> None:
        """Forget what a session heard; nothing more of it is kept.

        Raises:
            NotFoundError: There is nothing.
        """
        self._require(session_id)
        if recorder := self._open.pop(session_id, None):
            recorder.stop()
            await recorder.flush()
        await self._store.remove(session_id)

    def _require(self, session_id: str) -> JobRecord:
        record = self._store.find(session_id)
        if record is None and session_id in self._open and not self._open[session_id].record.finished_at:
            record = self._open[session_id].record
        if record is None or record.task != LIVE:
            message = f"Nothing is kept of a session {session_id[:80]!r}: it never was, had no sound, was removed, "
            place = tell_other_replica(session_id, self.replica)
            raise NotFoundError(f"{message}or its time is over.{place}", code="session_not_found")
        return record
