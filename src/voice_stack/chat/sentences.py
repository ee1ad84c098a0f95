"""The text of a reply, while it is written -> what is spoken as one piece: its sentences, and early its first clause.

A sentence goes out when a mark that surely ends it stands before at least one more character that can be seen, or when
its line ends: then "3." may not become "3.5" any more, nor "Dr." the beginning of a name. However the text is cut into
pieces, the sentences are the same.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from voice_stack.utils.text import PARAGRAPH_PAUSE_S, SENTENCE_PAUSE_S, is_speakable, sentence_ends
from voice_stack.utils.text.clauses import CLAUSE_PAUSE_S, settled_ends

FIRST_CLAUSE_CHARS = 24
"""So much of the first piece is some 1.5 s of speech: enough time to make the next."""
MAX_CHARS = 400
_BEHIND = 80
"""Characters behind a place where a sentence would be cut from which it is sure that no end of it comes before."""
_WIDE = re.compile("[\u2e80-\ud7ff\uf900-\uffdc]")
_WIDE_CHARS = 3
"""A Chinese character takes as long to say as three letters."""
_THAI_CHARS = 60
_THAI_BLANK = re.compile(r"(?<=[\u0e00-\u0e7f]) (?=[\u0e00-\u0e7f])")
"""Thai has no marks: a blank ends a sentence, or a part of one."""
_CLAUSE = re.compile(rf"(?:[,;:،؛]|[ ][–—])(?= \S)|[，；：、—](?=\S)|{_THAI_BLANK.pattern}")
_AS_PLAIN = str.maketrans({"*": '"', "\t": " ", "\u00a0": " ", "\u202f": " "})
"""Behind emphasis as behind quotes a sentence may end; each character stays one."""
_WHATEVER_FOLLOWS = (" 1", " A1", " I nn", " The nn", " Nn nn", " NN nn", " NN. N", " N. N", " KG", " EUR")
"""Numbers, names, first words, initials: each is what some abbreviation stands before, and another one does not."""
_FENCE = re.compile(r"[ \t>]{0,12}(`{3,}|~{3,}(?=[ \t]*\w))[ \t]*([\w+#.-]*)[^\n`]*\Z")
_FENCE_BEGUN = re.compile(r"[ \t>]{0,12}(?:`{1,2}|~{1,2}|(?:`{3,}|~{3,})[^`]*)\Z")
_PROSE = frozenset(["text", "txt", "plain", "plaintext", "markdown", "md", "prose", "quote", "poem", "email"])


@dataclass(frozen=True, slots=True)
class Cut:
    """What is spoken as one piece.

    Attributes:
        text: As it is written; empty for a block of code, which nobody reads aloud.
        start: Where in the whole text what belongs to it begins: behind the piece before it.
        head: Where its first letter or digit is.
        pause_s: From the last sound of the piece before it to its first.
    """

    text: str
    start: int
    head: int
    pause_s: float


class SentenceStream:
    """Cuts a text that comes in pieces.

    Args:
        language: Its code, if it is known: some words of one language are abbreviations in another.
    """

    def __init__(self, language: str = "") -> None:
        self._language = language
        self._text = ""
        self._at = 0
        self._start = 0
        self._pause_s = 0.0
        self._is_first = self._begins_line = True
        self._fence = ""

    def feed(self, piece: str) -> list[Cut]:
        """Take further text; give every piece that is complete with it, however many."""
        self._text += piece
        return list(self._cut(is_over=False))

    def end(self) -> list[Cut]:
        """What is left; the text is complete."""
        return list(self._cut(is_over=True))

    def _cut(self, *, is_over: bool) -> Iterator[Cut]:
        while self._text:
            line, ends_line, _ = self._text.partition("\n")
            is_whole = bool(ends_line) or is_over
            if self._fence or (self._begins_line and _FENCE_BEGUN.match(line)):
                if not is_whole:
                    return
                if self._fence or _FENCE.match(line):
                    yield from self._pass_code(line, len(line) + len(ends_line))
                    continue
            near = line[: MAX_CHARS + _BEHIND + 1]
            found = self._find_end(near, is_whole=is_whole and near == line)
            if found is None:
                return
            end, pause_s = found
            is_line = end == len(line)
            yield from self._give(line[:end], end + is_line * len(ends_line), pause_s, ends_line=is_line)

    def _give(self, text: str, taken: int, pause_s: float, *, ends_line: bool) -> Iterator[Cut]:
        said = text.strip()
        if is_speakable(said):
            head = next(at for at, letter in enumerate(text) if is_speakable(letter) or not text[at:].strip())
            yield Cut(said, self._start, self._at + head, 0.0 if self._is_first else self._pause_s)
            self._is_first, self._pause_s = False, pause_s
            self._start = self._at + len(text)
        elif ends_line and not said and self._pause_s:
            self._pause_s = PARAGRAPH_PAUSE_S
        self._take(taken, begins_line=ends_line)

    def _take(self, count: int, *, begins_line: bool) -> None:
        self._text, self._at, self._begins_line = self._text[count:], self._at + count, begins_line

    def _pass_code(self, line: str, taken: int) -> Iterator[Cut]:
        """A line of a block of code: the first stands for all of it, unless the block is prose."""
        mark = line.strip(" \t>")
        opening = None if self._fence else _FENCE.match(line)
        if opening is None:
            self._fence = "" if mark.startswith(self._fence) and not mark.strip(self._fence[0]) else self._fence
        elif opening[2].lower() not in _PROSE:
            self._fence = opening[1]
            yield Cut("", self._at, self._at, 0.0 if self._is_first else PARAGRAPH_PAUSE_S)
            self._is_first, self._pause_s, self._start = False, PARAGRAPH_PAUSE_S, self._at
        self._take(taken, begins_line=True)

    def _find_end(self, line: str, *, is_whole: bool) -> tuple[int, float] | None:
        """Where the first piece of a line ends, and the pause behind it; None: that is not sure yet.

        Args:
            line: A line, or as much of it as is written.
            is_whole: Whether it is complete.
        """
        plain = line.translate(_AS_PLAIN)
        end, sure = self._find_sentence(plain, is_whole=is_whole)
        clause = self._find_clause(plain, sure if end is None else end)
        if clause is not None:
            return clause, CLAUSE_PAUSE_S
        if end is not None and end <= MAX_CHARS:
            return end, SENTENCE_PAUSE_S
        if len(line) > MAX_CHARS + _BEHIND:
            return _cut_words(plain)
        return (len(line) if end is None else end, SENTENCE_PAUSE_S) if is_whole else None

    def _find_sentence(self, line: str, *, is_whole: bool) -> tuple[int | None, int]:
        """Where the first sentence ends with more behind it; and where the first mark stands that may end it or not."""
        if is_whole:
            ends, sure = sentence_ends(line, self._language), len(line)
        else:
            ends, sure = settled_ends(line, self._language)
        for end in ends:
            if line[end:].strip():
                return end, sure
        if sure == len(line):
            return None, sure
        return self._find_sure_end(line, sure), sure

    def _find_sure_end(self, line: str, mark: int) -> int | None:
        """Where the sentence ends with a mark behind which one character is known, if nothing behind that matters."""
        end = next((end for end in sentence_ends(line, self._language) if end > mark), None)
        if end is None or not line[end:].strip() or line[mark:end].strip(".!?…．\"'”’»›)]}"):
            return None
        follows = line[end:].lstrip()[0]
        if line[end] != " " or not follows.isalnum() or follows.islower():
            return None
        beginning = line[:end]
        ends = (end in sentence_ends(beginning + more, self._language) for more in _WHATEVER_FOLLOWS)
        return end if all(ends) else None

    def _find_clause(self, line: str, until: int) -> int | None:
        """Where the first clause of the whole text ends, if that is long enough; or a part of a sentence in Thai."""
        if not self._is_first:
            thai = (blank.start() for blank in _THAI_BLANK.finditer(line, 0, until) if blank.start() >= _THAI_CHARS)
            return next(thai, None)
        for mark in _CLAUSE.finditer(line, 0, until):
            before = line[: mark.end()].strip()
            length = len(before) + (_WIDE_CHARS - 1) * len(_WIDE.findall(before))
            if length >= FIRST_CLAUSE_CHARS and is_speakable(before):
                return mark.end()
        return None


def _cut_words(line: str) -> tuple[int, float]:
    """Where a sentence without an end in reach is cut: behind a clause, between words, or where it must be."""
    marks = [mark.end() for mark in _CLAUSE.finditer(line, MAX_CHARS // 2, MAX_CHARS)]
    if marks:
        return marks[-1], CLAUSE_PAUSE_S
    blank = line.rfind(" ", 1, MAX_CHARS)
    return (blank if blank > 0 and line[:blank].strip() else MAX_CHARS), 0.0
