"""Where one cue ends and the next begins: the cheapest way through all places, found while the text comes in."""

from voice_stack.utils.cues.cue import (
    MAX_CHARS_PER_S,
    MAX_LINGER_MS,
    MAX_PAUSE_MS,
    MAX_SHOWN_MS,
    MIN_GAP_MS,
    MIN_SHOWN_MS,
    SMALL_GAP_MS,
)
from voice_stack.utils.cues.phrases import break_cost
from voice_stack.utils.cues.tokens import Mark, Token

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
