"""Plain text, marks inside it (`[voice:NAME]`, `[pause:500ms]`), and the scripts in which languages are written.

Every pattern takes linear time on any text: a run of marks always matches, and what must follow it is looked at in
code, since a failing lookahead would start the search again at each character of the run.

Letter case and blanks inside the brackets do not matter. What is no such mark is ordinary text.
"""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter

from voice_stack.utils.text.formulas import CARRIERS
from voice_stack.utils.text.markup import MARKUP, Markup, Unmarked, read_markup


def is_speakable(text: str) -> bool:
    """Tell whether the text has a letter, a digit, an ideograph or a formula to pronounce."""
    return any(map(str.isalnum, text)) or CARRIERS.search(text) is not None


_Replacement = str | Callable[[re.Match[str]], str]


def _patterns(*steps: tuple[str, _Replacement]) -> tuple[tuple[re.Pattern[str], _Replacement], ...]:
    return tuple((re.compile(pattern, re.MULTILINE), replacement) for pattern, replacement in steps)


def _drop_emphasis(stars: re.Match[str]) -> str:
    """Stars between blanks (`2 * 3`), in an ASCII word (`2*3`) or of names of files (`*.txt`) are text, no Markdown."""
    start, end = stars.span()
    sides = (stars.string[start - 1 : start] or " ") + (stars.string[end : end + 1] or " ")
    is_text = "." in stars[0] or sides.isspace() or (sides.isascii() and sides.isalnum())
    return stars[0] if is_text else ""


_QUOTES = dict.fromkeys("‘’‚‛ʼ´", "'") | dict.fromkeys("“”„‟〝〞", '"')
_HYPHENS = dict.fromkeys("\u2010\u2011\u2012\u2212", "-")
_FILLERS = dict.fromkeys("\u115f\u1160\u2800\u3164\uffa0", " ")  # blank, but letters or symbols to Unicode
PLAIN_CHARACTERS = str.maketrans(_QUOTES | _HYPHENS | _FILLERS | {"\u2029": "\n\n", "…": "...", "⁄": "/"})
"""Typographic quotes, hyphens and the like -> the plain ones (for `str.translate`)."""
_COMBINING = "".join(mark for mark in map(chr, range(0x300, 0x1E950)) if unicodedata.combining(mark))
_JOINED = "\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17ff"  # scripts where a joiner is part of the spelling
_INVISIBLE = (
    "\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u180b-\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ud800-\uf8ff\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000effff\U00100000-\U0010ffff"
)
_STYLED = (
    "\u0132\u0133\u013f\u0140\u0149\u017f\u01c4-\u01cc\u01f1-\u01f3\u2100-\u210f\u2110-\u2115\u2119-\u211d\u2120"
    "\u2121\u2124-\u2139\u24b6-\u24e9\u32c0-\u33ff\ufb00-\ufb06＃-＆＊＋－０-９＜-＞＠Ａ-Ｚａ-ｚ￠￡￥\uff61-\uff9f\U0001d400-\U0001d7ff"
)
_SQUARED = {"㎟": "mm²", "㎠": "cm²", "㎡": "m²", "㎢": "km²", "㎣": "mm³", "㎤": "cm³", "㎥": "m³",
            "㎦": "km³", "㎧": "m/s", "㎨": "m/s²", "㏂": "a.m.", "㏘": "p.m."}  # fmt: skip
_ROMAN = "\u2160-\u216f\u2170-\u217f"
_ROMAN_VALUES = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100, "d": 500, "m": 1000}
# A blank that does not break, between groups of three digits, stays: `5 000` is one number then, and not two.
_THIN_GROUP = r"(?<=\d)\u202f(?=\d{3}(?!\d))"


def _numbers_in_circles(found: re.Match[str]) -> str:
    """Such numbers are parted from their neighbours, or two would become one."""
    numbers = " ".join(str(int(unicodedata.numeric(sign))) for sign in found[0])
    before, behind = found.string[found.start() - 1 : found.start()], found.string[found.end() : found.end() + 1]
    return " " * before.isalnum() + numbers + " " * behind.isalnum()


def roman_value(letters: str) -> int:
    """The number that letters of either case stand for as a Roman numeral, whatever their order."""
    values = [_ROMAN_VALUES[letter] for letter in letters.lower()]
    return sum(-value if value < behind else value for value, behind in pairwise([*values, 0]))


def _roman_number(found: re.Match[str]) -> str:
    """Signs of Roman numerals are numbers, whatever stands around them; behind a name the rules of letters hold."""
    letters = unicodedata.normalize("NFKC", found[0])
    words = found.string[max(0, found.start() - 30) : found.start()].split(" ")
    is_after_name = len(words) > 1 and not words[-1] and words[-2].isalpha() and words[-2][0].isupper()
    is_after_name = is_after_name and letters not in {"I", "i"}
    return letters if is_after_name else str(roman_value(letters))


