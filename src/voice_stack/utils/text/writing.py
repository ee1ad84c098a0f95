"""Which script a text is written in, and which scripts a language is written in."""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Collection

from babel import Locale
from babel.core import get_global

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
    subtags = get_global("likely_subtags").get(_CLDR_CODES.get(code, code), "")
    script = next((part for part in subtags.split("_") if len(part) == 4), LATIN)
    return frozenset({LATIN, *_SETS.get(script, (script,))})


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
