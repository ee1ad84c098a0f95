"""Where one cue ends and the next begins, and how its text is parted into lines."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from voice_stack.utils.cues.cue import (
    MAX_CHARS_PER_S,
    MAX_LINGER_MS,
    MAX_PAUSE_MS,
    MAX_SHOWN_MS,
    MIN_GAP_MS,
    MIN_SHOWN_MS,
    SMALL_GAP_MS,
)
from voice_stack.utils.cues.tokens import ARROW, Mark, Token, is_ideographic, is_unspaced, opens_phrase

_MAX_PHRASE_WORDS = 4
_PHRASE_PAUSE_MS = 700
_OPENERS = "\"'“‘„«‹([{¿¡-–—"
_DASHES = ("- ", "– ", "— ")
_CURRENCIES = "$£€¥#№"
_CLOSERS = "\"'”’»›)]}.,;:!?…"

# Costs of a break, on a scale of their own; after a sentence there is none.
_AFTER_CLAUSE = 6.0
_AFTER_SEGMENT = 9.0
_BEFORE_OPENER = 10.0
_BETWEEN_WORDS = 14.0
_AFTER_OPENER = 24.0
_INSIDE_WORD = 50.0
_HALVING_PAUSE_MS = 400
"""A pause that makes a break half as bad."""


def join_phrases(tokens: Iterable[Token], *, language: str, limit: int) -> list[Token]:
    """Make one token of numbers and what they count, titles and names, and names of several words.

    What would be wider than `limit` columns stays apart.
    """
    joined: list[Token] = []
    for token in tokens:
        if joined and _fits(joined[-1], token, limit) and _belong(joined[-1], token.text, language):
            joined.append(_join(joined.pop(), token))
        else:
            joined.append(token)
    return joined


def _fits(left: Token, right: Token, limit: int) -> bool:
    return (
        right.is_spaced
        and left.width + 1 + right.width <= limit
        and left.words + right.words <= _MAX_PHRASE_WORDS
        and right.start_ms - left.end_ms < _PHRASE_PAUSE_MS
        and right.end_ms - left.start_ms <= MAX_SHOWN_MS
    )


def _join(left: Token, right: Token) -> Token:
    is_word = _is_word(right.text)
    return replace(
        left,
        text=f"{left.text} {right.text}",
        width=left.width + 1 + right.width,
        words=left.words + (right.words if is_word else 0),
        mark=right.mark if is_word else max(left.mark, right.mark),
        end_ms=right.end_ms,
    )


def _is_word(text: str) -> bool:
    return any(map(str.isalnum, text))


def _belong(left: Token, right: str, language: str) -> bool:
    """Whether a line may never end between the two."""
    last = left.text.rsplit(" ", 1)[-1]
    if not _is_word(right):  # French " ?" and " »", "5 %", "20 €"
        return right[0] not in _OPENERS
    if not _is_word(last):
        return last[-1] in _OPENERS + _CURRENCIES
    if left.mark is not Mark.NOTHING:
        return False
    if last.endswith("."):  # an abbreviation, since no sentence ends here
        return not right[0].islower()
    return _is_figure_or_name(last, right, language)


def _is_figure_or_name(left: str, right: str, language: str) -> bool:
    """Whether two words are "3 May", "20 people", "Room 5" or "New York"."""
    if not left[-1].isalnum() or opens_phrase(right.strip(_CLOSERS), language):
        return False
    if left[-1].isdigit():
        return True
    is_capital = left[0].isupper() and not opens_phrase(left, language)
    return is_capital and (right[0].isdigit() or right[0].isupper())


def break_cost(left: Token, right: Token, language: str) -> float:
    """How badly a cue or a line ends between two tokens: 0 after a sentence, 50 inside a word.

    The order is that of usual guidelines: sentence, clause, pause, then before a conjunction or preposition.
    """
    if left.mark is Mark.SENTENCE:
        return 0.0
    pause_ms = right.start_ms - left.end_ms
    return _syntax_cost(left, right, language) * _HALVING_PAUSE_MS / (_HALVING_PAUSE_MS + pause_ms)


def _syntax_cost(left: Token, right: Token, language: str) -> float:
    if left.mark is Mark.CLAUSE or right.text.startswith(_DASHES):
        return _AFTER_CLAUSE
    if right.is_first:
        return _AFTER_SEGMENT
    if not right.is_spaced:
        return _unspaced_cost(left.text[-1], right.text[0], language)
    if opens_phrase(left.text.rsplit(" ", 1)[-1], language):
        return _AFTER_OPENER
    return _BEFORE_OPENER if opens_phrase(right.text.split(" ", 1)[0], language) else _BETWEEN_WORDS


def _unspaced_cost(left: str, right: str, language: str) -> float:
    """Japanese phrases mostly end with Hiragana and begin with another script."""
    if language == "ja":
        return _BEFORE_OPENER if _is_hiragana(left) and not _is_hiragana(right) else _AFTER_OPENER
    is_parted = is_ideographic(left) or is_ideographic(right) or (is_unspaced(left) and is_unspaced(right))
    return _BETWEEN_WORDS if is_parted else _INSIDE_WORD


def _is_hiragana(char: str) -> bool:
    return "\u3040" <= char <= "\u309f"


_UNBALANCED = 20.0
"""Times the square of how far each line is from the mean width, in parts of it; in the unit of `break_cost`."""
_TOP_HEAVY = 1.0
"""For a line that is wider than the one below it."""

_Way = tuple[float, tuple[int, ...], int]
"""Cost of some lines, the places where they begin and end, the width of the last."""


def wrap(tokens: Sequence[Token], *, width: int, language: str) -> tuple[str, ...]:
    """Set the tokens of a cue in as few lines as hold them, of `width` columns at most; no token is wider."""
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
    return tuple(text_of(tokens[begin:end]) for begin, end in pairwise(ways[len(tokens)][1]))


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
    return list(accumulate((token.width + token.is_spaced for token in tokens), initial=0))


def _line_width(columns: Sequence[int], tokens: Sequence[Token], begin: int, end: int) -> int:
    return columns[end] - columns[begin] - tokens[begin].is_spaced


def _fewest_lines(columns: Sequence[int], tokens: Sequence[Token], width: int) -> int:
    lines, begin = 1, 0
    for end in range(1, len(tokens) + 1):
        if _line_width(columns, tokens, begin, end) > width:
            lines, begin = lines + 1, end - 1
    return lines


def text_of(tokens: Sequence[Token]) -> str:
    """The text of some tokens on one line."""
    text = "".join(f" {token.text}" if token.is_spaced else token.text for token in tokens)
    return text.strip().replace(ARROW, "→")


# All costs are in the unit of `break_cost`.
_CUE = 8.0
_FULL_CUE = 10.0
"""Of a cue that fills all its lines; it grows with the square of the width, so that like cues are cheapest."""
_SENTENCE_INSIDE = 12.0
_PAUSE_INSIDE_PER_S = 10.0
_CHAR_TOO_FAST = 0.5
_MISSING_PER_S = 30.0
"""For the time by which a cue is seen shorter than `MIN_SHOWN_MS`."""
_ORPHAN = 25.0
_ORPHAN_WORDS = 3
_MOST_OPEN_TOKENS = 500
"""So many wait at most to be certain."""
_SETTLE_EVERY = 4


class CueCutter:
    """Groups tokens into cues by dynamic programming over the places where a cue may end.

    A group is given out as soon as every way on from here shares it, so the result is the same, and the best, however
    long the text is. The time is linear in the tokens: a cue has room for few of them.

    Args:
        language: Of the text.
        line_width: Most columns in a line; no token is wider.
        max_lines: Most lines in a cue.
    """

    def __init__(self, language: str, line_width: int, max_lines: int) -> None:
        self._language, self._line_width, self._max_lines = language, line_width, max_lines
        self._tokens: list[Token] = []
        self._start()

    def _start(self) -> None:
        """Begin where a cue must; `_cost[n]` and `_back[n]` are of the best way to end one before token n."""
        self._cost, self._back = [0.0], [0]
        self._inside = [0.0]  # cost, summed up to each token, of what a cue should not run over

    def push(self, token: Token) -> list[list[Token]]:
        """Add the next token.

        Returns:
            The groups that are now certain, in order.
        """
        finished = list[list[Token]]()
        if self._tokens and token.start_ms - self._tokens[-1].end_ms > MAX_PAUSE_MS:
            finished = self.flush(token.start_ms)
        elif self._tokens:
            if len(self._tokens) >= _MOST_OPEN_TOKENS:
                finished = self._decide()
            lowest = self._end_before(token.start_ms, break_cost(self._tokens[-1], token, self._language))
            self._inside.append(self._inside[-1] + _inside_cost(self._tokens[-1], token))
            if len(self._tokens) % _SETTLE_EVERY == 0:
                finished += self._settle(lowest)
        self._tokens.append(token)
        return finished

    def flush(self, next_start_ms: int | None = None) -> list[list[Token]]:
        """The groups of all that is left; nothing, or something far away, follows."""
        if not self._tokens:
            return []
        self._end_before(next_start_ms, 0.0)
        groups = self._groups(len(self._tokens))
        self._tokens = []
        self._start()
        return groups

    def _end_before(self, next_start_ms: int | None, ending_cost: float) -> int:
        """Find the best cue that ends with the last token; returns the first token that such a cue could begin with."""
        tokens, costs, inside = self._tokens, self._cost, self._inside
        end = len(tokens)
        last_ms = tokens[-1].end_ms
        next_gap_ms = MAX_PAUSE_MS if next_start_ms is None else next_start_ms - last_ms
        until_ms = min(last_ms + MAX_LINGER_MS, last_ms + next_gap_ms - MIN_GAP_MS)
        full = self._line_width * self._max_lines
        lines, line, width, words = 1, 0, 0, 0.0
        best, choice, first = float("inf"), end - 1, end - 1
        for begin in range(end - 1, -1, -1):
            token = tokens[begin]
            space = 1 if line and tokens[begin + 1].is_spaced else 0
            if line + space + token.width > self._line_width:
                lines, line, space = lines + 1, 0, 0
            shown_ms = last_ms - token.start_ms
            if lines > self._max_lines or (shown_ms > MAX_SHOWN_MS and begin < end - 1):
                break
            first = begin
            line += space + token.width
            width += space + token.width
            words += token.words
            cost = costs[begin] + inside[end - 1] - inside[begin] + _FULL_CUE * (width / full) ** 2
            cost += _haste_cost(until_ms - token.start_ms, width)
            if words < _ORPHAN_WORDS and (
                next_gap_ms < SMALL_GAP_MS or (begin and token.start_ms - tokens[begin - 1].end_ms < SMALL_GAP_MS)
            ):
                cost += _ORPHAN
            if cost < best:
                best, choice = cost, begin
        costs.append(best + _CUE + ending_cost)
        self._back.append(choice)
        return first

    def _settle(self, lowest: int) -> list[list[Token]]:
        """Give out what all ways share that a later cue could begin with: from `lowest` to the end."""
        places = set(range(lowest, len(self._tokens) + 1))
        while len(places) > 1:
            last = max(places)
            places.remove(last)
            places.add(self._back[last])
        shared = places.pop()
        groups = self._groups(shared)
        self._tokens = self._tokens[shared:]
        self._cost = self._cost[shared:]
        self._back = [place - shared for place in self._back[shared:]]
        self._inside = self._inside[shared:]
        return groups

    def _decide(self) -> list[list[Token]]:
        """Take the best way so far, all but its last cue: in a text without structure no way may win for long."""
        certain = self._back[-1]
        groups, rest = self._groups(certain), self._tokens[certain:]
        self._tokens = []
        self._start()
        for token in rest:
            groups += self.push(token)
        return groups

    def _groups(self, end: int) -> list[list[Token]]:
        groups = list[list[Token]]()
        while end > 0:
            groups.append(self._tokens[self._back[end] : end])
            end = self._back[end]
        return groups[::-1]


def _haste_cost(seen_ms: int, width: int) -> float:
    """For what is hardly seen, or not long enough to be read."""
    seen_ms = max(min(seen_ms, MAX_SHOWN_MS), 0)
    missing_ms = max(MIN_SHOWN_MS - seen_ms, 0)
    return _MISSING_PER_S * missing_ms / 1000 + _CHAR_TOO_FAST * max(width - seen_ms * MAX_CHARS_PER_S / 1000, 0)


def _inside_cost(left: Token, right: Token) -> float:
    sentence = _SENTENCE_INSIDE if left.mark is Mark.SENTENCE else 0.0
    return sentence + _PAUSE_INSIDE_PER_S * max(right.start_ms - left.end_ms - SMALL_GAP_MS, 0) / 1000