_CHARACTERS = _patterns(
    ("(?<=\\d)[\xa0\u2007\u2009\u202f](?=\\d{3}(?!\\d))", "\u202f"),
    (f"[{_INVISIBLE}]", ""),
    (f"[\u200c\u200d](?![{_JOINED}])|(?<![{_JOINED}])[\u200c\u200d]", ""),
    (f"[{_ROMAN}]+", _roman_number),
    ("[\u2460-\u249b\u24ea-\u24ff\u2776-\u2793\u3251-\u325f\u32b1-\u32bf]+", _numbers_in_circles),
    (
        "(?<=[0-9０-９])[．／：](?=[0-9０-９])|(?<=[０-９])，(?=[０-９]{3}(?![０-９]))",
        lambda m: chr(ord(m[0]) - 0xFEE0),
    ),
    (f"[{_STYLED}]+", lambda m: "".join(_SQUARED.get(sign, unicodedata.normalize("NFKC", sign)) for sign in m[0])),
    (r"\r\n|[\r\v\f\x85\u2028]", "\n"),
)
_FINISH = _patterns(
    (rf"(?:(?!{_THIN_GROUP})[^\S\n])+", " "),
    (r" ?\n ?", "\n"),
    (r"\n{3,}", "\n\n"),
    # NFC sorts stacked marks in quadratic time, so a pile of them is cut down before it.
    (f"([{_COMBINING}]{{8}})[{_COMBINING}]+", r"\1"),
)
_EMOJI = "\u20e3\u2190-\u21ff\u2300-\u23ff\u25a0-\u2775\u2794-\u27bf\u2b00-\u2bff\ufffc\ufffd\U0001f000-\U0001faff"
_LINK = (r"!?\[([^\[\]\n]*+)\]\((?:[^()\s]|\([^()\s]*+\))*+(?: \"[^\"\n]*+\")?\)", r"\1")


def _read_rows(table: re.Match[str]) -> str:
    """A table row by row; the line under its head is an empty one."""
    rows = (re.split(r"(?<!\\)\|", row) for row in re.sub(r"(?m)^[ :|-]++$", "", table[0]).split("\n"))
    return "\n".join(", ".join(filter(None, map(str.strip, cells))) for cells in rows)


_MARKDOWN = _patterns(
    (r"^(?:```|~~~)[^\n`]*$", ""),  # fences of code
    (r"^[^\n|]*+\|[^\n]*+\n(?=[^\n-]*+-)[ :|-]++$(?:\n[^\n|]*+\|[^\n]*+)*+", _read_rows),
    (r"^(?=[^\n]*\|)[ :|-]++$", ""),
    (r"^\|[^\n]+\|$", _read_rows),
    (r"^([-*_=~])(?: ?\1){2,}+ ?$", ""),  # rules
    (r"^(?:> ?)++", ""),
    (r"^#{1,6} ([^\n{]*+)(?:\{#[\w-]++\}$)?", r"\1"),
    (r"(?<![\w=])==([^\s=][^=\n]*+)==(?![\w=])", r"\1"),
    (r"(?<=[^\s\\:])\\\n", "\n"),  # a line that goes on
    (r"^[-*+•‣◦▪·] (?:\[[ xX]\] )?", ""),
    _LINK,
    _LINK,  # that of a picture
    (r"<((?:https?://|mailto:)[^\s<>]++|[\w.+-]++@[\w.-]++)>", r"\1"),
    (r"\\(?!\*\.[a-z*])([!-/:-@\[-`{-~])", r"\1"),
    (r"`+|~{2,}", ""),
    (r"(?<![^\s\\/\"'(])\*\.(?:[a-z]\w{0,9}+|\*)(?!\*)|\*+", _drop_emphasis),
    (r"(?<!\w)_++|(?<!_)_++(?!\w)", ""),
)
_SIGNS = _patterns(
    (rf" ?(?:[{_EMOJI}]++ ?)++([.,!?;:]?)", lambda m: m[1] or " "),
    (r"(?<= )-{2,}+(?= )|(?<=\w)-{2,}+(?=\w)", "—"),
    (r"([^\w\s\U000f0000-\U000fffff])\1{3,}", r"\1\1\1"),
)


def normalise(text: str) -> str:
    r"""Make a raw or Markdown text plain enough to be read aloud.

    Control and zero-width characters, lone surrogates, emoji and Markdown marks go; typographic quotes, hyphens,
    ligatures, full-width and styled letters become plain ones; runs of blanks become one blank.

    Returns:
        The text in NFC. `\n` ends a sentence, `\n\n` a paragraph.
    """
    return _make_plain(CARRIERS.sub("", text), "auto")


