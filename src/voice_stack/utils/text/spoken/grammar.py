"""What has to be known of a language to read numbers, amounts and the like in it: a file of tables for each.

In the files a set is written with blanks between its words, a table as `key=value; key=value`.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_origin, get_type_hints

from pydantic import TypeAdapter

WORD_EDGE_BEFORE = r"(?<![^\W\u2e80-\ufaff])"
WORD_EDGE_AFTER = r"(?![^\W\u2e80-\ufaff])"
"""Edges of words in patterns, in scripts with and without blanks between words."""


def word_before(found: re.Match[str]) -> str:
    """The word before a match, with one blank between."""
    return found.string[max(0, found.start() - 24) : found.start()].rstrip(" ").rpartition(" ")[2]


def kept_stop(found: re.Match[str]) -> str:
    """The full stop that an abbreviation at the end of a sentence shares with it."""
    return "." if found[0].endswith(".") and found.end() == len(found.string.rstrip()) else ""


def _table(text: str) -> Mapping[str, str]:
    """A table written `key=value; key=value`; keys may hold a `=`."""
    pairs = (entry.rpartition("=") for entry in text.split(";") if entry.strip())
    return MappingProxyType({key.strip(): value.strip() for key, _, value in pairs})


def words(text: str) -> frozenset[str]:
    """A set of words written with blanks between them."""
    return frozenset(text.split())


@dataclass(frozen=True, kw_only=True, eq=False)
class Grammar:
    """One language's tables. Words with several forms are written `one|few|many`, in the order of CLDR's plural rules.

    Attributes:
        code: The language, as `utils.language` spells it.
        decimal: Its decimal mark.
        groups: Marks between groups of three digits.
        point: How the decimal mark is read; the number before it chooses the form.
        denominators: Names of tenths, hundredths and thousandths, in languages that read a decimal as a fraction.
        decimals: Whether the digits behind it are read one by one, or as one number where there are two at most.
        is_spaced: Whether blanks part words.
        has_long_years: Whether years are read otherwise than numbers (nineteen eighty-four).
        signs: Marks of sums and addresses; `minus` is a number's sign, `to` a dash between two, `eq` stands for `=`;
            `hashtag` is that word, where it is another.
        percent: How a percentage is read; `{}` is the number.
        units: Readings of units that CLDR lacks or gives as signs.
        feminine: Beginnings of the names of units and currencies that are feminine.
        currencies: Names of currencies by their ISO code, where they are not CLDR's.
        cents: Names of their hundredth parts.
        money: Both parts of a price: `{main}`, `{cents}`, with `{unit}` for the name of the hundredth part. Empty: a
            price is read as a decimal number.
        scales: Words for large numbers that stand between number and currency, with what follows them.
        ordinals: Endings written after a number (patterns) and the rule set that reads the number then.
        ordinal_contexts: For languages that write ordinals with a dot: words before, and the rule set.
        ordinal_followers: Words after a number with a dot that make it an ordinal.
        counters: Words after a number that ask for another rule set (patterns); `two` and `attributive` are the forms
            that Chinese and Hungarian have of a two.
        years: Words after a year that make it an ordinal: word -> rule set.
        date: How a date is read: `{day}`, `{month}`, `{year}`.
        date_order: Order of the parts in a date of numbers with slashes.
        day: Rule set for days of the month; `first`: cardinal but for the first day.
        first_day: The word for the first day then.
        clock: How a time is read: `{h}`, `{m}`; `full_hour`, `oh` (minutes below ten).
        after_clock: What may be written behind a time and is read with it (pattern).
        roman_words: Words before a Roman numeral that is read as a number.
        roman_followers: Words after a Roman numeral: word -> rule set.
        regnal: How numerals of rulers are read: `{}` is the ordinal; empty: as a number.
        regnal_first: The word where only the first ruler of a name has an ordinal.
        regnal_limit: From which number on cardinals are used for rulers.
        abbreviations: What they stand for. `#` behind one: only before a number; `^`: only before a capital;
            `~`: only behind the name of a street; `<`: only behind a digit.
        phrases: Patterns and what is said for them, before everything else. In what is said `{1}` is the first group
            as it is written, `{1:n}` as a number, `{1:plain}` without a zero ahead, `{1:d}` digit by digit,
            `{1:letters}` spelled, `{1:RULES}` by a rule set of `spell`; `{0}` is all of it.
        labels: Words before a number that names something and counts nothing, in small letters.
        cases: Names of cases and the ends of nouns in them (patterns), in Slavic languages; the genitive is the plural.
        prepositions: Words that may ask for a case which nothing else shows.
        months: Names of months in any case (pattern), where a year behind them is an ordinal.
        ordinal_words: Ordinals from 1 to 19 and from 20 by tens, in the genitive, where CLDR has none.
        rulers: Names of rulers by the rule set of the numeral behind them.
        genitive_after: Words that a number stands behind in the genitive (pattern), in Slavic languages.
        genitive_nouns: The same, of words that may be labels: what is counted must stand behind (`grupa 5 osób`).
        half: How a half is read behind a whole number.
        powers: How `²`, `³` and other exponents (`{}`) are read.
        fractions: Readings of 1/2, 1/3, 2/3, 1/4, 3/4.
        fraction: How the others are read: `{n}` of `{d}`; empty: not at all.
        parts: Names of fifths to tenths; none: `{d}` is the number.
        parts_counted: Rule set of the number before them.
        neuter_nouns: Nouns with which ordinals agree (pattern).
        feminine_nouns: The same.
        given_names: First names of people, whose numerals are ordinals.
        formulas: Words of formulas by sign or kind; `{}` are their parts. Empty: formulas are not read.
        greek: Names of Greek letters that are not Unicode's.
    """

    code: str
    decimal: str = ","
    groups: str = "."
    point: str
    denominators: tuple[str, ...] = ()
    decimals: Literal["digits", "number"] = "digits"
    is_spaced: bool = True
    has_long_years: bool = False
    signs: Mapping[str, str]
    percent: str
    units: Mapping[str, str] = field(default_factory=dict)
    feminine: tuple[str, ...] = ()
    currencies: Mapping[str, str] = field(default_factory=dict)
    cents: Mapping[str, str] = field(default_factory=dict)
    money: str = ""
    scales: Mapping[str, str] = field(default_factory=dict)
    ordinals: Mapping[str, str] = field(default_factory=dict)
    ordinal_contexts: Mapping[str, str] = field(default_factory=dict)
    ordinal_followers: frozenset[str] = frozenset()
    counters: Mapping[str, str] = field(default_factory=dict)
    years: Mapping[str, str] = field(default_factory=dict)
    date: str
    date_order: Literal["dmy", "mdy", "ymd"] = "dmy"
    day: str = ""
    first_day: str = ""
    clock: Mapping[str, str]
    after_clock: str = ""
    roman_words: frozenset[str] = frozenset()
    roman_followers: Mapping[str, str] = field(default_factory=dict)
    regnal: str = ""
    regnal_first: str = ""
    regnal_limit: int = 100
    abbreviations: Mapping[str, str] = field(default_factory=dict)
    phrases: tuple[tuple[str, str], ...] = ()
    labels: frozenset[str] = frozenset()
    cases: Mapping[str, str] = field(default_factory=dict)
    prepositions: frozenset[str] = frozenset()
    months: str = ""
    ordinal_words: tuple[str, ...] = ()
    rulers: Mapping[str, str] = field(default_factory=dict)
    genitive_after: str = ""
    genitive_nouns: str = ""
    half: str = ""
    powers: tuple[str, ...] = ()
    fractions: tuple[str, ...] = ()
    fraction: str = ""
    parts: tuple[str, ...] = ()
    parts_counted: str = "spellout-cardinal-masculine"
    neuter_nouns: str = ""
    feminine_nouns: str = ""
    given_names: frozenset[str] = frozenset()
    formulas: Mapping[str, str] = field(default_factory=dict)
    greek: Mapping[str, str] = field(default_factory=dict)

    @property
    def blank(self) -> str:
        """What parts two words."""
        return " " if self.is_spaced else ""

    def join(self, *parts: str | None) -> str:
        """Words side by side; what is empty is left out."""
        return self.blank.join(filter(None, parts))


_READERS: dict[object, Callable[[str], object]] = {Mapping: _table, frozenset: words}


def _read(file: Path) -> Grammar:
    kinds = get_type_hints(Grammar)
    values: dict[str, object] = {"code": file.stem}
    for name, value in tomllib.loads(file.read_text(encoding="utf-8")).items():
        reader = _READERS.get(get_origin(kinds[name]))
        values[name] = reader(value) if reader and isinstance(value, str) else value
    return TypeAdapter(Grammar).validate_python(values)


GRAMMARS = {file.stem: _read(file) for file in sorted((Path(__file__).parent / "languages").glob("*.toml"))}
"""Every grammar by the code of its language."""
