"""What a subtitle is, what may be chosen about subtitles, and the times that hold for all of them."""

from dataclasses import dataclass

MAX_CHARS_PER_S = 20
"""Reading speed to stay under where speech allows it, in columns a second."""
MIN_SHOWN_MS = 1000
MAX_SHOWN_MS = 7000
LINGER_MS = 500
"""How long a cue stays after its last word."""
MAX_LINGER_MS = 1000
"""The same where it needs the time to be read, or to be seen at all."""
MIN_GAP_MS = 83
"""Two frames of a film: without them the eye does not notice that the text has changed."""
SMALL_GAP_MS = 300
"""A shorter gap flickers, so it is closed down to `MIN_GAP_MS`."""
MAX_PAUSE_MS = 1500
"""No cue goes on over a longer pause: its end would be read before it is said."""

DEFAULT_LINE_WIDTH = 42
_LINE_WIDTHS = {"zh": 32, "yue": 32, "ja": 26, "ko": 32}


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown at one time.

    Attributes:
        start_s: When it appears, in seconds and whole milliseconds; `end_s`, always later, is when it goes.
        lines: At least one, none of them empty.
    """

    start_s: float
    end_s: float
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CueOptions:
    """How subtitles shall look.

    Attributes:
        max_line_width: Columns in a line; a wide character such as 語 takes two. None: by language, 42 for most,
            16 wide characters for Chinese and Korean, 13 for Japanese.
        max_lines: Lines in a cue.
        sdh: Keep sound labels, `[Music]` or `♪ la la ♪`, for the deaf and hard of hearing.

    Raises:
        ValueError: No text fits: a width below 2 or no line at all.
    """

    max_line_width: int | None = None
    max_lines: int = 2
    sdh: bool = False

    def __post_init__(self) -> None:
        if self.max_line_width is not None and self.max_line_width < 2:
            raise ValueError(
                f"max_line_width={self.max_line_width}: a wide character takes 2 columns, so 2 is the least"
            )
        if self.max_lines < 1:
            raise ValueError(f"max_lines={self.max_lines}: a cue has at least 1 line")

    def line_width(self, language: str) -> int:
        """Columns in a line of a language, given by its Whisper code."""
        return self.max_line_width or _LINE_WIDTHS.get(language, DEFAULT_LINE_WIDTH)
