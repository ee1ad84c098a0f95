"""Who speaks in a live session, as its door sees it: sound is fed, and what was said is labelled."""

import logging
from collections.abc import AsyncGenerator
from dataclasses import replace

from voice_stack.asr.live.dialogue import HeardTurn, Piece
from voice_stack.asr.live.session import TRANSCRIPTION
from voice_stack.asr.live.turns import Change, LiveSound, TurnSpeakers, WhoSpoke
from voice_stack.asr.request import SpeakerTurn
from voice_stack.asr.speakers.labels import cut_by_speaker
from voice_stack.asr.transcript import Segment, Speaker
from voice_stack.core.engine.handle import JobHandle
from voice_stack.core.errors import VoiceStackError
from voice_stack.core.http.realtime import Event, make_id
from voice_stack.core.logging import log_event

logger = logging.getLogger(__name__)

UNKNOWN = "unknown"
"""The speaker of a segment when nobody can be told any more."""


class SpeakerFollower:
    """Lives on the event loop.

    Args:
        handle: The diarization.
        begun_s: How far the session was when it began, in seconds.

    Attributes:
        is_lost: Nobody is told apart any more.
    """

    def __init__(self, handle: JobHandle, begun_s: float) -> None:
        self._handle, self._begun_s = handle, begun_s
        self._waiting: dict[str, HeardTurn] = {}
        self._speakers: dict[Speaker, Speaker] = {}
        self.is_lost = False

    async def feed(self, piece: Piece) -> None:
        """Give it what the transcription gets; waits while the engine is far behind."""
        if isinstance(piece, LiveSound | Change) and not self.is_lost:
            await self._handle.feed(piece)

    async def ask(self, turn: HeardTurn) -> bool:
        """Have a turn labelled that is complete; returns whether `labelled` will tell of it."""
        if self.is_lost or not turn.segments:
            return False
        self._waiting[turn.item_id] = turn
        start_s, end_s = turn.segments[0].start_s - self._begun_s, turn.segments[-1].end_s - self._begun_s
        await self._handle.feed(WhoSpoke(turn.item_id, start_s, end_s))
        return True

    def close(self) -> None:
        """No more sound comes, and nothing more is asked."""
        self._handle.end_input()

    async def labelled(self) -> AsyncGenerator[HeardTurn]:
        """What was asked, cut where another speaks; without speakers if they are lost."""
        try:
            async for told in self._handle.outputs():
                if isinstance(told, TurnSpeakers) and (turn := self._waiting.pop(told.item_id, None)):
                    yield self._label(turn, told)
        except VoiceStackError as error:
            log_event(logger, logging.WARNING, "who speaks is not told any more", reason=error.message)
        finally:
            self.is_lost = True
            self._handle.cancel()
        for turn in self.take_waiting():
            yield turn

    def take_waiting(self) -> list[HeardTurn]:
        """What was asked and has no speakers yet; nothing is waited for any more."""
        waiting, self._waiting = list(self._waiting.values()), {}
        return waiting

    def _label(self, turn: HeardTurn, told: TurnSpeakers) -> HeardTurn:
        later_s = self._begun_s
        turns = [SpeakerTurn(one.start_s + later_s, one.end_s + later_s, one.speaker) for one in told.turns]
        return replace(turn, segments=tuple(map(self._rename, cut_by_speaker(turn.segments, turns))))

    def _rename(self, segment: Segment) -> Segment:
        """With the speaker as the session has them: letters are by first words, and names take none."""
        told = segment.speaker or Speaker(0)
        key = replace(told, score=0.0)
        if key not in self._speakers:
            number = sum(bool(known.name) == bool(told.name) for known in self._speakers)
            self._speakers[key] = replace(told, number=number)
        speaker = self._speakers[key]
        return replace(segment, speaker=speaker, words=tuple(replace(word, speaker=speaker) for word in segment.words))


def segment_events(turn: HeardTurn) -> list[Event]:
    """What a client is told of a turn; times are in seconds of the session."""
    return [
        {
            "type": f"{TRANSCRIPTION}.segment",
            "event_id": make_id("event"),
            "item_id": turn.item_id,
            "content_index": 0,
            "id": make_id("seg"),
            "text": segment.text.strip(),
            "start": round(segment.start_s, 3),
            "end": round(segment.end_s, 3),
            "speaker": segment.speaker.letter if segment.speaker else UNKNOWN,
        }
        for segment in turn.segments
    ]
