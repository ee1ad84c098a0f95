"""Clauses of a text that is still being written.

A clause is sure when nothing that may follow changes it: neither its words, nor where it ends, nor the pause after it.
So it goes out when the next sentence has begun:

- A mark that ends sentences everywhere (`!`, `?`, `。`, the end of a line) needs the first letter behind it, a dot the
  word behind it and the beginning of one more: with less, "Dr.", "5 a.m." or "3." may be in the middle of a sentence.
- A long sentence is cut before its end is written, some 40 characters behind the cut, where it is read as written.
- Markup that has begun and may be closed (a link, a formula, the thoughts of a model) is waited for: where it begins a
  line, as long as it takes, else for the rest of the paragraph or `HELD_CHARS`. What stands before a block of code goes
  out when that begins, with the pause of a paragraph.

What is told only at the end of the text is not waited for, and read as if it did not come: addresses of links that are
listed there, and the end of thoughts that never began, before which nothing would be read.
"""

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise

from voice_stack.utils.text.clauses import (
    OPENERS,
    Clause,
    sentence_ends,
    settled_ends,
)
from voice_stack.utils.text.markup import Markup
from voice_stack.utils.text.pipeline import (
    DEFAULT_LIMITS,
    MAX_BLOCK_CHARS,
    NO_RULES,
    PARAGRAPH_BREAK,
    BlockReader,
    ClauseLimits,
    LastClause,
    block_end,
    code_of,
)
from voice_stack.utils.text.pronunciation import Pronunciations
from voice_stack.utils.text.script import PAUSE, is_speakable, pause_of, read_one_voice

HELD_CHARS = 600
"""So long a formula may be; what else is begun inside a line is not waited for longer."""
_MAX_PROBES = 32
_BEHIND_CUT = 40
"""Characters of a sentence that must be there behind a cut: the shortest end of one, and what a reading looks at."""
_EARLY_CHARS = 400
_LOOK_BACK = 20
"""A mark that ends a sentence is looked at again with each word that follows it so closely; a sign may be torn."""
_KEPT_CHARS = 400
_UNSPACED = r"\u2e80-\ud7ff\uf900-\ufaff"
_TORN = re.compile(r"[\ud800-\udbff\r]\Z")
_PAIR = re.compile(r"[\ud800-\udbff][\udc00-\udfff]")
# Up to here a text may be read: an end of it that is a sign may belong to what is before it.
_BREAK = re.compile(rf"(?<=[ \t\n])[^\W_]|(?![\W_])[{_UNSPACED}]")
_PLACE = re.compile(rf"\s+(?=\S)|(?=[{_UNSPACED}])")
_LINE = re.compile(r"[^\n ][^\n]*")
_NEWS = re.compile(rf"[.…．]\S*\s+\S+\s+\S|[!?。！？｡।॥؟۔։።፧]\S*?\s*\w|[.!?…．]\S*?[{_UNSPACED}]|\n\s*\w|\]\s*\w")
_BEGINS = re.compile(rf"[\s{re.escape(OPENERS)}\-–—]*(?:[^\W_]|[\U000f0000-\U000fffff])")
_FENCE = r"^[ \t>]{0,12}(?:`{3,}|~{3,})"
_LEFT_OUT = re.compile(rf"<(?:think|thinking|thought|reasoning)\b|\[THINK\]|◁think▷|{_FENCE}|<\|", re.I | re.M)
_LEFT_OUT_END = re.compile(rf"</(?:think|thought|reasoning)|\[/THINK|◁/think|{_FENCE}|<\|", re.I | re.M)

