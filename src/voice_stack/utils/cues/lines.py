"""The tokens of a cue -> its lines, as alike in width and as well parted as can be."""

from collections.abc import Sequence
from itertools import pairwise

from voice_stack.utils.cues.phrases import break_cost
from voice_stack.utils.cues.text import ARROW
from voice_stack.utils.cues.tokens import Token

_UNBALANCED = 20.0
"""Times the square of how far each line is from the mean width, in parts of it; in the unit of `break_cost`."""
_TOP_HEAVY = 1.0
"""For a line that is wider than the one below it."""

_Way = tuple[float, tuple[int, ...], int]
"""Cost of some lines, the places where they begin and end, the width of the last."""


def wrap(tokens: Sequence[Token], *, width: int, language: str) -> tuple[str, ...]:
    """Set tokens in as few lines as hold them.

    Args:
        tokens: Of one cue.
        width: Most columns in a line; no token is wider.
        language: Of the text.
    """
    columns = _columns(tokens)
    lines = _fewest_lines(columns, tokens, width)
    mean = max(_line_width(columns, tokens, 0, len(tokens)) / lines, 1)
    ways: dict[int, _Way] = {0: (0.0, (0,), 0)}  # by where the lines so far end
    for line in range(lines):
        ends = range(line + 1, len(tokens) + 1) if line < lines - 1 else [len(tokens)]
        found = {}
        for end in ends:
            options = [
                _add_line(way, begin, end, _line_width(columns, tokens, begin, end), mean, tokens, language)
                for begin, way in ways.items()
                if begin < end and _line_width(columns, tokens, begin, end) <= width
            ]
            if options:
                found[end] = min(options)
        ways = found
    return tuple(_text(tokens[begin:end]) for begin, end in pairwise(ways[len(tokens)][1]))


def _add_line(way: _Way, begin: int, end: int, width: int, mean: float, tokens: Sequence[Token], language: str) -> _Way:
    cost, ends, above = way
    cost += _UNBALANCED * ((width - mean) / mean) ** 2
    if end < len(tokens):
        cost += break_cost(tokens[end - 1], tokens[end], language)
    if begin and above > width:
        cost += _TOP_HEAVY
    return cost, (*ends, end), width


def _columns(tokens: Sequence[Token]) -> list[int]:
    """Where each token would end if all stood in one line."""
    columns, column = [0], 0
    for token in tokens:
        column += token.width + token.is_spaced
        columns.append(column)
    return columns


def _line_width(columns: Sequence[int], tokens: Sequence[Token], begin: int, end: int) -> int:
    return columns[end] - columns[begin] - tokens[begin].is_spaced


def _fewest_lines(columns: Sequence[int], tokens: Sequence[Token], width: int) -> int:
    lines, begin = 1, 0
    for end in range(1, len(tokens) + 1):
        if _line_width(columns, tokens, begin, end) > width:
            lines, begin = lines + 1, end - 1
    return lines


def _text(tokens: Sequence[Token]) -> str:
    text = "".join(f" {token.text}" if token.is_spaced else token.text for token in tokens)
    return text.strip().replace(ARROW, "→")
