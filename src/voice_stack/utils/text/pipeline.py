"""From a text of any length to clauses that are ready to be spoken: lazily, a paragraph at a time."""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from voice_stack.utils.language import find_region, require_language
from voice_stack.utils.language_detection import detect_text_language
from voice_stack.utils.text.clauses import (
    PARAGRAPH_PAUSE_S,
    Clause,
    attach_unspeakable,
    cut_sentence,
    sentence_ends,
    split_sentences,
)
from voice_stack.utils.text.formula_words import say_formula
from voice_stack.utils.text.formulas import FORMULA, show_formulas
from voice_stack.utils.text.pronunciation import Pronunciations, Reading, read_out
from voice_stack.utils.text.script import (
    MAX_PAUSE_S,
    can_be_japanese,
    hide_formulas,
    is_speakable,
    read_text,
    split_pauses,
)
from voice_stack.utils.text.spoken import read_spans
from voice_stack.utils.text.spoken.grammar import GRAMMARS

MAX_BLOCK_CHARS = 2000
"""Longer paragraphs are worked on in pieces, so that neither the first clause nor memory waits for a text's length."""
PARAGRAPH_BREAK = "\n\n"
"""What stands between two paragraphs of plain text."""
_LAST_PLACE_CHARS = 40  # what must follow a full stop in a piece to tell whether it ends a sentence

_SURE = 0.97
_SURE_OF_SCRIPT = 0.8
_MIN_WORDS = 4
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")


@dataclass(frozen=True)
class ClauseLimits:
    """How long clauses may be, in characters of spoken text.

    Attributes:
        max_chars: No clause is longer.
        first_max_chars: A longer first sentence is cut at a clause mark, if it has one, so that sound starts early.
        by_language: `max_chars` of languages that have their own, by code.
        cuts_words: A first sentence without such a mark is cut between words.
    """

    max_chars: int = 220
    first_max_chars: int = 60
    by_language: Mapping[str, int] = field(default_factory=dict)
    cuts_words: bool = False

    def of(self, language: str) -> int:
        """The longest clause in a language."""
        return self.by_language.get(language, self.max_chars)


NO_RULES = Pronunciations()
DEFAULT_LIMITS = ClauseLimits()


def clauses(
    text: str,
    language: str = "",
    *,
    languages: Sequence[str] = (),
    rules: Pronunciations = NO_RULES,
    limits: ClauseLimits = DEFAULT_LIMITS,
    is_plain: bool = False,
    keeps_numbers: bool = False,
) -> Iterator[Clause]:
    """Make a text ready to be spoken: in words, with its pauses, in pieces for the engine.

    Works paragraph by paragraph, so that the first clause of a book comes as soon as that of a sentence, and memory
    stays flat. `[pause:500ms]` in the text is the pause of the clause before it.

    Args:
        text: As it was written, perhaps with marks of pauses.
        language: Code of its language, perhaps with a region, which some readings depend on (`en-GB`); empty if not
            known.
        languages: Codes of what the voice speaks: with several, a sentence that is clearly in another one than the
            text is read in that.
        rules: Pronunciations that go before everything else.
        limits: Of the engine.
        is_plain: The text is plain already, as the parts of a script are.
        keeps_numbers: Numbers, dates and abbreviations stay as they are written, for an engine that reads them itself.

    Yields:
        Clauses with `language` and `source`. One without text is a pause alone, and comes only at the very start.
    """
    last = LastClause(code_of(language))
    own = language or (languages[0] if len(languages) == 1 else "")
    reader = BlockReader(own, tuple(languages), rules, limits, keeps_numbers)
    for step in _steps(text if is_plain else read_text(text), reader):
        if (given := last.take(step)) is not None:
            yield given
    if last.clause is not None:
        yield last.clause if last.is_marked else replace(last.clause, pause_s=0.0)


@dataclass
class LastClause:
    """The clause that is held back, for pauses may be marked behind it; `language` is that of one at the very start."""

    language: str
    clause: Clause | None = None
    is_marked: bool = False

    def take(self, step: Clause | float) -> Clause | None:
        """Hold the next clause, and give the one before; or lengthen the pause of the one that is held."""
        if isinstance(step, Clause):
            before, self.clause, self.is_marked = self.clause, step, False
            return before
        pause_s = step + self.clause.pause_s if self.clause is not None and self.is_marked else step
        held = self.clause or Clause("", 0.0, self.language)
        self.clause, self.is_marked = replace(held, pause_s=min(pause_s, MAX_PAUSE_S)), True
        return None


def _steps(text: str, reader: "BlockReader") -> Iterator[Clause | float]:
    """Clauses with their natural pauses, and the lengths of the pauses that are marked in the text."""
    is_first = True
    for part, pause_s in split_pauses(text):
        for block in _blocks(part):
            for clause in reader.read(block, is_first=is_first):
                yield clause
                is_first = False
        if pause_s:
            yield pause_s


def _blocks(text: str) -> Iterator[str]:
    """Cut a text into paragraphs, with the empty lines behind them, and long paragraphs into pieces."""
    start = 0
    while start < len(text):
        end = block_end(text, start)
        yield text[start:end]
        start = end


