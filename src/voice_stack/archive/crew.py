"""Who of several transcribers gets the next recording: the one with the least in hand that has use for more."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from voice_stack.archive.transcribers import Transcriber, outcome_of
from voice_stack.core.errors import UpstreamError, VoiceStackError
from voice_stack.core.logging import log_event

logger = logging.getLogger(__name__)

FIRST_LIMIT, LEAST_LIMIT, MOST_AT_ONCE = 4, 2, 64
LOOK_S = 1.0
FIRST_ABSENCE_S, LONGEST_ABSENCE_S = 2.0, 60.0
GIVE_UP_S = 600.0
"""If so long none of them could be reached, the run ends; what is left is left to the next."""


@dataclass(slots=True)
class Seat:
    """A transcriber and its place in the crew.

    Attributes:
        limit: How many recordings it gets at once, as found so far.
        busy: How many it has.
        is_away: It could not be reached, and gets nothing until it can.
        free_at: Until then it is left alone; on the monotonic clock.
        absence_s: How long that was the last time; 0 since it did something.
    """

    transcriber: Transcriber
    limit: int = FIRST_LIMIT
    busy: int = 0
    is_away: bool = False
    free_at: float = 0.0
    absence_s: float = 0.0

    @property
    def rests_s(self) -> float:
        """For how many seconds it is still left alone."""
        return max(0.0, self.free_at - time.monotonic())


class Crew:
    """Hands out transcribers; lives on the event loop."""

    def __init__(self, transcribers: Sequence[Transcriber]) -> None:
        self._seats = [Seat(transcriber) for transcriber in transcribers]
        self._change = asyncio.Event()
        self._heard_at = time.monotonic()

    async def check(self) -> None:
        """Ask who is there; the others are left out for now.

        Raises:
            VoiceStackError: Nobody is there, or one of them refuses us.
        """
        questions = (seat.transcriber.count_waiting() for seat in self._seats)
        answers = await asyncio.gather(*questions, return_exceptions=True)
        away = [answer for answer in answers if isinstance(answer, VoiceStackError) and outcome_of(answer) == "away"]
        for seat, answer in zip(self._seats, answers, strict=True):
            if not isinstance(answer, BaseException):
                continue
            if not isinstance(answer, VoiceStackError) or (answer in away and len(away) == len(answers)):
                raise answer
            if answer in away:
                self.leave_out(seat, answer)
            elif outcome_of(answer) != "busy":
                raise answer

    async def take(self) -> Seat:
        """Wait until somebody has use for a further recording.

        Raises:
            UpstreamError: For long, nobody could be reached.
        """
        while True:
            ready = [seat for seat in self._seats if not seat.is_away and not seat.rests_s]
            if free := [seat for seat in ready if seat.busy < seat.limit]:
                seat = min(free, key=lambda seat: seat.busy)
                seat.busy += 1
                return seat
            if not ready and time.monotonic() - self._heard_at > GIVE_UP_S:
                raise UpstreamError(f"for {GIVE_UP_S / 60:.0f} minutes nobody took a recording")
            self._change.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._change.wait()

    def give_back(self, seat: Seat, *, did_well: bool) -> None:
        """The transcriber has finished with a recording."""
        seat.busy -= 1
        if did_well:
            seat.absence_s, self._heard_at = 0.0, time.monotonic()
        self._change.set()

    def slow_down(self, seat: Seat, wait_s: float) -> None:
        """The transcriber takes nothing more now: it gets less, and for a while nothing."""
        seat.limit = max(LEAST_LIMIT, seat.busy - 1)
        seat.free_at = time.monotonic() + min(wait_s, LONGEST_ABSENCE_S)

    def leave_out(self, seat: Seat, error: VoiceStackError) -> None:
        """The transcriber cannot be reached: it is asked again after longer and longer."""
        if seat.rests_s:
            return
        seat.absence_s = min(max(2 * seat.absence_s, FIRST_ABSENCE_S), LONGEST_ABSENCE_S)
        seat.free_at = time.monotonic() + seat.absence_s
        if not seat.is_away:
            seat.is_away, seat.limit = True, FIRST_LIMIT
            log_event(logger, logging.WARNING, "left out for now", worker=seat.transcriber.name, reason=error.message)

    async def keep_tuned(self) -> None:
        """Find who is back, and how much each has use for: more as long as nothing waits before its engines."""
        while True:
            await asyncio.sleep(LOOK_S)
            asked = (seat for seat in self._seats if (seat.is_away or seat.busy >= seat.limit) and not seat.rests_s)
            await asyncio.gather(*map(self._tune, asked))

    async def _tune(self, seat: Seat) -> None:
        try:
            waiting = await seat.transcriber.count_waiting()
        except VoiceStackError as error:
            if seat.is_away:
                self.leave_out(seat, error)
            return  # else whoever hears a recording there finds out
        if seat.is_away:
            log_event(logger, logging.WARNING, "there again", worker=seat.transcriber.name)
            seat.is_away = False
        elif waiting == 0:
            seat.limit = min(seat.limit + max(1, seat.limit // 2), MOST_AT_ONCE)
        elif waiting > seat.limit // 2:
            seat.limit = max(LEAST_LIMIT, seat.limit - 1)
        self._change.set()
