"""Text for speech synthesis: made plain, then cut into sentences and clauses.

Every pattern takes linear time on any text: a run of marks always matches, and what must follow it is looked at in
code, since a failing lookahead would start the search again at each character of the run.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

PARAGRAPH_PAUSE_S = 0.7
SENTENCE_PAUSE_S = 0.35
CLAUSE_PAUSE_S = 0.15


@dataclass(frozen=True)
class Clause:
    """A piece of text to synthesize as one unit, and the silence after it.

    The pause is in seconds: 0 after the last clause, and where a sentence had to be cut between words.
    """

    text: str
    pause_s: float


def is_speakable(text: str) -> bool:
    """Tell whether the text has a letter, a digit or an ideograph to pronounce."""
    return any(map(str.isalnum, text))


_Replacement = str | Callable[[re.Match[str]], str]


def _patterns(*steps: tuple[str, _Replacement]) -> tuple[tuple[re.Pattern[str], _Replacement], ...]:
    return tuple((re.compile(pattern, re.MULTILINE), replacement) for pattern, replacement in steps)


def _drop_emphasis(stars: re.Match[str]) -> str:
    """Stars between blanks (`2 * 3`) or inside an ASCII word (`2*3`) are text, all others are Markdown."""
    start, end = stars.span()
    sides = (stars.string[start - 1 : start] or " ") + (stars.string[end : end + 1] or " ")
    return stars[0] if sides.isspace() or (sides.isascii() and sides.isalnum()) else ""


_QUOTES = dict.fromkeys("‘’‚‛ʼ´", "'") | dict.fromkeys("“”„‟〝〞", '"')
_HYPHENS = dict.fromkeys("\u2010\u2011\u2012\u2212", "-")
_FILLERS = dict.fromkeys("\u115f\u1160\u2800\u3164\uffa0", " ")  # blank, but letters or symbols to Unicode
_PLAIN = str.maketrans(_QUOTES | _HYPHENS | _FILLERS | {"\u2029": "\n\n", "…": "...", "⁄": "/"})
_COMBINING = "".join(mark for mark in map(chr, range(0x300, 0x1E950)) if unicodedata.combining(mark))
_JOINED = "\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17ff"  # scripts where a joiner is part of the spelling
_INVISIBLE = (
    "\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u180b-\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ud800-\uf8ff\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U0010ffff"
)
_STYLED = "\ufb00-\ufb06０-９Ａ-Ｚａ-ｚ\uff61-\uff9f\U0001d400-\U0001d7ff"
_CHARACTERS = _patterns(
    (f"[{_INVISIBLE}]", ""),
    (f"[\u200c\u200d](?![{_JOINED}])|(?<![{_JOINED}])[\u200c\u200d]", ""),
    (f"[{_STYLED}]+", lambda m: unicodedata.normalize("NFKC", m[0])),
    (r"\r\n|[\r\v\f\x85\u2028]", "\n"),
)
_FINISH = _patterns(
    (r"[^\S\n]+", " "),
    (r" ?\n ?", "\n"),
    (r"\n{3,}", "\n\n"),
    # NFC sorts stacked marks in quadratic time, so a pile of them is cut down before it.
    (f"([{_COMBINING}]{{8}})[{_COMBINING}]+", r"\1"),
)
_EMOJI = "\u20e3\u2190-\u21ff\u2300-\u23ff\u25a0-\u2775\u2794-\u27bf\u2b00-\u2bff\ufffc\ufffd\U0001f000-\U0001faff"
_MARKDOWN = _patterns(
    (r"^(?:```|~~~)[^\n`]*$", ""),  # fences of code
    (r"^(?=[^\n]*\|)[ :|-]++$", ""),  # the line under a table's head
    (r"^\|([^\n]+)\|$", lambda m: re.sub(r" ?\| ?", ", ", m[1]).strip()),
    (r"^([-*_=~])(?: ?\1){2,}+ ?$", ""),  # rules
    (r"^(?:> ?)++", ""),
    (r"^#{1,6} ", ""),
    (r"^[-*+•‣◦▪·] (?:\[[ xX]\] )?", ""),
    (r"!?\[([^\[\]\n]*+)\]\((?:[^()\s]|\([^()\s]*+\))*+(?: \"[^\"\n]*+\")?\)", r"\1"),
    (r"<((?:https?://|mailto:)[^\s<>]++)>", r"\1"),
    (r"\\([!-/:-@\[-`{-~])", r"\1"),
    (r"`+|~{2,}", ""),
    (r"\*+", _drop_emphasis),
    (r"(?<!\w)_++|(?<!_)_++(?!\w)", ""),
    (rf" ?(?:[{_EMOJI}]++ ?)++([.,!?;:]?)", lambda m: m[1] or " "),
    (r"(?<= )-{2,}+(?= )|(?<=\w)-{2,}+(?=\w)", "—"),
    (r"([^\w\s])\1{3,}", r"\1\1\1"),
)


def normalise(text: str) -> str:
    r"""Make a raw or Markdown text plain enough to be read aloud.

    Control and zero-width characters, lone surrogates, emoji and Markdown marks go; typographic quotes, hyphens,
    ligatures, full-width and styled letters become plain ones; runs of blanks become one blank.

    Returns:
        The text in NFC. `\n` ends a sentence, `\n\n` a paragraph.
    """
    text = text.translate(_PLAIN)
    for steps in (_CHARACTERS, _MARKDOWN):
        for pattern, replacement in steps + _FINISH:
            text = pattern.sub(replacement, text)
        text = unicodedata.normalize("NFC", text.strip())
    return text


_CLOSERS = r"\"'”’»›)\]}」』】）〉》"
_OPENERS = "\"'“‘„«‹([{「『【（〈《¿¡"
_FREE_STOPS = "。！？｡।॥؟۔։።፧។"  # end a sentence whatever follows
_STOP = re.compile(rf"([.!?…．]++)([{_CLOSERS}]*+(?: »)?)|[{_FREE_STOPS}]++[.!?…{_FREE_STOPS}{_CLOSERS}]*+")
_DOTTED = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")  # U.S, e.g, z.B, Ph.D
_BEFORE_NAMES = frozenset(str.split("""
    mr mrs ms mx dr drs prof st ste mt gen col maj capt cmdr lt sgt cpl rev hon pres gov sen rep supt messrs mme mlle vs
    hr hrn fr frl dipl ing bzw ca evtl ggf inkl vgl sog bspw usf sr sra srta dra ud uds sig sigg dott avv dhr mevr ir
    inż inz mgr ul św sw phdr mudr проф ул им тов
