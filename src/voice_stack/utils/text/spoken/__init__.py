"""Numbers, dates, amounts, addresses and abbreviations in words, in the languages that have a grammar here."""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from babel import Locale, localedata

from voice_stack.utils.language import find_language, find_region
from voice_stack.utils.text.pronunciation import MatchReader, Reading, ReadText, fill, read_out
from voice_stack.utils.text.spoken import amounts, cases, dates, measures, names, numbers, words
from voice_stack.utils.text.spoken.grammar import GRAMMARS, Grammar, word_before

_DAY_FIRST = replace(GRAMMARS["en"], date_order="dmy", date="the {day} of {month}, {year}")
_GrammarReader = Callable[[re.Match[str], Grammar], str | None]


@functools.cache
def _rules(grammar: Grammar) -> tuple[tuple[re.Pattern[str], MatchReader], ...]:
    """What is looked for, in order: what an earlier one has found is hidden from the later ones."""
    rows = [row[:2] for row in _TABLE if row[2:] in ((), (grammar.code,))]
    shaped = ((shape if isinstance(shape, re.Pattern) else shape(grammar), reader) for shape, reader in rows)
    return tuple((pattern, _bind(reader, grammar)) for pattern, reader in shaped if pattern is not None)


def _leave(found: re.Match[str], _grammar: Grammar) -> str:
    return found[0]


_Shape = re.Pattern[str] | Callable[[Grammar], re.Pattern[str] | None]
_TABLE: tuple[tuple[_Shape, _GrammarReader] | tuple[_Shape, _GrammarReader, str], ...] = (
    (words.phrase_pattern, words.read_phrase),
    (names.HEXADECIMAL, _leave),
    (names.EMAIL, names.read_address),
    (names.WEB, names.read_address),
    (names.FILE, names.read_address),
    (names.TAG, names.read_tag),
    (measures.ARC, measures.read_arc),
    (measures.POWER, measures.read_power),
    (measures.FRACTION, measures.read_fraction),
    (measures.JOINED, measures.read_joined, "en"),
    (measures.FEET_AND_INCHES, measures.read_feet_and_inches, "en"),
    (measures.INCHES, measures.read_inches, "en"),
    (dates.ISO_DATE, dates.read_iso_date),
    (dates.NUMERIC_DATE, dates.read_numeric_date),
    (dates.ENGLISH_DAY, dates.read_english_day, "en"),
    (dates.SHORT_DATE, dates.read_short_date, "de"),
    (names.PHONE, names.read_phone),
    (dates.LAP, dates.read_lap),
    (dates.DURATION, dates.read_duration),
    (dates.clock_pattern, dates.read_clock),
    (dates.day_of_month_pattern, dates.read_day_of_month),
    (words.year_pattern, words.read_year),
    (dates.DECADE, dates.read_decade, "en"),
    (words.ordinal_pattern, words.read_ordinal),
    (cases.many_pattern, cases.read_many),
    (cases.cased_pattern, cases.read_cased),
    (amounts.PERCENT_AHEAD, amounts.read_percent_ahead, "tr"),
    (measures.price_range_pattern, measures.read_price_range),
    (measures.CENTS, measures.read_cents),
    (amounts.money_pattern, amounts.read_money),
    (measures.PER, measures.read_per, "en"),
    (amounts.measure_pattern, amounts.read_measure),
    (words.abbreviation_pattern, words.read_abbreviation),
    (words.counter_pattern, words.read_counter),
    (measures.scaled_pattern, measures.read_scaled),
    (names.ROMAN, names.read_roman),
    (names.PAGE, names.read_page),
    (names.ONE_SIGN, names.read_one_sign),
    (words.numeral_pattern, words.read_numeral),
    (numbers.SIGN, numbers.read_sign),
    (measures.AHEAD, measures.read_ahead),
)
"""What is looked for and who reads it; the third is the code of the only language that has it."""


def _bind(reader: _GrammarReader, grammar: Grammar) -> MatchReader:
    if grammar.code == "ru":
        return lambda found: _in_accusative(reader(found, grammar), found)
    return lambda found: reader(found, grammar)


_THOUSAND = re.compile(r"тысяча (?!.*(?:год|(?:ом|ого|[ыи]й)(?!\w)))")
_WITH_ACCUSATIVE = frozenset(["на", "в", "за", "через", "про"])


def _in_accusative(said: str | None, found: re.Match[str]) -> str | None:
    """A Russian number with the form of thousand that the preposition before it asks for: `на тысячу пятьсот`."""
    is_thousand = said is not None and _THOUSAND.match(said) and word_before(found).lower() in _WITH_ACCUSATIVE
    return f"тысячу {said.removeprefix('тысяча ')}" if said and is_thousand else said


def find_grammar(language: str) -> Grammar | None:
    """The grammar of a language by any of its names, with or without a region, or None where there is none."""
    found = find_language(language)
    if found and found.code == "en" and _puts_day_first(find_region(language)):
        return _DAY_FIRST
    return GRAMMARS.get(found.code) if found else None


@functools.cache
def _puts_day_first(region: str) -> bool:
    """Whether English dates are written so in a country, by CLDR; not if it is unknown."""
    if not region or not localedata.exists(f"en_{region}"):
        return False
    pattern = Locale("en", region).date_formats["short"].pattern
    return str(pattern).index("d") < str(pattern).index("M")


def read_spans(text: str, language: str, spans: Sequence[Reading] = ()) -> ReadText:
    """Read a text out, and remember where each part of it is written.

    Args:
        text: Normalised text, best one sentence.
        language: Code or name of its language.
        spans: Readings that are settled, in order, such as those of pronunciation rules.
    """
    grammar = find_grammar(language)
    if grammar is None:
        return read_out(text, spans, is_spaced=False)
    found = list(spans)
    for pattern, reader in _rules(grammar):
        found = fill(text, found, pattern, reader)
    return read_out(text, found, is_spaced=grammar.is_spaced)
