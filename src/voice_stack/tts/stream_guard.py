"""Faithfulness of a clause that is sent while it is still being made."""

import logging

import numpy as np

from voice_stack.tts.faithfulness import cut_babble, report
from voice_stack.tts.pace import Expectation
from voice_stack.utils.audio.envelope import find_speech, loudest_level
from voice_stack.utils.audio.pcm import Samples


class StreamGuard:
    """Holds silence back until it is known to belong to the clause.

    What was sent cannot be taken back, so only the end can be corrected: a clause that gets longer than its text can be
    is cut at the quietest place that is not out yet, which is the pause before what was invented if there is one. That
    a clause ended too early can only be logged.

    Args:
        sample_rate: In Hz.
        expectation: The predicted length.
    """

    def __init__(self, sample_rate: int, expectation: Expectation) -> None:
        self._rate, self._expectation = sample_rate, expectation
        self._held: Samples = np.zeros(0, np.float32)
        self._loudest = 0.0
        self._sent = 0
        self.is_cut = False

    @property
    def spoken_s(self) -> float:
        """Length of the clause so far, without silence at its end."""
        return (self._sent + self._speech_end) / self._rate

    def push(self, samples: Samples) -> Samples:
        """Take a piece; give what can be sent, which may be nothing. Once `is_cut`, that was the last."""
        self._held = np.concatenate([self._held, samples])
        self._loudest = max(self._loudest, loudest_level(samples, self._rate))
        return self._cut() if self.spoken_s > self._expectation.longest_s else self._release(self._speech_end)

    def finish(self) -> tuple[Samples, bool]:
        """The rest of a clause that ended by itself, and whether its length fits."""
        fits = self._expectation.fits(self.spoken_s)
        if not fits:
            what = "clause does not fit its text: some of it may be missing"
            report(what, logging.WARNING, self._expectation, self.spoken_s)
        return self._release(self._held.size), fits

    @property
    def _speech_end(self) -> int:
        return find_speech(self._held, self._rate, self._loudest).end

    def _release(self, count: int) -> Samples:
        ready, self._held = self._held[:count], self._held[count:]
        self._sent += count
        return ready

    def _cut(self) -> Samples:
        made_s, sent_s = self.spoken_s, self._sent / self._rate
        earliest_s, latest_s = (limit - sent_s for limit in (self._expectation.expected_s, self._expectation.longest_s))
        end = cut_babble(self._held, self._rate, earliest_s=earliest_s, latest_s=latest_s)
        self.is_cut = True
        kept_s = round(sent_s + end.size / self._rate, 2)
        what = "clause does not fit its text: what was too much is cut"
        report(what, logging.WARNING, self._expectation, made_s, kept_s=kept_s)
        return end
