"""Sentences of a line of text, in any script."""

import re
from itertools import pairwise

CLOSERS = r"\"'”’»›)\]}」』】）〉》"
_OPENERS = "\"'“‘„«‹([{「『【（〈《¿¡"
_FREE_STOPS = "。！？｡।॥؟۔։።፧។"  # end a sentence whatever follows
_STOP = re.compile(rf"([.!?…．]++)([{CLOSERS}]*+(?: »)?)|[{_FREE_STOPS}]++[.!?…{_FREE_STOPS}{CLOSERS}]*+")
_DOTTED = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")  # U.S, e.g, z.B, Ph.D
_BEFORE_NAMES = frozenset(str.split("""
    mr mrs ms mx dr drs prof st ste mt gen col maj capt cmdr lt sgt cpl rev hon pres gov sen rep supt messrs mme mlle vs
    hr hrn fr frl dipl ing bzw ca evtl ggf inkl vgl sog bspw usf sr sra srta dra ud uds sig sigg dott avv dhr mevr ir
    inż inz mgr ul św sw phdr mudr av ee проф ул им тов mio mrd tsd
"""))  # fmt: skip
_BEFORE_NUMBERS = frozenset(str.split("""
    no nos nr nro núm num vol fig figs abb abs art sec ch chap kap bd pp pg p pág pag eq al cf op approx godz str
    rozdz tel hfst стр гл рис
    jan feb mar apr jun jul aug sep sept oct okt nov dec dez
"""))  # fmt: skip
_NEVER_LAST = frozenset(["e.g", "i.e", "a.k.a", "f.k.a", "w.r.t", "z.b", "d.h", "u.a", "p.ex", "t.e", "т.е"])
_BEFORE_NAMES_OR_LAST = frozenset(["st"])  # Saint, Street
# Only what hardly ever is a name, nor follows a time of day inside a sentence ("At 5 a.m. I left").
_ENGLISH_STARTERS = re.compile(
    r"(?:He|She|It|They|We|You|The|A|An|This|That|These|Those|There|Then|But|And|So|If|When|What|Who|Why|How|Where|"
    r"His|Her|Their|Our|Your|Its|My|Now|After|Before|Nobody|Everybody|Everyone)(?!\w)"
)


def _ends_after_dot(line: str, dot: int, following: str) -> bool:
    """Whether the single dot at `line[dot]`, with a blank and then `following` after it, ends a sentence."""
    word = line[max(0, dot - 24) : dot].rsplit(" ", 1)[-1].lstrip(_OPENERS)
    last_part = word.rsplit("-", 1)[-1].casefold()  # Dipl.-Ing.
    if following.islower():
        return False
    is_dotted = _DOTTED.fullmatch(word) is not None
    if (is_dotted and word.casefold() not in _NEVER_LAST) or last_part in _BEFORE_NAMES_OR_LAST:
        return _ENGLISH_STARTERS.match(line[dot + 2 : dot + 24].lstrip(_OPENERS)) is not None
    if is_dotted or last_part in _BEFORE_NAMES:
        return False
    if last_part in _BEFORE_NUMBERS or last_part.endswith("str"):  # Hauptstr.
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


def split_sentences(line: str) -> list[str]:
    """Cut a line of normalised text into its sentences, without the blanks between them."""
    cuts = [0, *sentence_ends(line), len(line)]
    return [sentence for start, end in pairwise(cuts) if (sentence := line[start:end].strip())]