_OPEN = tuple(
    (re.compile(mark, re.MULTILINE), closings, until)
    for mark, closings, until in (
        (r"^[ \t>]{0,12}(`{3,}|~{3,})", ("\nNAME\n", "\nx = {};\nNAME\n"), rf"{_FENCE}[ \t]*$"),
        (r"`", ("`", "``"), r"`|\n\n"),
        (r"\$(?![^$\n{}]*?(?<![\\A-Za-z])[^\W\d_]{3})", ("$", "= x$", "}$", "$$", "= x$$", "}$$"), r"\$|\n"),
        (r"\\[(\[]", (r"\)", r"\]", r"}\)", r"}\]"), r"\\[)\]]"),
        (r"\\begin\{([a-z]+\*?)\}", (r"\end{NAME}",), r"\\end"),
        (r"\\[A-Za-z]+\{", ("}", "}{x}", "}}"), r"\}"),
        (r"<!--", ("-->",), r"-->"),
        (r"<!\[CDATA\[", ("]]>",), r"\]\]>"),
        (r"<([A-Za-z][\w:-]{0,30})[^<>\n]{0,100}\Z", (">", "></NAME>", '"></NAME>'), r">|\n"),
        (r"<([A-Za-z][\w:-]{0,30})(?:\s[^<>]{0,1000})?>", ("</NAME>",), r"(?i:</NAME)"),
        (r"\[THINK\]", ("[/THINK]",), r"\[/THINK"),
        (r"◁think▷", ("◁/think▷",), r"◁/think"),
        (r"\[", ("]", "](x)"), r"\]|\n"),
        (r"【|\ue200", ("†x】", "\ue201"), r"】|\ue201"),
        (r"==", ("==",), r"==|\n"),
        (r"\|", (" |", "\n|-|\n"), r"\n"),
    )
)
"""Marks that may begin something, what might close it, with what would make it matter, and the sign that it is closed.

`NAME` stands for the group of the mark.
"""


def _probe(text: str) -> dict[str, str]:
    """What might close the markup that a text leaves open -> the sign that it came."""
    probes: dict[str, str] = {}
    near = len(text) - HELD_CHARS
    for mark, closings, sign in _OPEN:
        for found in mark.finditer(text):
            name = found[1] if mark.groups else ""
            until = sign.replace("NAME", re.escape(name))
            line_start = text.rfind("\n", 0, found.start()) + 1
            is_given_up = found.start() < near and text[line_start : found.start()].strip(" \t>")
            if not is_given_up and not re.compile(until, re.MULTILINE).search(text, found.end()):
                probes |= dict.fromkeys((closing.replace("NAME", name) for closing in closings), until)
    return probes