"""))  # fmt: skip
_BEFORE_NUMBERS = frozenset(str.split("""
    no nos nr nro núm num vol fig figs abb abs art sec ch chap kap bd pp pg p pág pag eq al cf op approx стр гл рис
    jan feb mar apr jun jul aug sep sept oct okt nov dec dez
"""))  # fmt: skip


def _ends_after_dot(line: str, dot: int, following: str) -> bool:
    """Whether the single dot at `line[dot]`, with a blank and then `following` after it, ends a sentence."""
    word = line[max(0, dot - 24) : dot].rsplit(" ", 1)[-1].lstrip(_OPENERS)
    last_part = word.rsplit("-", 1)[-1].casefold()  # Dipl.-Ing.
    if following.islower() or last_part in _BEFORE_NAMES or _DOTTED.fullmatch(word):
        return False
    if last_part in _BEFORE_NUMBERS:
        return not following.isdigit()
    if len(word) == 1 and word.lower() != word.upper():  # an initial, but "I" only at the very start
        return line[dot - 1] == "I" and dot > 1
    return not (len(word) <= 2 and word.isdecimal())  # "1. Open the door", "am 3. Mai"


def _ends_sentence(line: str, stop: re.Match[str]) -> bool:
    marks, closers, after = stop[1], stop[2], line[stop.end() : stop.end() + 1]
    if marks is None or not after or after in "¿¡":
        return True
    ellipsis = marks != "." and not marks.strip(".…")
    if after != " ":
        return "\u2e80" <= after < "\ufb00" and not ellipsis  # Chinese and Japanese write no blanks
    following = line[stop.end() + 1 : stop.end() + 5].lstrip(_OPENERS + "-—– ")[:1]
    if marks == "." and not closers:
        return _ends_after_dot(line, stop.start(), following)
    # A question or a cry ends a sentence even before a small letter, unless it was quoted: "Really?" he asked.
    return not following.islower() or not (closers or ellipsis)


def sentence_ends(line: str) -> list[int]:
    """Offsets after the marks that end a sentence, which the dots of abbreviations, initials and dates do not."""
    return [stop.end() for stop in _STOP.finditer(line) if _ends_sentence(line, stop)]


def _split_sentences(line: str) -> list[str]:
    cuts = [0, *sentence_ends(line), len(line)]
    return [sentence for start, end in pairwise(cuts) if (sentence := line[start:end].strip())]


_WIDE_MARKS = "、，；：）】」』》—"  # a clause ends after them even where no blank follows
_MARKS = ";:,،؛!?…)]–" + _WIDE_MARKS
_OTHER_MARKS = r" -(?= )|(?<=[^\W\d_]{4})\.(?= )| (?=[(\[])|(?<=\w)(?=[（【「『《])"
_MARK = re.compile(f"([{re.escape(_MARKS)}{_CLOSERS}]++)|{_OTHER_MARKS}")
_SIDE_MIN_CHARS = 15


def _is_clause_end(mark: re.Match[str]) -> bool:
    before_blank = mark.string.startswith(" ", mark.end())
    return mark[1] is None or any(c in _WIDE_MARKS or (before_blank and c in _MARKS) for c in mark[1])


def _next_cut(sentence: str, ends: list[int], start: int, limit: int, max_chars: int) -> tuple[int, float]:
    """Where the unit that begins at `start` ends, and the pause after it; `ends` are the offsets after clause marks."""
    length = len(sentence)
    side = max(1, min(_SIDE_MIN_CHARS, limit // 4))
    low = bisect_left(ends, start + side)
    high = bisect_right(ends, min(start + limit, length - side))
    if low >= high and limit < max_chars:  # the first unit: a mark further on is still better than none
        high = low + (low < bisect_right(ends, min(start + max_chars, length - side)))
        if low >= high and length - start <= max_chars:
            return length, SENTENCE_PAUSE_S
    if low >= high:
        high = bisect_right(ends, start + limit)  # a short rest is better than a cut between words
    if low < high:
        return ends[high - 1], CLAUSE_PAUSE_S
    for window in (limit, max_chars):
        blank = sentence.rfind(" ", start + 1, min(start + window, length - side) + 1)
        if blank > start:
            return blank, 0.0
    whole = end = start + max_chars
    while whole > max(start + 1, end - 16) and unicodedata.category(sentence[whole]).startswith("M"):
        whole -= 1  # a letter keeps its marks
    return whole, 0.0


def _cut_sentence(sentence: str, first_limit: int, max_chars: int) -> Iterator[Clause]:
    limit, start = first_limit, 0
    ends = [mark.end() for mark in _MARK.finditer(sentence) if _is_clause_end(mark)] if len(sentence) > limit else []
    while len(sentence) - start > limit:
        end, pause_s = _next_cut(sentence, ends, start, limit, max_chars)
        if end == len(sentence):
            break
        yield Clause(sentence[start:end].strip(), pause_s)
        start = end + sentence.startswith(" ", end)
        limit = max_chars
    yield Clause(sentence[start:], SENTENCE_PAUSE_S)


def _attach_unspeakable(clauses: list[Clause], max_chars: int) -> list[Clause]:
    """Give marks that stand alone to the clause before them, or after them at the start, where they fit."""
    joined: list[Clause] = []
    for clause in clauses:
        fits = joined and len(joined[-1].text) + 1 + len(clause.text) <= max_chars
        if fits and not (is_speakable(clause.text) and is_speakable(joined[-1].text)):
            last = joined.pop()
            clause = Clause(f"{last.text} {clause.text}", max(last.pause_s, clause.pause_s))
        joined.append(clause)
    return joined


def split_clauses(text: str, *, first_max_chars: int = 60, max_chars: int = 220) -> list[Clause]:
    """Cut a text into units for synthesis: sentences, and clauses of sentences that are too long.

    Args:
        text: Normalised text; a line break ends a sentence, an empty line a paragraph. No visible character is lost.
        first_max_chars: A longer first sentence is cut at a clause mark, if it has one, so that sound starts early.
        max_chars: No unit is longer. Over-long sentences are cut at clause marks, else at words, else anywhere.

    Returns:
        The units in order; none if nothing in the text is speakable.

    Raises:
        ValueError: A limit is below 1.
    """
    if min(first_max_chars, max_chars) < 1:
        raise ValueError(f"first_max_chars={first_max_chars} and max_chars={max_chars} must both be at least 1")
    if not is_speakable(text):
        return []
    clauses: list[Clause] = []
    for line in text.splitlines():
        if clauses and not line.strip():
            clauses[-1] = replace(clauses[-1], pause_s=PARAGRAPH_PAUSE_S)
        for sentence in _split_sentences(" ".join(line.split())):
            clauses += _cut_sentence(sentence, max_chars if clauses else min(first_max_chars, max_chars), max_chars)
    clauses = _attach_unspeakable(clauses, max_chars)
    return [*clauses[:-1], replace(clauses[-1], pause_s=0.0)]