def block_end(text: str, start: int) -> int:
    """Where the piece of a text ends that begins at `start`; the text's end, where no more is known of it."""
    if (paragraph := text.find(PARAGRAPH_BREAK, start, start + MAX_BLOCK_CHARS)) >= 0:
        return paragraph + len(PARAGRAPH_BREAK)
    piece = text[start : start + MAX_BLOCK_CHARS]
    if len(piece) < MAX_BLOCK_CHARS:
        return len(text)
    for cuts in (
        [piece.rfind("\n") + 1],
        [end for end in sentence_ends(piece.replace("\n", " ")) if end < len(piece) - _LAST_PLACE_CHARS],
        [piece.rfind(" ") + 1],
    ):
        if cuts and cuts[-1] > 0:
            return start + cuts[-1]
    return start + len(piece)


@dataclass(frozen=True)
class BlockReader:
    """Reads pieces of a text, each with the same options."""

    language: str
    languages: tuple[str, ...]
    rules: Pronunciations
    limits: ClauseLimits
    keeps_numbers: bool = False

    def read(self, block: str, *, is_first: bool) -> list[Clause]:
        """The speakable clauses of a piece, each with the pause that is natural after it."""
        clauses: list[Clause] = []
        for line in block.strip().split("\n"):
            for sentence in split_sentences(line, code_of(self.language)):
                clauses += self.read_sentence(sentence, is_first=is_first and not clauses)
        return self.join(clauses, ends_paragraph=block.endswith(PARAGRAPH_BREAK))

    def join(self, clauses: list[Clause], *, ends_paragraph: bool) -> list[Clause]:
        """Clauses of a piece without those that nothing can be said of, which go with their neighbours."""
        longest = max((self.limits.of(clause.language) for clause in clauses), default=1)
        spoken = [clause for clause in attach_unspeakable(clauses, longest) if is_speakable(clause.text)]
        if spoken and ends_paragraph:
            spoken[-1] = replace(spoken[-1], pause_s=PARAGRAPH_PAUSE_S)
        return spoken

    def read_sentence(self, sentence: str, *, is_first: bool) -> Iterator[Clause]:
        """The clauses of a sentence, those that nothing can be said of among them."""
        language = sentence_language(sentence, code_of(self.language), self.languages)
        tag = self.language if language == code_of(self.language) else language
        sentence, formulas = _read_formulas(sentence, tag)
        spans = sorted([*formulas, *self.rules.find(sentence, language)], key=attrgetter("start"))
        read = read_out(sentence, spans) if self.keeps_numbers else read_spans(sentence, tag, spans)
        max_chars = self.limits.of(language)
        first_max_chars = min(self.limits.first_max_chars, max_chars) if is_first else max_chars
        said = written = 0
        cuts_words = is_first and self.limits.cuts_words
        for clause in cut_sentence(" ".join(read.text.split()), first_max_chars, max_chars, cuts_words=cuts_words):
            said = read.end_of(clause.text, said)
            until = read.written_until(said)
            yield replace(clause, language=language, source=show_formulas(sentence[written:until]).strip())
            written = max(written, until)


def _read_formulas(sentence: str, tag: str) -> tuple[str, list[Reading]]:
    """A sentence with its formulas and what is said for them; those without words in its language become plain."""

    @functools.cache
    def say(carried: str) -> str:
        return say_formula(carried, code_of(tag), lambda written: read_spans(written, tag).text) or ""

    sentence = FORMULA.sub(lambda found: found[0] if say(found[0]) else show_formulas(found[0]), sentence)
    return sentence, [Reading(*found.span(), say(found[0])) for found in FORMULA.finditer(sentence)]


def code_of(tag: str) -> str:
    """The language of a tag without the region; other spellings stay as they are."""
    region = find_region(tag)
    return tag[: -len(region) - 1] if region and tag.upper().endswith(region) else tag


def sentence_language(sentence: str, language: str, languages: Sequence[str]) -> str:
    """The language to read a sentence in.

    Args:
        sentence: Normalised text.
        language: Language of the whole text; empty if not known.
        languages: What the voice speaks.

    Returns:
        One of `languages` where the sentence is clearly in it, else `language`.
    """
    if len(languages) < 2:
        return language
    sentence = hide_formulas(sentence)
    # A few words in Latin letters may be a name or a title; another script is seen at once.
    is_latin = _LATIN.search(sentence) is not None
    if language and is_latin and len(sentence.split()) < _MIN_WORDS:
        return language
    # Among all the others as well: a language that the voice does not speak must not pass for the one nearest to it.
    among = {*languages, *GRAMMARS.keys() - {require_language(code).code for code in languages}}
    sure = (_SURE if is_latin else _SURE_OF_SCRIPT) if language else 0.0
    found = detect_text_language(sentence, among, min_probability=sure)
    if (language, found) == ("ja", "zh") and can_be_japanese(sentence):
        return language
    return found if found in languages and found is not None else language