def _make_plain(text: str, markup: Markup) -> str:
    text = text.translate(PLAIN_CHARACTERS)
    for steps in (_CHARACTERS, _MARKDOWN + _SIGNS if markup == "auto" else _SIGNS):
        for pattern, replacement in steps + _FINISH:
            text = pattern.sub(replacement, text)
        text = unicodedata.normalize("NFC", text.strip())
    return text


MAX_PAUSE_S = 10.0
"""Longest pause between two clauses; longer ones, also several in a row, are cut down to it."""

# Every length is bounded, so that a text of a million brackets takes linear time. A link, `[..](..)`, is no mark.
_VOICE = re.compile(r"\[[ \t]{0,9}voice[ \t]{0,9}(?::([^\[\]\n]{1,200}))?\](?!\()", re.IGNORECASE)
PAUSE = re.compile(
    r"\[[ \t]{0,9}pause[ \t]{0,9}:[ \t]{0,9}(\d{1,9}(?:[.,]\d{1,9})?)[ \t]{0,9}(ms|s)[ \t]{0,9}\](?!\()", re.IGNORECASE
)
"""A mark of a pause: its length, and the unit of that."""
_SECONDS = {"ms": 0.001, "s": 1.0}


@dataclass(frozen=True, slots=True)
class ScriptPart:
    """What one voice says in a go.

    Attributes:
        text: As the client wrote it, without voice marks; pause marks are left for `split_pauses`.
        voice: Name in the mark before it; None for the voice of the request.
    """

    text: str
    voice: str | None = None

    @property
    def is_speakable(self) -> bool:
        """Whether there is anything to pronounce in it, pauses apart."""
        return is_speakable(PAUSE.sub(" ", self.text))


def parse_script(text: str) -> tuple[ScriptPart, ...]:
    """Cut a text at its voice marks; `[voice]` goes back to the voice of the request.

    Returns:
        The parts in order. Parts that are blank are left out, and neighbours with the same voice are one part.
    """
    said = [(voice, part) for voice, part in _voiced_parts(text) if part.strip()]
    neighbours = groupby(said, key=itemgetter(0))
    return tuple(ScriptPart("".join(part for _, part in parts), voice) for voice, parts in neighbours)


@dataclass(frozen=True, slots=True)
class Script:
    """A text as it is to be spoken.

    Attributes:
        parts: Those with something to pronounce, in order, in plain text.
        left_out: What of the text is not spoken, by name: `code`, `formulas`, `thoughts`.
    """

    parts: tuple[ScriptPart, ...]
    left_out: tuple[str, ...] = ()


def read_script(text: str, markup: Markup = "auto", reads: Collection[str] = ()) -> Script:
    """Make a text plain, and cut it at its voice marks.

    Args:
        text: As the client wrote it.
        markup: Whether its markup is read as a person would, or as it stands.
        reads: What is read although it is usually left out: some of `READABLE`.
    """
    unmarked = _unmark(text, markup, reads)
    parts = (ScriptPart(_make_plain(part.text, markup), part.voice) for part in parse_script(unmarked.text))
    return Script(tuple(part for part in parts if part.is_speakable), unmarked.left_out)


def _unmark(text: str, markup: Markup, reads: Collection[str]) -> Unmarked:
    text = CARRIERS.sub("", text)
    is_marked = markup == "auto" and (MARKUP.search(text) or "emoji" in reads)
    return read_markup(text, reads) if is_marked else Unmarked(text)


def read_one_voice(text: str, markup: Markup = "auto", reads: Collection[str] = ()) -> Unmarked:
    """As `read_script`, of a text that one voice speaks: marks of others are left out, as `voices`."""
    unmarked = _unmark(text, markup, reads)
    parts = [part for _, part in _voiced_parts(unmarked.text)]
    others = ("voices",) if len(parts) > 1 else ()
    return Unmarked(_make_plain("".join(parts), markup), unmarked.left_out + others)


def read_text(text: str) -> str:
    """A text of one voice as it is to be spoken, its markup read."""
    return _make_plain(read_markup(text).text, "auto")


def _voiced_parts(text: str) -> Iterator[tuple[str | None, str]]:
    voice, start = None, 0
    for mark in _VOICE.finditer(text):
        name = mark[1] and mark[1].strip()
        if name == "":  # `[voice:]` names nobody
            continue
        yield voice, text[start : mark.start()]
        voice, start = name, mark.end()
    yield voice, text[start:]


