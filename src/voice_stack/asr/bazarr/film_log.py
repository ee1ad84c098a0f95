"""What the log tells of a film: when it came, how far it is, how fast, and when it will be done."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from voice_stack.core.logging import log_event

logger = logging.getLogger(__name__)

PROGRESS_S = 60.0
MAX_SHOWN = 300
"""Characters of a film's path that are logged."""


@dataclass(slots=True)
class FilmLog:
    """The log lines of one film; control characters in its path are escaped by the log's formatters.

    Attributes:
        video_file: Path as Bazarr sees it; empty where it does not tell.
        audio_s: Length in seconds; None for a media file, whose header is not asked.
        done_s: How much of it has been heard, in seconds.
    """

    video_file: str
    audio_s: float | None
    done_s: float = 0.0
    _started_at: float = field(default_factory=time.monotonic)
    _shown_at: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float | None:
        """How much of it has still to be heard, in seconds; None where the length is not known."""
        return None if self.audio_s is None else max(0.0, self.audio_s - self.done_s)

    def begin(self, **fields: object) -> None:
        """The film has come."""
        self._log("film accepted", **fields)

    def advance(self, done_s: float) -> None:
        """Everything up to `done_s` is heard; logged once a minute."""
        self.done_s = done_s
        now = time.monotonic()
        if now - self._shown_at < PROGRESS_S or not done_s:
            return
        self._shown_at = now
        fields: dict[str, object] = {"done_s": round(done_s), "speed": round(done_s / (now - self._started_at), 1)}
        if self.audio_s:
            fields["percent"] = round(100 * min(done_s / self.audio_s, 1))
            fields["eta_s"] = round((now - self._started_at) * max(0.0, self.audio_s / done_s - 1))
        self._log("film progress", **fields)

    def start(self) -> None:
        """The engine has the film from now on; what it waited before does not count for its speed."""
        self._started_at = self._shown_at = time.monotonic()

    def end(self, audio_s: float, run_s: float, fields: Mapping[str, object]) -> None:
        """The film is done: its true length, the time the engine had it, and what else is known."""
        speed = {"speed": round(audio_s / run_s, 1)} if run_s else {}
        self._log("film done", **{**fields, **speed, "audio_s": round(audio_s, 1), "run_s": round(run_s, 1)})

    def _log(self, event: str, **fields: object) -> None:
        known: dict[str, object] = {"video_file": self.video_file[:MAX_SHOWN]} if self.video_file else {}
        if self.audio_s is not None:
            known["audio_s"] = round(self.audio_s, 1)
        log_event(logger, logging.INFO, event, **{**known, **fields})
