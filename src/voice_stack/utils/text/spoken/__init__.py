"""Numbers, dates, amounts, addresses and abbreviations in words, in the languages that have a grammar here."""

import functools
import re
from collections.abc import Callable, Sequence

from babel import Locale, localedata

from voice_stack.utils.language import find_language, find_region
from voice_stack.utils.text.spoken import (
    addresses,
    amounts,
    dates,
    fractions,
    imperial,
    names,
    prices,
    roman,
    scaled,
    words,
)
from voice_stack.utils.text.spoken.grammar import Grammar
from voice_stack.utils.text.spoken.languages import GRAMMARS, en
from voice_stack.utils.text.spoken.spans import Reader, ReadText, Span, fill, read_out

_GrammarReader = Callable[[re.Match[str], Grammar], str | None]


@functools.cache
def _rules(grammar: Grammar) -> tuple[tuple[re.Pattern[str], Reader], ...]:
    """What is looked for, in order: what an earlier one has found is hidden from the later ones."""
    table: tuple[tuple[re.Pattern[str] | None, _GrammarReader], ...] = (
        (addresses.EMAIL, addresses.read_address),
        (addresses.WEB, addresses.read_address),
        (names.FILE, addresses.read_address),
        (names.TAG, names.read_tag),
        (imperial.FEET_AND_INCHES if grammar.code == "en" else None, imperial.read_feet_and_inches),
        (imperial.INCHES if grammar.code == "en" else None, imperial.read_inches),
        (dates.ISO_DATE, dates.read_iso_date),
        (dates.NUMERIC_DATE, dates.read_numeric_date),
        (dates.ENGLISH_DAY if grammar.code == "en" else None, dates.read_english_day),
        (dates.short_date_pattern(grammar), dates.read_short_date),
        (words.PHONE, words.read_phone),
        (dates.clock_pattern(grammar), dates.read_clock),
        (dates.day_of_month_pattern(grammar), dates.read_day_of_month),
        (words.year_pattern(grammar), words.read_year),
        (words.DECADE if grammar.code == "en" else None, words.read_decade),
        (words.ordinal_pattern(grammar), words.read_ordinal),
        (amounts.PERCENT_AHEAD if grammar.code == "tr" else None, amounts.read_percent_ahead),
        (prices.price_range_pattern(grammar), prices.read_price_range),
        (prices.CENTS, prices.read_cents),
        (amounts.money_pattern(grammar), amounts.read_money),
        (prices.PER if grammar.code == "en" else None, prices.read_per),
        (amounts.measure_pattern(grammar), amounts.read_measure),
        (words.abbreviation_pattern(grammar), words.read_abbreviation),
        (words.GERMAN_STREET if grammar.code == "de" else None, words.read_street),
        (words.counter_pattern(grammar), words.read_counter),
        (fractions.FRACTION, fractions.read_fraction),
        (scaled.scaled_pattern(grammar), scaled.read_scaled),
        (scaled.TIMES if grammar.code == "en" else None, scaled.read_times),
        (roman.ROMAN, roman.read_roman),
        (words.numeral_pattern(grammar), words.read_numeral),
        (words.SIGN, words.read_sign),
        (scaled.AHEAD, scaled.read_ahead),
    )
    return tuple((pattern, _bind(reader, grammar)) for pattern, reader in table if pattern is not None)


def _bind(reader: _GrammarReader, grammar: Grammar) -> Reader:
    return lambda found: reader(found, grammar)


def find_grammar(language: str) -> Grammar | None:
    """The grammar of a language by any of its names, with or without a region, or None where there is none."""
    found = find_language(language)
    if found and found.code == "en" and _puts_day_first(find_region(language)):
        return en.DAY_FIRST
    return GRAMMARS.get(found.code) if found else None


@functools.cache
def _puts_day_first(region: str) -> bool:
    """Whether English dates are written so in a country, by CLDR; not if it is unknown."""
    if not region or not localedata.exists(f"en_{region}"):
        return False
    pattern = Locale("en", region).date_formats["short"].pattern
    return str(pattern).index("d") < str(pattern).index("M")


def read_spans(text: str, language: str, spans: Sequence[Span] = ()) -> ReadText:
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


def speak_out(text: str, language: str) -> str:
    """Write in words what is not written as it is spoken: numbers, dates, times, prices, measures, addresses.

    Takes time in proportion to the text, whatever it is.

    Args:
        text: Normalised text (`normalise`), best one sentence.
        language: Code or name of its language; a text in a language without a grammar is left as it is.
    """
    return read_spans(text, language).text
