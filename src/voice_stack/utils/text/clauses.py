"""Clauses: the pieces of text that are synthesized as one unit each."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from voice_stack.utils.text.script import is_speakable

CLOSERS = r"\"'”’»›)\]}」』】）〉》"
_OPENERS = "\"'“‘„«‹([{「『【（〈《¿¡"
_FREE_STOPS = "。！？｡।॥؟۔։።፧។"  # end a sentence whatever follows
_STOP = re.compile(rf"([.!?…．]++)([{CLOSERS}]*+(?: »)?)|[{_FREE_STOPS}]++[.!?…{_FREE_STOPS}{CLOSERS}]*+")
_DOTTED = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")  # U.S, e.g, z.B, Ph.D
_BEFORE_NAMES = frozenset(str.split("""
    mr mrs ms mx drs prof ste mt gen col maj capt cmdr lt sgt cpl rev hon pres gov sen rep supt messrs dña mme mlle vs
    mm hr hrn fr frl dipl ing bzw ca evtl ggf inkl vgl sog bspw usf sr sra srta dra ud uds sig sigg dott avv dhr mevr ir
    inż inz mgr hab płk kpt ozn im pl sv doc доц акад
    ul np tzw tzn tj např resp tzv popř příp нап напр св św sw phdr mudr av ee проф ул им тов mio mrd tsd
"""))  # fmt: skip
_BEFORE_NUMBERS = frozenset(str.split("""
    no nos nr nro núm num nº vol vols fig figs abb afb abs art arts sec secs ch chap kap cap bd pp pg p pág págs pag
    pagg eq al cf op ok approx app apt est ex ref ext pop pt rm godz str
    rozdz ust pkt poz ryc rys tab tel hfst blz kl č obr odst ziff rn par стр гл
    рис ст табл разд тел кв ок
    мф мк лк ин кор пс рим быт исх деян еф pok poł pol пол каб kb maks max wys szer poj pow dł
    janv févr juil ene abr ago dic jan feb mar apr jun jul aug sep sept oct okt nov dec dez