class ClauseStream:
    """Makes a text that comes in pieces ready to be spoken: clauses as `pipeline.clauses` gives them of all of it.

    However the text is cut into pieces, also inside words and marks, the clauses are the same. The work grows with the
    text as if it came at once; of what has been said no more is kept than its paragraph.

    Args:
        language: As for `pipeline.clauses`, like the next three.
        languages: Codes of what the voice speaks.
        rules: Pronunciations that go before everything else.
        limits: Of the engine.
        markup: Whether its markup is read as a person would, or as it stands.
        reads: What is read although it is usually left out: some of `READABLE`.
        keeps_numbers: As for `pipeline.clauses`.

    Attributes:
        left_out: What of the text so far is not spoken, by name: `code`, `formulas`, `thoughts`; `voices`, of which
            there is one here.
    """

    def __init__(
        self,
        language: str = "",
        *,
        languages: Sequence[str] = (),
        rules: Pronunciations = NO_RULES,
        limits: ClauseLimits = DEFAULT_LIMITS,
        markup: Markup = "auto",
        reads: Collection[str] = (),
        keeps_numbers: bool = False,
    ) -> None:
        own = language or (languages[0] if len(languages) == 1 else "")
        self._reader = BlockReader(own, tuple(languages), rules, limits, keeps_numbers)
        self._markup, self._reads = markup, reads
        self.left_out: set[str] = set()
        self._has_begun = False
        self._last, self._owed_s, self._torn = LastClause(code_of(language)), 0.0, ""
        self._begin("")

    def push(self, text: str) -> list[Clause]:
        """Take the next piece of the text; give the clauses that are sure with it."""
        given: list[Clause] = []
        for start in range(0, len(text), MAX_BLOCK_CHARS):
            known = len(self._raw)
            self._raw += self._mend(text[start : start + MAX_BLOCK_CHARS])
            self._find_break(known)
            if self._has_news():
                given += self._give(self._read(is_over=False))
        return given

    def flush(self) -> list[Clause]:
        """Give all that has come, as if the text ended here; thoughts and code that are under way stay left out.

        The pause after the last clause comes with the next one, as a clause without text.
        """
        raw, at = self._raw + self._torn, len(self._raw + self._torn)
        if not self._plain(f"{raw}\n\nx").endswith("x"):
            at = max((found.start() for found in _LEFT_OUT.finditer(raw)), default=at)
        return self._end(raw, at)

    def finish(self) -> list[Clause]:
        """Give the rest; the text is complete."""
        return self._end(raw := self._raw + self._torn, len(raw))

    def _end(self, raw: str, at: int) -> list[Clause]:
        self._raw, self._torn = raw[:at], ""
        given = self._give(self._read(is_over=True))
        self._owed_s = self._ended_s if given else self._owed_s
        self._begin(raw[at:])
        return given

    _raw: str
    _ended_s: float

    def _begin(self, raw: str) -> None:
        """Nothing has been said of this text.

        `_before` is plain text of the block that is being said, that of `_raw` follows it. In both together `_start` is
        where the block begins, `_said` where the sentence does, `_heard` is what is before that. `_ahead` are the
        clauses of that sentence that went ahead.
        """
        self._raw, self._break, self._tried = raw, -1, -1
        self._until: re.Pattern[str] | None = None
        self._looked = self._longer = 0
        self._start, self._said, self._kept_chars = 0, 0, _KEPT_CHARS
        self._before, self._heard, self._ended_s = "", "", 0.0
        self._ahead: list[Clause] = []
        self._find_break(0)

    def _mend(self, piece: str) -> str:
        """A piece with what was torn off before: half a character beyond the basic plane, half the end of a line."""
        piece = self._torn + piece
        self._torn = piece[-1:] if _TORN.search(piece) else ""
        whole = piece[: len(piece) - len(self._torn)]
        return _PAIR.sub(lambda pair: pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le"), whole)

    def _find_break(self, start: int) -> None:
        for found in _BREAK.finditer(self._raw, start):
            self._break = found.start()

    def _has_news(self) -> bool:
        """Whether more may be sure than when the text was read last."""
        if self._until is not None:
            if not self._until.search(self._raw, self._looked) and len(self._raw) < self._longer:
                self._looked = max(self._looked, len(self._raw) - _LOOK_BACK)
                return False
            self._until, self._longer = None, 0
        if self._break <= self._tried:
            return False
        is_early = not self._has_begun and self._break < _EARLY_CHARS
        is_due = is_early or len(self._raw) >= self._longer
        return is_due or _NEWS.search(self._raw, self._looked, self._break + 1) is not None

    def _give(self, clauses: Iterable[Clause]) -> list[Clause]:
        given = list(clauses)
        if given and self._owed_s:
            given[:0] = [Clause("", self._owed_s, given[0].language)] if given[0].text else []
            self._owed_s = 0.0
        return given

    def _plain(self, text: str) -> str:
        return read_one_voice(text, self._markup, self._reads).text

    def _read(self, *, is_over: bool) -> Iterator[Clause]:
        """Read as much of the text as can be; give what has become sure."""
        beginning = self._raw if is_over else self._raw[: self._break + 1]
        read = read_one_voice(beginning, self._markup, self._reads)
        plain = self._before + read.text
        self.left_out.update(read.left_out)
        self._find_place(plain)
        known = plain if is_over else self._settle(beginning, plain)
        if len(known) >= self._said:
            yield from self._hold(self._steps(known, is_over=is_over), known, is_over=is_over)
            self._heard = known[: self._said]
        if is_over:
            return
        self._tried, self._looked = self._break, max(0, self._break - _LOOK_BACK)
        self._longer = len(self._raw) + 300 if self._until is None else 200 + len(self._raw) * 3 // 2
        self._let_go(beginning, plain)

    def _find_place(self, plain: str) -> None:
        """What was said may be read otherwise by now, where markup was not waited for any longer."""
        if not plain.startswith(self._heard):
            heard = self._heard.rstrip()
            end = heard if plain.startswith(heard) else heard[-30:]
            at = plain.rfind(end, 0, self._said + HELD_CHARS)
            self._said = at + len(end) if at >= 0 else min(self._said, len(plain))
            self._start = min(self._start, self._said)

    def _settle(self, beginning: str, plain: str) -> str:
        """The plain text of the beginning of the text, as far as what may follow does not change it.

        Behind it stands a paragraph of a letter where a block of code has begun, which is one whatever is in it.
        """
        self._until, known = None, len(plain)
        for closing, until in islice(_probe(beginning).items(), _MAX_PROBES) if self._markup == "auto" else ():
            other = self._before + self._plain(beginning + closing)
            if not other.startswith(plain[:known]):
                known = next(at for at in range(known) if other[at : at + 1] != plain[at])
                self._until = re.compile(until, re.MULTILINE)
        is_code = self._until is not None and self._until.pattern.startswith(_FENCE)
        left_out = [found[0] for found in _LEFT_OUT.finditer(beginning)] if plain[-1:] != beginning[-1:] else []
        if left_out and not self._plain(f"{beginning[:-1]}x").endswith("x"):
            self._until, is_code = _LEFT_OUT_END, left_out[-1][-1] in "`~"
        if is_code and plain[:known].strip():
            return f"{plain[:known].rstrip()}{PARAGRAPH_BREAK}x"
        bracket = plain.rfind("[", max(0, known - 60), known)
        return plain[: bracket if bracket >= 0 and not re.search(r"\].|\n", plain[bracket:known]) else known]

    def _steps(self, plain: str, *, is_over: bool) -> Iterator[Clause | float]:
        """Clauses with their natural pauses, and the lengths of the pauses that are marked."""
        while self._start < len(plain):
            mark = PAUSE.search(plain, self._start)
            part = plain[: mark.start()] if mark else plain
            end = block_end(part, self._start)
            is_whole = is_over or mark is not None or end < len(part)
            yield from self._read_block(part, end, is_whole=is_whole)
            if not is_whole:
                return
            self._start, self._said = end, max(self._said, end)
            if mark and end == len(part):
                yield pause_of(mark)
                self._start = self._said = mark.end()

    def _hold(self, steps: Iterable[Clause | float], plain: str, *, is_over: bool) -> Iterator[Clause]:
        """Clauses with the pauses that are marked behind them; the last one when more is to be said."""
        last = self._last
        for step in steps:
            if (given := last.take(step)) is not None:
                yield given
        if last.clause is None or not (is_over or _BEGINS.match(plain, self._said)):
            return
        if is_over and not last.is_marked:
            self._ended_s = 0.0 if last.clause.text[-1:].isalnum() else last.clause.pause_s
            last.clause = replace(last.clause, pause_s=0.0)
        yield last.clause
        last.clause = None

    def _read_block(self, part: str, end: int, *, is_whole: bool) -> list[Clause]:
        """The clauses of a block that have become sure and were not given before.

        Of a block that goes on: whole sentences, each with the marks behind it of which nothing can be said, so those
        behind which a word stands; and of a long sentence its beginning.
        """
        cuts, sure = self._cut(part, end, is_whole=is_whole)
        found = len(cuts)
        while cuts and not is_whole and not _BEGINS.match(part, cuts[-1], end):
            cuts.pop()
        clauses: list[Clause] = []
        for start, stop in pairwise(cuts):
            sentence = part[max(start, self._said) : stop].strip()
            if stop > self._said and sentence:
                clauses += self._read_sentence(sentence, is_first=not self._has_begun and not clauses)
        is_said = any(is_speakable(clause.text) for clause in clauses)
        if clauses and not is_said and not is_whole:
            return []  # marks go with the first words of the block
        has_begun = self._has_begun or is_said
        self._said = max(self._said, *cuts[-1:], self._start)
        if not is_whole and len(cuts) == found:
            clauses += self._read_ahead(part[self._said : sure].strip(), is_first=not has_begun)
        self._has_begun = has_begun
        ends_paragraph = is_whole and part.endswith(PARAGRAPH_BREAK, self._start, end)
        return self._reader.join(clauses, ends_paragraph=ends_paragraph)

    def _cut(self, part: str, end: int, *, is_whole: bool) -> tuple[list[int], int]:
        """Where the sentences of a block begin and end that is sure, and up to where that is sure."""
        language, cuts, sure = code_of(self._reader.language), list[int](), end
        line_start = part.rfind("\n", self._start, self._said) + 1
        for line in _LINE.finditer(part, max(self._start, line_start), end):
            if is_whole or line.end() < end:
                ends = [*sentence_ends(line[0], language), len(line[0])]
            else:
                ends, length = settled_ends(line[0], language, self._said - line.start())
                sure = line.start() + length
            cuts += [line.start() + cut for cut in (0, *ends)]
        return cuts, sure

    def _read_sentence(self, sentence: str, *, is_first: bool) -> list[Clause]:
        """The clauses of a sentence, but for those that went ahead."""
        ahead, self._ahead = self._ahead, []
        clauses = list(self._reader.read_sentence(sentence, is_first=is_first))
        if clauses[: len(ahead)] == ahead:
            return clauses[len(ahead) :]
        said = " ".join(clause.text for clause in ahead)
        rest = " ".join(sentence.split())[len(said) :].strip()
        return list(self._reader.read_sentence(rest, is_first=False)) if rest else []

    def _read_ahead(self, sentence: str, *, is_first: bool) -> list[Clause]:
        """Clauses of a sentence whose end is not written yet, as far as they are sure and not given before."""
        limits, language = self._reader.limits, code_of(self._reader.language)
        max_chars = limits.of(language)
        first_chars = min(limits.first_max_chars, max_chars) if is_first else max_chars
        if len(self._reader.languages) > 1 or len(sentence) < first_chars + _BEHIND_CUT:
            return []
        cut = sentence.rfind(" ", len(sentence) - _BEHIND_CUT)
        words = " ".join(sentence[: cut if cut > 0 else -1].split())
        start, sure = 0, list[Clause]()
        for clause in self._reader.read_sentence(words, is_first=is_first):
            limit = max_chars if sure else first_chars
            is_near = clause.pause_s or (limits.cuts_words and len(clause.text) <= limit)
            behind = start + max(limit if is_near else max_chars, len(clause.text)) + _BEHIND_CUT
            stop = start + len(clause.text)
            as_written = clause.source == clause.text and not re.search(r"\d", words[start : stop + _BEHIND_CUT])
            if len(words) < behind or not as_written:
                break
            sure.append(clause)
            start = stop + 1
        new = sure[len(self._ahead) :]
        self._ahead += new
        return new

    def _let_go(self, beginning: str, plain: str) -> None:
        """Drop the text of what has been said, where the rest reads the same without it."""
        rest, at = plain[self._said :].lstrip(), 0
        raw, said = beginning[: len(beginning) - len(rest)].rstrip(), plain[: self._said].rstrip()
        if beginning.endswith(rest) and raw[-1:] == said[-1:]:
            at = len(beginning) - len(rest)
        elif len(beginning) >= self._kept_chars:
            places = [found.end() for found in _PLACE.finditer(beginning)]
            length = len(plain) - len(rest) - len(self._before)
            at = places[bisect_right(places, length, key=lambda place: len(self._plain(beginning[:place]))) - 1]
            self._kept_chars = len(beginning) + _KEPT_CHARS
        # More rows of a table may come, and a mark of code counts for the next.
        is_table = "|" in beginning[:at].rstrip().rpartition("\n")[2] or rest[:1] == "|"
        is_open = is_table or beginning.count("`", 0, at) % 2 or self._until is not None
        if not at or not rest or is_open or self._plain(beginning[at:]) != rest:
            return
        self._raw = self._raw[at:]
        self._break, self._tried, self._longer = self._break - at, self._tried - at, self._longer - at
        self._looked = max(0, self._looked - at)
        self._before = plain[self._start : len(plain) - len(rest)]
        self._heard, self._kept_chars = self._heard[self._start :], _KEPT_CHARS
        self._start, self._said = 0, self._said - self._start
