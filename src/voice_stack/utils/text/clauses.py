"""Clauses: the pieces of text that are synthesized as one unit each."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from voice_stack.utils.text.script import is_speakable

CLOSERS = r"\"'”’»›)\]}」』】）〉》"
OPENERS = "\"'“‘„«‹([{「『【（〈《¿¡"
_FREE_STOPS = "。！？｡।॥؟۔։።፧។"  # end a sentence whatever follows
_STOP = re.compile(rf"([.!?…．]++)([{CLOSERS}]*+(?: »(?!\w))?)|[{_FREE_STOPS}]++[.!?…{_FREE_STOPS}{CLOSERS}]*+")
_DOTTED = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")  # U.S, e.g, z.B, Ph.D
_BEFORE_NAMES = frozenset(str.split("""
    mr mrs ms mx drs prof ste mt gen col maj capt cmdr lt sgt cpl rev hon pres gov sen rep supt messrs dña mme mlle vs
    mm hr hrn fr frl dipl ing bzw ca evtl ggf inkl vgl sog bspw usf sr sra srta dra ud uds sig sigg dott avv dhr mevr ir
    inż inz mgr hab płk kpt ozn im pl sv doc доц акад
    ul np tzw tzn tj např resp tzv popř příp нап напр св św sw phdr mudr av ee проф ул им тов mio mrd tsd
    def cir fa inh pk pck bgbl frl med phil jur mult habil urt beschl lit
    cf cfr pr bd blvd boul ets ph excmo excma ilmo ilma lic arq gral cnel cdte tte fdo vd vds edif geom arch egr cav
    exmo exma profa profª dvs pga mht jf jfr ekskl exkl bijv bv zgn verr evt
"""))  # fmt: skip
_TITLES = frozenset(
    ["Av", "Bs", "Cap", "Cel", "Del", "Depto", "Dpto", "Dep", "Des", "Mons", "Proff", "Eng", "Pe", "Sta", "Sto", "Ten"]
)  # words, if small
_SMALL_WORDS = {
    "av": "sv da no", "ir": "es pt", "mio": "it", "hon": "sv", "dra": "sv", "sen": "sv", "maj": "sv da no pl",
    "sig": "sv da no", "i": "sv da no", "é": "pt",
}  # fmt: skip
"""Spelled like an abbreviation, but words in these languages."""
_BEFORE_NUMBERS = frozenset(str.split("""
    no nos nr nro núm num nº vol vols fig figs abb afb abs art arts sec secs ch chap kap cap bd pp pg p pág págs pag
    pagg eq al cf op ok approx app apt est ex ref ext pop pt rm godz str
    rozdz ust pkt poz ryc rys tab tel hfst blz kl č obr odst ziff rn par стр гл
    рис ст табл разд тел кв ок
    мф мк лк ин кор пс рим быт исх деян еф pok poł pol пол каб kb maks max wys szer poj pow dł
    ss para paras tues thurs thur wed mon fri sat sun geb gest az bj zzgl abzgl exkl bzgl rn anm sch reg regs max ll
    supp cl ps cor matt rom thess tim heb eph gal eq eqs arts chron sam pet
    janv févr juil ene abr ago dic jan feb mar apr jun jul aug sep sept oct okt nov dec dez
    th al réf env séc sécs núms nºs arts artt lett nn incs inc tab máx mín max aprox apto dpto ap apdo cell tlf nrs hab
    civ crim ab sett ott lug giu fev