"""))  # fmt: skip
_NEVER_LAST = frozenset(["e.g", "i.e", "a.k.a", "f.k.a", "w.r.t", "z.b", "d.h", "u.a", "p.ex", "t.e", "т.е"])
_BEHIND_COUNTS = frozenset(["min", "std", "sek"])  # "20 Min. Pause"
_ENDING_SOMETIMES = _BEHIND_COUNTS | {"st", "ft", "hwy", "ave", "dr"}  # Saint or Street, Fort or feet
_ORDINAL = re.compile(r"(?:(?:\d{1,2}\.)?[-–/])?\d{1,2}")
_CURRENCY = re.compile(r"(?:Kčs?|EUR|USD|PLN|CZK)(?!\w)")
_SHORT_SCALES = frozenset(["mil", "tis", "mld", "bil", "tys"])
_STREET_DOCTOR = re.compile(r"(?<!\w)(?!(?:Dear|Hello|Hi|Oh|Sorry|Thanks?|The|Yes|No)(?!\w))[A-Z][\w'-]+ Dr$")
_NUMBER = re.compile(r"\d|[IVXLC]+(?!\w)")
# Behind these a "no." is a word and ends the sentence, even before a number.
_SAID_NO = re.compile(
    r"(?:sa(?:id|ys?|ying)|answer(?:s|ed)?|replied|voted|thought|shouted|(?:answer|reply|vote) (?:is|was)|que|"
    r"dijo|disse)[,:]? [\"']?no$",
    re.IGNORECASE,
)
# Only what hardly ever is a name, nor follows a time of day inside a sentence ("At 5 a.m. I left").
_ENGLISH = (
    "He|She|It|They|We|You|The|A|An|This|That|These|Those|There|Then|But|And|So|If|When|What|Who|Why|How|Where|"
    "His|Her|Their|Our|Your|Its|My|Now|After|Before|Nobody|Everybody|Everyone"
)
_ENGLISH_STARTERS = re.compile(rf"(?:{_ENGLISH})(?![\w.])")

_NUMERAL = re.compile(r"[IVX]+")
_NUMERAL_AHEAD = re.compile(r"(?:^|[,;:.!?(] ?)[IVX]{2,6}$")  # "II. Mehmed"; behind a name it may end a sentence
# In the middle of a sentence they are small.
_SLAVIC_STARTERS = re.compile(
    r"(?:W|We|Na|Po|Od|Do|Z|Ze|Za|O|I|A|Ale|To|Ten|Ta|Te|Jest|Nie|Już|Był|Była|Było|Były|Jego|Jej|Ich|On|Ona|Oni|Przed|"
    r"Przez|Przy|Pod|Nad|Dla|Jak|Kiedy|Gdy|Gdzie|Jednak|Wtedy|Potem|Następnie|Dziś|Także|Również|Ponadto|Mimo|Co|Kto|V|"
    r"Ve|S|Se|Je|Byl|Byla|Pak|Tehdy|Když|В|Во|На|По|От|До|С|Со|За|О|И|А|Но|Это|Этот|Эта|Эти|Не|Он|Она|Они|Его|Её|Их|"
    r"Перед|Через|При|Для|Как|Когда|Где|Однако|Затем|Потом|Тогда|Также|Кроме|Сейчас|Был|Была|Было|Были)(?= )"
)


def _ends_after_dot(line: str, dot: int, following: str) -> bool:
    """Whether the single dot at `line[dot]`, with a blank and then `following` after it, ends a sentence."""
    before = line[max(0, dot - 24) : dot]
    word = before.rsplit(" ", 1)[-1].lstrip(_OPENERS)
    rest = line[dot + 2 : dot + 24].lstrip(_OPENERS)
    if following.islower():
        return False
    last_part = word.rsplit("-", 1)[-1].rsplit("'", 1)[-1].casefold()  # Dipl.-Ing., l'art.
    if last_part in _ENDING_SOMETIMES or _DOTTED.fullmatch(word):
        return _ends_before(rest, word.casefold(), before)
    if last_part in _BEFORE_NAMES or before[-5:].casefold() == "p. ex":
        return False
    if len(word) == 1 and word in "rгв":  # of a year or a century
        return _SLAVIC_STARTERS.match(rest) is not None
    if last_part in _SHORT_SCALES and _CURRENCY.match(rest):
        return False
    if _NUMERAL_AHEAD.search(before) or (line[dot + 2 : dot + 3] == "(" and _NUMERAL.fullmatch(word)):
        return False
    if len(word) == 1 and word.isalpha():  # an initial, but "I" only at the very start
        return word.isupper() and dot > 1 and (word == "I" or _ENGLISH_STARTERS.match(rest) is not None)
    if last_part == "no" and not following.isdigit():
        return True
    if last_part in _BEFORE_NUMBERS or last_part.endswith("str"):  # Hauptstr.
        return not _NUMBER.match(rest) or _SAID_NO.search(before) is not None
    return _ORDINAL.fullmatch(word) is None  # "1. Open the door", "am 3. Mai"


def _ends_before(rest: str, word: str, before: str) -> bool:
    """Whether an abbreviation that may stand at an end does so, by what follows it."""
    if word in _NEVER_LAST or (word == "dr" and not _STREET_DOCTOR.search(before)):
        return False
    if word in _BEHIND_COUNTS:
        if rest[:1].isdigit():
            return False
        return not before[: -len(word)].rstrip(" ")[-1:].isdigit() or any(
            starters.match(rest) for starters in (_STARTERS, _SLAVIC_STARTERS)
        )
    return _ENGLISH_STARTERS.match(rest) is not None


def _ends_sentence(line: str, stop: re.Match[str]) -> bool:
    marks, closers, after = stop[1], stop[2], line[stop.end() : stop.end() + 1]
    if marks is None or not after or after in "¿¡":
        return True
    ellipsis = marks != "." and not marks.strip(".…")
    if after != " ":
        if "\u2e80" <= after < "\ufb00":  # Chinese and Japanese write no blanks
            return not ellipsis
        return not closers and _lacks_blank(line, stop)
    following = line[stop.end() + 1 : stop.end() + 5].lstrip(_OPENERS + "-—– ")[:1]
    if marks == "." and not closers:
        return _ends_after_dot(line, stop.start(), following)
    # A question or a cry ends a sentence even before a small letter, unless it was quoted: "Really?" he asked.
    return not following.islower() or not (closers or ellipsis)


_WORD_BEFORE = re.compile(r"(?:[^\W\d_][a-zà-ÿ]+(?:'s)?|[^\W\d_]*[à-ÿ]|\d{3,9})$")
_STARTERS = re.compile(
    rf"(?:{_ENGLISH}|I|Dann|Danach|Nun|Jetzt|Er|Sie|Es|Wir|Ich|Der|Die|Das|Ein|Eine|Il|Elle|Je|Nous|Le|La|Les|Un|Une|El|"
    r"Los|Las|Lo|Gli|Io|Hij|Zij|Het|De|Een|O|Os|As|Ela|Ele|Он|Она|Они|Это|Мы)(?= [^\W\d_]{2})"
)


def _lacks_blank(line: str, stop: re.Match[str]) -> bool:
    """Whether a blank was forgotten behind the end of a sentence (`hello.He said`), which no name of a file has."""
    before, behind = line[max(0, stop.start() - 24) : stop.start()], line[stop.end() : stop.end() + 24]
    word = before.rpartition(" ")[2]
    return bool(_WORD_BEFORE.fullmatch(word.lstrip(_OPENERS)) and _STARTERS.match(behind))


def sentence_ends(line: str) -> list[int]:
    """Offsets after the marks that end a sentence, which the dots of abbreviations, initials and dates do not."""
    return [stop.end() for stop in _STOP.finditer(line) if _ends_sentence(line, stop)]


def split_sentences(line: str) -> list[str]:
    """Cut a line of normalised text into its sentences, without the blanks between them."""
    cuts = [0, *sentence_ends(line), len(line)]
    return [sentence for start, end in pairwise(cuts) if (sentence := line[start:end].strip())]


# From the last sound of a clause to the first of the next, as people read aloud.
PARAGRAPH_PAUSE_S = 0.9
SENTENCE_PAUSE_S = 0.5
CLAUSE_PAUSE_S = 0.25


@dataclass(frozen=True)
class Clause:
    """A piece of text to synthesize as one unit, and the silence after it.

    Attributes:
        text: What is spoken.
        pause_s: In seconds: 0 after the last clause, and where a sentence had to be cut between words.
        language: Code of its language; empty if not known.
        source: The written text that it comes from, made plain, if the clause was made from a written text; empty
            too where a number was cut, which is written in the clause before it.
    """

    text: str
    pause_s: float
    language: str = ""
    source: str = ""


_WIDE_MARKS = "、，；：）】」』》—"  # a clause ends after them even where no blank follows
_MARKS = ";:,،؛!?…)]–" + _WIDE_MARKS
_OTHER_MARKS = r" -(?= )|(?<=[^\W\d_]{4})\.(?= )| (?=[(\[])|(?<=\w)(?=[（【「『《])"
_MARK = re.compile(f"([{re.escape(_MARKS)}{CLOSERS}]++)|{_OTHER_MARKS}")
_SIDE_MIN_CHARS = 15


def _is_clause_end(mark: re.Match[str]) -> bool:
    before_blank = mark.string.startswith(" ", mark.end())
    return mark[1] is None or any(c in _WIDE_MARKS or (before_blank and c in _MARKS) for c in mark[1])


def _next_cut(
    sentence: str, ends: list[int], start: int, limit: int, max_chars: int, *, waits_for_mark: bool
) -> tuple[int, float]:
    """Where the unit that begins at `start` ends, and the pause after it; `ends` are the offsets after clause marks."""
    length = len(sentence)
    side = max(1, min(_SIDE_MIN_CHARS, limit // 4))
    low = bisect_left(ends, start + side)
    high = bisect_right(ends, min(start + limit, length - side))
    if low >= high and waits_for_mark:  # the first unit: a mark further on is still better than none
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


def cut_sentence(sentence: str, first_limit: int, max_chars: int, *, cuts_words: bool = False) -> Iterator[Clause]:
    """Cut a sentence that is longer than `first_limit`, and the rest of it where that is longer than `max_chars`.

    Args:
        sentence: In words.
        first_limit: Longest first clause.
        max_chars: Longest clause after it, and first one that ends with a mark.
        cuts_words: Without a mark in reach the first clause ends between words, where it would end with a later mark.
    """
    limit, start = first_limit, 0
    ends = [mark.end() for mark in _MARK.finditer(sentence) if _is_clause_end(mark)] if len(sentence) > limit else []
    while len(sentence) - start > limit:
        waits_for_mark = limit < max_chars and not cuts_words
        end, pause_s = _next_cut(sentence, ends, start, limit, max_chars, waits_for_mark=waits_for_mark)
        if end == len(sentence):
            break
        yield Clause(sentence[start:end].strip(), pause_s)
        start = end + sentence.startswith(" ", end)
        limit = max_chars
    yield Clause(sentence[start:], SENTENCE_PAUSE_S)


def _join(first: Clause, second: Clause) -> Clause:
    return replace(
        first if is_speakable(first.text) else second,
        text=f"{first.text} {second.text}",
        pause_s=max(first.pause_s, second.pause_s),
        source=f"{first.source} {second.source}".strip(),
    )


def attach_unspeakable(clauses: list[Clause], max_chars: int) -> list[Clause]:
    """Give marks that stand alone to the clause before them, or after them at the start, where they fit."""
    joined: list[Clause] = []
    for clause in clauses:
        fits = joined and len(joined[-1].text) + 1 + len(clause.text) <= max_chars
        if fits and not (is_speakable(clause.text) and is_speakable(joined[-1].text)):
            clause = _join(joined.pop(), clause)
        joined.append(clause)
    return joined
