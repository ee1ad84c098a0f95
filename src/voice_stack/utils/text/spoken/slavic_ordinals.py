"""Polish and Czech ordinals, which CLDR's rules lack: as dates, years and times of day need them."""

import re

from voice_stack.utils.text.spoken.numbers import spell

_POLISH = """
    pierwszego drugiego trzeciego czwartego piątego szóstego siódmego ósmego dziewiątego dziesiątego jedenastego
    dwunastego trzynastego czternastego piętnastego szesnastego siedemnastego osiemnastego dziewiętnastego
    dwudziestego trzydziestego czterdziestego pięćdziesiątego sześćdziesiątego siedemdziesiątego osiemdziesiątego
    dziewięćdziesiątego
"""
_CZECH = """
    prvního druhého třetího čtvrtého pátého šestého sedmého osmého devátého desátého jedenáctého dvanáctého třináctého
    čtrnáctého patnáctého šestnáctého sedmnáctého osmnáctého devatenáctého dvacátého třicátého čtyřicátého padesátého
    šedesátého sedmdesátého osmdesátého devadesátého
"""
_GENITIVES = {"pl": _POLISH.split(), "cs": _CZECH.split()}


def spell_genitive(number: int, code: str) -> str:
    """The ordinal in the genitive, masculine: `piątego`, `tysiąc dziewięćset osiemdziesiątego czwartego`.

    Hundreds and thousands before the last two digits stay cardinals, as they do in speech; a number without such
    digits is read as a cardinal, but for the year 2000.
    """
    if number == 2000 and code == "pl":
        return "dwutysięcznego"
    ahead, behind = number // 100 * 100, number % 100
    if not behind:
        return spell(number, code)
    words = _GENITIVES[code]
    tens, units = divmod(behind, 10)
    last = [words[behind - 1]] if behind < 20 else [words[17 + tens], *([words[units - 1]] if units else [])]
    return " ".join([*([spell(ahead, code)] if ahead else []), *last])


def spell_polish_locative(year: int) -> str:
    """A year after "in": `tysiąc dziewięćset osiemdziesiątym czwartym`."""
    return re.sub(r"iego\b", "im", spell_genitive(year, "pl")).replace("ego", "ym")


_ASKS_FOR_CASE = frozenset(["o", "po", "od", "do", "przed", "około", "godz."])


def spell_polish_hour(hour: int, preposition: str) -> str:
    """An hour of the day, 1 to 24: `czternasta`, `dwudziesta trzecia`; `czternastej` after a preposition."""
    feminine = re.sub(r"(?<!c)iego\b", "a", spell_genitive(hour, "pl")).replace("ciego", "cia").replace("ego", "a")
    if preposition not in _ASKS_FOR_CASE:
        return feminine
    return re.sub(r"(?:(?<=g)a|a)\b", "ej", feminine).replace("gej", "giej")