"""))  # fmt: skip
_NEVER_LAST = frozenset(
    ["e.g", "i.e", "a.k.a", "f.k.a", "w.r.t", "z.b", "d.h", "u.a", "p.ex", "t.e", "т.е", "f.eks", "d.lgs"]
)
_BEHIND_COUNTS = frozenset(["min", "std", "sek", "ff"])  # "20 Min. Pause"
_ENDING_SOMETIMES = _BEHIND_COUNTS | {"st", "ft", "hwy", "ave", "dr"}  # Saint or Street, Fort or feet
_ORDINAL = re.compile(r"(?:(?:\d{1,2}\.)?[-–/])?\d{1,2}")
_CURRENCY = re.compile(r"(?:Kčs?|EUR|USD|PLN|CZK)(?!\w)")
_SHORT_SCALES = frozenset(["mil", "tis", "mld", "bil", "tys"])
_WITHOUT_DOTTED_ORDINALS = frozenset(["ca", "es", "fr", "gl", "it", "nl", "pt", "ro", "sv"])
_HYPHENED_INITIALS = re.compile(r"(?:[^\W\d_]\.-)+[^\W\d_]")  # J.-P
_PLURAL_LETTERS = frozenset(["EE", "FF", "HH", "JJ", "PP", "RR", "SS"])  # EE. UU., HH. Senadores
_SMALL_NAME = re.compile(r"[a-z]{1,3}[A-Z]")  # sRGB
_LETTERED = re.compile(r" \([a-z]\) ")  # "(a) here. (b) there."
_LAST_LETTER = re.compile(
    r"(?:[+=]|(?<!\w)(?:[aà]ll?a|vitamin\w|tipo|type|gruppo|groupe|grupo|plan|piano|plano|clase|classe|letra|lettera|"
    r"lettre|s[eé]rie)) [A-Z]$"
)
_SHORT_WORD = 3
_SENTENCE_END = re.compile(r"[^\W\d_]{4}[.)]$")
_STREET_DOCTOR = re.compile(r"(?<!\w)(?!(?:Dear|Hello|Hi|Oh|Sorry|Thanks?|The|Yes|No)(?!\w))[A-Z][\w'-]+ Dr$")
_NUMBER = re.compile(r"[$€£~#]?\d|[A-Z]{1,2}\d|[IVXLC]+(?!\w)")
# Behind these a "no." is a word and ends the sentence, even before a number.
_SAID_NO = re.compile(
    r"(?:sa(?:id|ys?|ying)|answer(?:s|ed)?|replied|voted|thought|shouted|(?:answer|reply|vote) (?:is|was)|que|"
    r"dijo|disse)[,:]? [\"']?(?-i:no)$",
    re.IGNORECASE,
)
_GERMAN_ORDINAL = re.compile(
    r"(?<!\w)(?:[Dd](?:er|ie|as|es|em|en)|[Ii]m|[Zz]u[mr]|[Vv]om|[Bb]eim|[Aa]m|[Ss]ein(?:en)?|[Ii]hren?) "
    r"(?:\d{3}|[IVX]+)$"
)
_COMPANY = re.compile(r"(?:KG|KGaA|OHG|Ltd|Inc)(?!\w)")
_BEFORE_LAST_NUMBER = re.compile(r"(?:[^\W_]|[A-Z]\.[A-Z]\.),? $")
# Only what hardly ever is a name, nor follows a time of day inside a sentence ("At 5 a.m. I left").
_ENGLISH = (
    "He|She|It|They|We|You|The|A|An|This|That|These|Those|There|Then|But|And|So|If|When|What|Who|Why|How|Where|"
    "His|Her|Their|Our|Your|Its|My|Now|After|Before|Nobody|Everybody|Everyone"
)
_ENGLISH_STARTERS = re.compile(rf"(?:{_ENGLISH})(?![\w.])")
_ROMANCE = "Il|Elle|Je|Nous|Le|La|Les|Un|Une|El|Los|Las|Lo|Gli|Io|O|Os|As|Ela|Ele"
_NORTHERN_STARTERS = re.compile(r"(?:Det|Den|Han|Hon|Hun|Vi|Jag|Jeg|Hij|Zij|Wij|Het)(?= )")
_ROMANCE_STARTERS = re.compile(rf"(?:{_ROMANCE})(?= [^\W\d_]{{2}})")

_NUMERAL = re.compile(r"[IVX]+")
_NUMERAL_AHEAD = re.compile(r"(?:^|[,;:.!?(] ?)[IVX]{2,6}$")  # "II. Mehmed"; behind a name it may end a sentence
# In the middle of a sentence they are small.
_SLAVIC_STARTERS = re.compile(
    r"(?:W|We|Na|Po|Od|Do|Z|Ze|Za|O|I|A|Ale|To|Ten|Ta|Te|Jest|Nie|Już|Był|Była|Było|Były|Jego|Jej|Ich|On|Ona|Oni|Przed|"
    r"Przez|Przy|Pod|Nad|Dla|Jak|Kiedy|Gdy|Gdzie|Jednak|Wtedy|Potem|Następnie|Dziś|Także|Również|Ponadto|Mimo|Co|Kto|V|"
    r"Ve|S|Se|Je|Byl|Byla|Pak|Tehdy|Když|В|Во|На|По|От|До|С|Со|За|О|И|А|Но|Это|Этот|Эта|Эти|Не|Он|Она|Они|Его|Её|Их|"
    r"Перед|Через|При|Для|Как|Когда|Где|Однако|Затем|Потом|Тогда|Также|Кроме|Сейчас|Был|Была|Было|Были)(?= )"
)


def _ends_after_dot(line: str, dot: int, following: str, language: str) -> bool:
    """Whether the single dot at `line[dot]`, with a blank and then `following` after it, ends a sentence."""
    before = line[max(0, dot - 24) : dot]
    word = before.rsplit(" ", 1)[-1].lstrip(OPENERS)
    rest = line[dot + 2 : dot + 24].lstrip(OPENERS)
    if following.islower():
        is_start = _SMALL_NAME.match(rest) or _LETTERED.match(line, dot + 1)
        return is_start is not None and len(word) > _SHORT_WORD and word.isalpha()
    if following in (":", ";", ",") or (_GERMAN_ORDINAL.search(before) and not _STARTERS.match(rest)):
        return False
    last_part = word.rsplit("-", 1)[-1].rsplit("'", 1)[-1].casefold()  # Dipl.-Ing., l'art.
    if last_part in _ENDING_SOMETIMES or _DOTTED.fullmatch(word) or word.casefold() in _NEVER_LAST:
        return _ends_before(rest, word.casefold(), before)
    if _HYPHENED_INITIALS.fullmatch(word):
        return word == "J.-C" and _ROMANCE_STARTERS.match(rest) is not None
    is_numeral = _NUMERAL_AHEAD.search(before) or (line[dot + 2 : dot + 3] == "(" and _NUMERAL.fullmatch(word))
    if is_numeral or _is_before_name(word, last_part, rest, language) or before[-5:].casefold() == "p. ex":
        return False
    if len(word) == 1 and word.isalpha() and not _is_small_word(last_part, language):
        return _ends_after_letter(word, before, rest, is_first=dot <= 1)
    if last_part == "no" and not following.isdigit():
        return True
    if last_part in _BEFORE_NUMBERS or last_part.endswith(("str", "nr")):  # Hauptstr., Kto.-Nr.
        return not _NUMBER.match(rest) or _SAID_NO.search(before) is not None
    if last_part == "co" or _ORDINAL.fullmatch(word) is None:
        return last_part != "co" or not _COMPANY.match(rest)
    is_last = _STARTERS.match(rest) and _BEFORE_LAST_NUMBER.search(before[: len(before) - len(word)])
    return is_last is not None or _ends_after_number(line[max(0, dot - 200) : dot], word, rest, language)


def _ends_after_letter(letter: str, before: str, rest: str, *, is_first: bool) -> bool:
    """Whether the dot behind a letter ends a sentence: behind an initial it does not, behind a unit it may."""
    if letter in "rгв":  # of a year or a century
        return _SLAVIC_STARTERS.match(rest) is not None
    if letter in "hmgls" and before[-3:-2].isdigit():
        return rest[:1].isupper()
    is_last = letter == "I" or _ENGLISH_STARTERS.match(rest) or _LAST_LETTER.search(before)
    return letter.isupper() and not is_first and bool(is_last)


def _is_before_name(word: str, last_part: str, rest: str, language: str) -> bool:
    """Whether a word is an abbreviation that a name or the like follows, so that its dot ends nothing."""
    if last_part in _SHORT_SCALES and _CURRENCY.match(rest):
        return True
    if word in _TITLES or word in _PLURAL_LETTERS or (word in ("CC", "AA") and rest[2:3] == "."):  # CC. OO.
        return True
    if _is_small_word(last_part, language) or word == "mm":  # millimeters
        return False
    is_acronym = len(word) > 1 and word.isupper() and word != "MM" and not rest[:2].isupper()
    return last_part in _BEFORE_NAMES and not is_acronym


def _is_small_word(word: str, language: str) -> bool:
    return bool(language) and language in _SMALL_WORDS.get(word, "").split()


def _ends_after_number(ahead: str, number: str, rest: str, language: str) -> bool:
    """Whether the dot behind a number ends a sentence: "am 3. Mai" and "1. Open the door" go on."""
    if not number.isdecimal():
        return False
    starters = _NORTHERN_STARTERS if language in ("da", "no") else None if language else _ROMANCE_STARTERS
    if language not in _WITHOUT_DOTTED_ORDINALS and not (starters and starters.match(rest)):
        return False
    ahead = ahead[: -len(number)].rstrip(" " + OPENERS)
    is_listed = (
        not ahead or ahead[-1] in ":;!?" or _SENTENCE_END.search(ahead) or f" {int(number) - 1}. " in f" {ahead}"
    )
    return not is_listed


def _ends_before(rest: str, word: str, before: str) -> bool:
    """Whether an abbreviation that may stand at an end does so, by what follows it."""
    if word in _NEVER_LAST or (word == "dr" and not _STREET_DOCTOR.search(before)):
        return False
    if word in _BEHIND_COUNTS:
        if rest[:1].isdigit():
            return False
        is_unit = before[: -len(word)].rstrip(" ")[-1:].isdigit()
        return not is_unit or any(starters.match(rest) for starters in (_STARTERS, _SLAVIC_STARTERS))
    return bool(
        _ENGLISH_STARTERS.match(rest)
        or ("." in word and (_ROMANCE_STARTERS.match(rest) or _NORTHERN_STARTERS.match(rest)))
    )


def _ends_sentence(line: str, stop: re.Match[str], language: str) -> bool:
    marks, closers, after = stop[1], stop[2], line[stop.end() : stop.end() + 1]
    if marks is None or not after or after in "¿¡":
        return True
    ellipsis = marks != "." and not marks.strip(".…")
    if after != " ":
        if "\u2e80" <= after < "\ufb00":  # Chinese and Japanese write no blanks
            return not ellipsis
        return not closers and _lacks_blank(line, stop)
    following = line[stop.end() + 1 : stop.end() + 5].lstrip(OPENERS + "-—– ")[:1]
    if marks == "." and not closers:
        return _ends_after_dot(line, stop.start(), following, language)
    # A question or a cry ends a sentence even before a small letter, unless it was quoted: "Really?" he asked.
    return not following.islower() or not (closers or ellipsis)


_WORD_BEFORE = re.compile(r"(?:[^\W\d_][a-zà-ÿ]+(?:'s)?|[^\W\d_]*[à-ÿ]|\d{3,9})$")
_STARTERS = re.compile(
    rf"(?:{_ENGLISH}|I|Dann|Danach|Nun|Jetzt|Er|Sie|Es|Wir|Ich|Der|Die|Das|Ein|Eine|{_ROMANCE}|"
    r"Hij|Zij|Het|De|Een|Он|Она|Они|Это|Мы)(?= [^\W\d_]{2})"
)


def _lacks_blank(line: str, stop: re.Match[str]) -> bool:
    """Whether a blank was forgotten behind the end of a sentence (`hello.He said`), which no name of a file has."""
    before, behind = line[max(0, stop.start() - 24) : stop.start()], line[stop.end() : stop.end() + 24]
    word = before.rpartition(" ")[2]
    return bool(_WORD_BEFORE.fullmatch(word.lstrip(OPENERS)) and _STARTERS.match(behind))


def sentence_ends(line: str, language: str = "") -> list[int]:
    """Offsets after the marks that end a sentence, which the dots of abbreviations, initials and dates do not.

    Args:
        line: Normalised text.
        language: Its code, if it is known: some words of one language are abbreviations in another.
    """
    return [stop.end() for stop in _STOP.finditer(line) if _ends_sentence(line, stop, language)]


# What may follow: more of the last word, the next word, a mark. Between them they tell apart what the rules look at.
_CONTINUATIONS = ("", "n", "N", " nn", " NN nn", ".", ". N")
_WORD_AND_MORE = re.compile(r"\s*\S+\s+\S")
_FAR = 60


def settled_ends(line: str, language: str = "", start: int = 0) -> tuple[list[int], int]:
    """The first ends behind `start` that `sentence_ends` finds, as far as nothing that follows the line changes them.

    A dot needs the word behind it and the beginning of one more: "At 5 a.m. The" may become "At 5 a.m. Theo left".

    Returns:
        The ends, and where the first mark stands that may be one or not; the length of the line if there is none.
    """
    settled: list[int] = []
    for stop in _STOP.finditer(line, max(0, start)):
        after, is_far = line[stop.end() : stop.end() + 1], len(line) - stop.end() > _FAR
        is_plain = stop[1] is None or "\u2e80" <= after < "\ufb00" or after.isdigit() or after.islower()
        is_plain = is_plain or (after == " " and (stop[1] != "." or bool(stop[2])))
        if not after or not (is_plain or is_far or _WORD_AND_MORE.match(line, stop.end())):
            return settled, stop.start()
        ends = {_ends_sentence(line + more, stop, language) for more in ([""] if is_far else _CONTINUATIONS)}
        if len(ends) > 1:
            return settled, stop.start()
        settled += [stop.end()] if ends.pop() else []
    return settled, len(line)


def split_sentences(line: str, language: str = "") -> list[str]:
    """Cut a line of normalised text into its sentences, without the blanks between them."""
    cuts = [0, *sentence_ends(line, language), len(line)]
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