def pause_of(mark: re.Match[str]) -> float:
    """Seconds that a mark of a pause stands for, at most `MAX_PAUSE_S`."""
    return min(float(mark[1].replace(",", ".")) * _SECONDS[mark[2].lower()], MAX_PAUSE_S)


def split_pauses(text: str) -> Iterator[tuple[str, float]]:
    """Cut a text at its pause marks, lazily.

    Yields:
        Texts that may be blank, each with the pause after it in seconds, at most `MAX_PAUSE_S`; the last one's is 0.
    """
    start = 0
    for mark in PAUSE.finditer(text):
        yield text[start : mark.start()], pause_of(mark)
        start = mark.end()
    yield text[start:], 0.0


LATIN = "Latn"
_SCRIPTS = {
    "LATIN": LATIN, "CYRILLIC": "Cyrl", "GREEK": "Grek", "ARMENIAN": "Armn", "GEORGIAN": "Geor", "HEBREW": "Hebr",
    "ARABIC": "Arab", "ETHIOPIC": "Ethi", "DEVANAGARI": "Deva", "BENGALI": "Beng", "GURMUKHI": "Guru",
    "GUJARATI": "Gujr", "TAMIL": "Taml", "TELUGU": "Telu", "KANNADA": "Knda", "MALAYALAM": "Mlym", "SINHALA": "Sinh",
    "THAI": "Thai", "LAO": "Laoo", "TIBETAN": "Tibt", "MYANMAR": "Mymr", "KHMER": "Khmr", "HANGUL": "Hang",
    "HIRAGANA": "Hira", "KATAKANA": "Hira", "CJK": "Hani",
}  # fmt: skip
"""First word of a letter's Unicode name -> script (ISO 15924); both kana are one. Other letters are in no script."""
_SETS = {"Jpan": ("Hira", "Hani"), "Kore": ("Hang", "Hani"), "Hans": ("Hani",), "Hant": ("Hani",)}
_NAMES = {"Hira": "Japanese", "Hani": "Chinese", "Hang": "Korean"}
_CLDR_CODES = {"jw": "jv"}  # codes that are Whisper's own
_LONE_GREEK = re.compile(r"(?<![^\W\d_])[\u0370-\u03ff](?![^\W\d_])")  # a letter of a formula has a name everywhere
_KANA = re.compile(r"[\u3041-\u30ff]")
_NEVER_JAPANESE = re.compile("[你您她它們這嗎呢吧很沒麼哪]")


@functools.cache
def language_scripts(code: str) -> frozenset[str]:
    """The scripts that a reader of a language knows, by CLDR's likely subtags; Latin is always among them.

    Args:
        code: Of one of `LANGUAGES`.
    """
    from babel.core import get_global  # the ASR server, which has no Babel, uses this file too

    subtags = get_global("likely_subtags").get(_CLDR_CODES.get(code, code), "")
    script = next((part for part in subtags.split("_") if len(part) == 4), LATIN)
    return frozenset({LATIN, *_SETS.get(script, (script,))})


def hide_formulas(text: str) -> str:
    """A text without its formulas, whose letters are of no language."""
    return CARRIERS.sub(" ", text)


def find_unreadable_script(text: str, languages: Collection[str]) -> str | None:
    """The script that keeps readers of some languages from reading a text.

    Args:
        text: Normalised text.
        languages: Codes of what they read.

    Returns:
        The script of most of the letters that they do not know, if those are more than half of all letters; else None.
    """
    known = frozenset[str]().union(*map(language_scripts, languages))
    letters: Counter[str | None] = Counter()
    for letter, count in Counter(_LONE_GREEK.sub("", text)).items():
        letters[_script_of(letter)] += count
    written = {script: count for script, count in letters.items() if script is not None}
    unknown = {script: count for script, count in written.items() if script not in known}
    if 2 * sum(unknown.values()) <= sum(written.values()):
        return None
    return max(unknown, key=unknown.__getitem__)


def name_script(script: str) -> str:
    """What people call a script, in English."""
    from babel import Locale

    name: str = _NAMES.get(script) or Locale("en").scripts[script]
    return name


def can_be_japanese(text: str) -> bool:
    """Whether Japanese people may have written a text that has no kana, as names and headlines have none.

    Simplified characters are not in JIS X 0208, and some words of every Chinese talk have characters that no Japanese
    word has.
    """
    try:
        text.encode("shift_jis")
    except UnicodeEncodeError:
        return _KANA.search(text) is not None
    return _NEVER_JAPANESE.search(text) is None


def _script_of(letter: str) -> str | None:
    return _SCRIPTS.get(unicodedata.name(letter, "").partition(" ")[0]) if letter.isalpha() else None
