"""Which words subtitles keep together, and how well they may part between the others."""

from collections.abc import Iterable
from dataclasses import replace

from voice_stack.utils.cues.cue import MAX_SHOWN_MS
from voice_stack.utils.cues.text import is_ideographic, is_unspaced
from voice_stack.utils.cues.tokens import Mark, Token
from voice_stack.utils.cues.words import opens_phrase

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

    Args:
        tokens: Of one segment, in order.
        language: Of the text.
        limit: Columns of a line; what would be wider stays apart.
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
