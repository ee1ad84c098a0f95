"""Which words subtitles keep together, and how well they may part between the others."""

from collections.abc import Iterable

from voice_stack.asr.cue_text import is_ideographic, is_unspaced
from voice_stack.asr.cue_tokens import Mark, Token
from voice_stack.asr.cue_words import opens_phrase

_MAX_PHRASE_WORDS = 4
_PHRASE_PAUSE_MS = 700
_OPENERS = "\"'“‘„«‹([{¿¡-–—"
_CLOSERS = "\"'”’»›)]}.,;:!?…"

_AFTER_CLAUSE, _AFTER_SEGMENT, _BEFORE_OPENER, _BETWEEN_WORDS, _AFTER_OPENER, _INSIDE_WORD = (
    6.0,
    9.0,
    10.0,
    14.0,
    24.0,
    50.0,
)
_HALVING_PAUSE_MS = 400


def join_phrases(tokens: Iterable[Token], *, language: str, limit: int) -> list[Token]:
    """Make one token of numbers and what they count, titles and names, and names of several words.

    Args:
        tokens: Of one segment, in order.
        language: Of the text.
        limit: Columns of a line; what would be wider stays apart.
    """
    joined: list[Token] = []
    for token in tokens:
        if (
            joined
            and _fits(joined[-1], token, limit)
            and _belong(joined[-1].text, token.text, joined[-1].mark, language)
        ):
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
    )


def _join(left: Token, right: Token) -> Token:
    return Token(
        f"{left.text} {right.text}",
        left.width + 1 + right.width,
        left.words + right.words if any(map(str.isalnum, right.text)) else left.words,
        left.is_spaced,
        left.is_first,
        right.mark or left.mark if not any(map(str.isalnum, right.text)) else right.mark,
        left.start_ms,
        right.end_ms,
    )


def _belong(left: str, right: str, mark: Mark, language: str) -> bool:
    """Whether `right` may never stand on another line than `left`, which ends as `mark` says."""
    last = left.rsplit(" ", 1)[-1]
    if not any(map(str.isalnum, right)):  # French " ?", a closing » or a currency
        return all(c in _CLOSERS or not c.isascii() or c in "%$" for c in right) and not right.startswith(
            tuple(_OPENERS)
        )
    if not any(map(str.isalnum, last)):
        return last.strip(_OPENERS) == "" or last in "$£€¥#№"
    if last.endswith(".") and mark is Mark.NOTHING:  # an abbreviation: the dot ends no sentence
        return not right[0].islower()
    if mark is not Mark.NOTHING or not last[-1].isalnum():
        return False
    if last[-1].isdigit():
        return not opens_phrase(right.strip(_CLOSERS), language)
    is_name = last[0].isupper() and not opens_phrase(last, language)
    return is_name and (
        right[0].isdigit() or (right[0].isupper() and not opens_phrase(right.strip(_CLOSERS), language))
    )


def break_cost(left: Token, right: Token, language: str) -> float:
    """How badly a cue or a line ends between two tokens: 0 after a sentence, 50 inside a word.

    The order is that of usual guidelines: sentence, clause, pause, then before a conjunction or preposition.
    """
    if left.mark is Mark.SENTENCE:
        return 0.0
    pause_ms = right.start_ms - left.end_ms
    return _syntax_cost(left, right, language) * _HALVING_PAUSE_MS / (_HALVING_PAUSE_MS + pause_ms)


def _syntax_cost(left: Token, right: Token, language: str) -> float:
    if left.mark is Mark.CLAUSE:
        return _AFTER_CLAUSE
    if right.is_first:
        return _AFTER_SEGMENT
    if not right.is_spaced:
        return _unspaced_cost(left.text[-1], right.text[0])
    if opens_phrase(left.text.rsplit(" ", 1)[-1], language):
        return _AFTER_OPENER
    return _BEFORE_OPENER if opens_phrase(right.text.split(" ", 1)[0], language) else _BETWEEN_WORDS


def _unspaced_cost(left: str, right: str) -> float:
    """Japanese phrases mostly end with Hiragana and begin with another script; the rest of a word may be Hiragana."""
    if _is_hiragana(right):
        return _AFTER_OPENER
    if _is_hiragana(left):
        return _BEFORE_OPENER
    is_parted = is_ideographic(left) or is_ideographic(right) or (is_unspaced(left) and is_unspaced(right))
    return _BETWEEN_WORDS if is_parted else _INSIDE_WORD


def _is_hiragana(char: str) -> bool:
    return "\u3040" <= char <= "\u309f"
