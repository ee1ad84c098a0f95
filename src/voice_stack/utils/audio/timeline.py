"""Where decoded sound lies in its file: finds the holes that the timestamps leave."""

MIN_GAP_S = 0.1
"""Shorter ones are jitter, the rounding of a container or the delay of an encoder."""
MAX_STEP_BACK_S = 1.0
"""Sound may overlap by this much; timestamps that fall back further have started anew."""
LONGEST_GAP_S = 3600.0
"""For files that do not say how long they are: a longer gap is a broken timestamp."""

CONTAINERS = frozenset(
    {"mov", "mp4", "m4a", "matroska", "webm", "mpegts", "mpeg", "ogg", "flv", "asf", "nut", "mxf", "wtv"}
)
"""Those that store times. In the others times are counted from bytes or frames: a hole would be a miscount."""


class Timeline:
    """Follows the timestamps of consecutive pieces of sound. Pure: no file, no clock; all times in seconds.

    Args:
        start_s: Timestamp of the beginning of the file, which may be a picture's; None: that of the first sound.
        duration_s: Length the file claims; None where it claims nothing. No gap leads beyond it.
    """

    def __init__(self, start_s: float | None, duration_s: float | None) -> None:
        self._start_s = start_s
        self._end_s = duration_s
        self._position_s = 0.0

    def place(self, time_s: float | None, duration_s: float) -> float:
        """Add a piece of sound.

        Args:
            time_s: Its timestamp; None where it has none and follows what was before it.
            duration_s: Its length.

        Returns:
            Seconds of silence that belong before it. Sound that overlaps gets none, and is kept.
        """
        gap_s = 0.0 if time_s is None else self._gap_s(time_s)
        self._position_s += gap_s + duration_s
        return gap_s

    def _gap_s(self, time_s: float) -> float:
        if self._start_s is None:
            self._start_s = time_s
        gap_s = time_s - self._start_s - self._position_s
        longest_s = LONGEST_GAP_S if self._end_s is None else self._end_s - self._position_s
        if not -MAX_STEP_BACK_S <= gap_s <= max(longest_s, MIN_GAP_S):
            self._start_s = time_s - self._position_s
            return 0.0
        return gap_s if gap_s > MIN_GAP_S else 0.0
