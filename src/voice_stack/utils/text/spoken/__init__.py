"""Numbers, dates, amounts, addresses and abbreviations in words, in the languages that have a grammar here."""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from babel import Locale, localedata

from voice_stack.utils.language import find_language, find_region
from voice_stack.utils.text.pronunciation import MatchReader, Reading, ReadText, fill, read_out
from voice_stack.utils.text.spoken import amounts, dates, measures, names, numbers, words
from voice_stack.utils.text.spoken.grammar import Grammar
from voice_stack.utils.text.spoken.languages import GRAMMARS

_DAY_FIRST = replace(GRAMMARS["en"], date_order="dmy", date="the {day} of {month}, {year}")
_GrammarReader = Callable[[re.Match[str], Grammar], str | None]


_Row = tuple[re.Pattern[str] | None, _GrammarReader]


@functools.cache
def _rules(grammar: Grammar) -> tuple[tuple[re.Pattern[str], MatchReader], ...]:
    """What is looked for, in order: what an earlier one has found is hidden from the later ones."""
    table = _names_and_dates(grammar) + _amounts_and_numbers(grammar)
    return tuple((pattern, _bind(reader, grammar)) for pattern, reader in table if pattern is not None)


def _names_and_dates(grammar: Grammar) -> tuple[_Row, ...]:
    return (
        (words.phrase_pattern(grammar), words.read_phrase),
        (names.HEXADECIMAL, names.read_hexadecimal),
        (names.EMAIL, names.read_address),
        (names.WEB, names.read_address),
        (names.FILE, names.read_address),
        (names.TAG, names.read_tag),
        (measures.ARC, measures.read_arc),
        (measures.POWER, measures.read_power),
        (measures.FRACTION, measures.read_fraction),
        (measures.JOINED if grammar.code == "en" else None, measures.read_joined),
        (measures.FEET_AND_INCHES if grammar.code == "en" else None, measures.read_feet_and_inches),
        (measures.INCHES if grammar.code == "en" else None, measures.read_inches),
        (dates.ISO_DATE, dates.read_iso_date),
        (dates.NUMERIC_DATE, dates.read_numeric_date),
        (dates.ENGLISH_DAY if grammar.code == "en" else None, dates.read_english_day),
        (dates.short_date_pattern(grammar), dates.read_short_date),
        (words.PHONE, words.read_phone),
        (dates.LAP, dates.read_lap),
        (dates.DURATION, dates.read_duration),
        (dates.clock_pattern(grammar), dates.read_clock),
        (dates.day_of_month_pattern(grammar), dates.read_day_of_month),
        (words.year_pattern(grammar), words.read_year),
        (dates.DECADE if grammar.code == "en" else None, dates.read_decade),
        (words.ordinal_pattern(grammar), words.read_ordinal),
    )


def _amounts_and_numbers(grammar: Grammar) -> tuple[_Row, ...]:
    return (
        (measures.many_pattern(grammar), measures.read_many),
        (amounts.cased_pattern(grammar), amounts.read_cased),
        (amounts.PERCENT_AHEAD if grammar.code == "tr" else None, amounts.read_percent_ahead),
        (measures.price_range_pattern(grammar), measures.read_price_range),
        (measures.CENTS, measures.read_cents),
        (amounts.money_pattern(grammar), amounts.read_money),
        (measures.PER if grammar.code == "en" else None, measures.read_per),
        (amounts.measure_pattern(grammar), amounts.read_measure),
        (words.abbreviation_pattern(grammar), words.read_abbreviation),
        (words.GERMAN_STREET if grammar.code == "de" else None, words.read_street),
        (words.counter_pattern(grammar), words.read_counter),
        (measures.scaled_pattern(grammar), measures.read_scaled),
        (measures.TIMES if grammar.code == "en" else None, measures.read_times),
        (names.ROMAN, names.read_roman),
        (names.PAGE, names.read_page),
        (names.ONE_SIGN, names.read_one_sign),
        (words.numeral_pattern(grammar), words.read_numeral),
        (numbers.SIGN, numbers.read_sign),
        (measures.AHEAD, measures.read_ahead),
    )


def _bind(reader: _GrammarReader, grammar: Grammar) -> MatchReader:
    if grammar.code == "ru":
        return lambda found: _in_accusative(reader(found, grammar), found)
    return lambda found: reader(found, grammar)


_THOUSAND = re.compile(r"тысяча (?!.*(?:год|(?:ом|ого|[ыи]й)(?!\w)))")
_WITH_ACCUSATIVE = frozenset(["на", "в", "за", "через", "про"])


def _in_accusative(said: str | None, found: re.Match[str]) -> str | None:
    """A Russian number with the form of thousand that the preposition before it asks for: `на тысячу пятьсот`."""
    is_thousand = said is not None and _THOUSAND.match(said) and dates.word_before(found).lower() in _WITH_ACCUSATIVE
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
