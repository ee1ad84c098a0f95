"""Dates and times of day."""

import re
from collections.abc import Mapping

from babel.dates import get_month_names

from voice_stack.utils.text.spoken.amounts import read_unit
from voice_stack.utils.text.spoken.grammar import WORD_EDGE_BEFORE, Grammar, kept_stop, word_before, words
from voice_stack.utils.text.spoken.numbers import CARDINAL, spell, spell_decimal, spell_plain, spell_year

ISO_DATE = re.compile(
    r"(?<![\w-])(\d{4})-(\d\d)-(\d\d)"
    r"(?:(?![\w-])|[T ](\d\d):([0-5]\d)(?::([0-5]\d)(?:[.,]\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?(?![\w:-]))"
)
NUMERIC_DATE = re.compile(
    r"(?<![\w./-])(\d{1,4})(\. ?|[/-])(\d{1,2})\2(\d{4}|\d{1,2})(?![\w/-]|\.\d)"
    r"(?:\.| (?:[rг]\.|(?:roku|года)(?!\w)))?(?! ?[$€£%])"
)
ENGLISH_DAY = re.compile(r"(?<=[\w,] )(\d{1,2})/(\d{1,2})(?![\w/]|[.,]\d)")
_EDGE = WORD_EDGE_BEFORE + r"(?<![.,:])"
SHORT_DATE = re.compile(rf"{_EDGE}(\d{{1,2}})\.(\d{{1,2}})(?:\.(?!\w)|(?=[,;)]|$))")
_ON_DAYS = words("on mon tue wed thu fri sat sun")
_LAST_MONTH, _LAST_DAY, _LAST_HOUR = 12, 31, 24
_FIRST_SHORT_YEAR = 69


def read_iso_date(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a date that `ISO_DATE` found."""
    year, month, day = map(int, found.group(1, 2, 3))
    date = _read_date(year, month, day, found, grammar)
    if date is None or found[4] is None:
        return date
    time = _read_time(int(found[4]), int(found[5]), "", "", grammar) if int(found[4]) <= _LAST_HOUR else ""
    if not time or (found[7] or "Z") != "Z":
        return None
    utc = grammar.blank.join("UTC") if found[7] else ""
    return grammar.join(date + ("," if grammar.is_spaced else ""), time, _read_seconds(found[6], grammar), utc)


def _read_seconds(seconds: str | None, grammar: Grammar) -> str:
    """`and one second`, with the and only where there is a blank around it; empty if there are none."""
    if not seconds or seconds == "00":
        return ""
    said = read_unit(str(int(seconds)), "", "s", grammar) or spell(int(seconds), grammar.code)
    return f"{grammar.signs['&']} {said}" if grammar.is_spaced else said


def read_numeric_date(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a date that `NUMERIC_DATE` found, if it is one in the language's order.

    A year of two digits (69 to 99 are of the last century, as POSIX has it) makes a date only behind slashes, or where
    day and month have two digits as well: `1.2.10` is a version.
    """
    first, mark, second, third = found[1], found[2][0], found[3], found[4]
    if len(first) == 4:
        return _read_date(int(first), int(second), int(third), found, grammar)
    is_dated = grammar.code == "de" and word_before(found).lower() in _GERMAN_DATED
    is_short = len(third) == 2 and (mark == "/" or len(first) == len(second) == 2 or is_dated)
    if not (len(third) == 4 or is_short) or len(first) == 3 or grammar.date_order == "ymd":
        return None
    day, month, year = int(first), int(second), int(third)
    if (grammar.date_order == "mdy" and mark != "." and day <= _LAST_MONTH) or month > _LAST_MONTH:
        day, month = month, day
    if is_short:
        year += 1900 if year >= _FIRST_SHORT_YEAR else 2000
    return _read_date(year, month, day, found, grammar)


def read_short_date(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a German date without its year that `SHORT_DATE` found, where the word before it goes with a date."""
    day, month = map(int, found.groups())
    before = word_before(found)
    if not found[0].endswith(".") and before.lower() not in _GERMAN_DATED:
        return None
    is_dated = before in grammar.ordinal_contexts or _GERMAN_WEEKDAY.fullmatch(before)
    if not is_dated or not _is_date(day, month):
        return None
    return f"{_read_day(day, found, grammar)} {_months(grammar)[month]}" + kept_stop(found)


_GERMAN_DATED = words("am vom zum bis seit ab dem")
_GERMAN_WEEKDAY = re.compile(r"\(?(?:(?:Mo|Di|Mi|Do|Fr|Sa|So)\.,?|(?:Mon|Diens|Donners|Frei|Sams|Sonn)tag,|Mittwoch,)")


def read_english_day(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a day and a month that `ENGLISH_DAY` found, in the order of the country."""
    first, second = map(int, found.groups())
    if word_before(found).lower().rstrip(",.")[:3] not in _ON_DAYS:
        return None
    day, month = (second, first) if grammar.date_order == "mdy" else (first, second)
    if not _is_date(day, month):
        return None
    date = grammar.date.removesuffix(", {year}")
    return date.format(day=_read_day(day, found, grammar), month=_months(grammar)[month])


def _read_date(year: int, month: int, day: int, found: re.Match[str], grammar: Grammar) -> str | None:
    if not _is_date(day, month):
        return None
    word = {"ru": "года", "pl": "roku"}.get(grammar.code)
    said = f"{spell(year, grammar.code, grammar.years[word])} {word}" if word else spell_year(year, grammar)
    # Two numbers of months are irregular in Korean.
    m = (grammar.code == "ko" and {6: "유", 10: "시"}.get(month)) or spell(month, grammar.code)
    return grammar.date.format(day=_read_day(day, found, grammar), month=_months(grammar)[month], year=said, m=m)


def _is_date(day: int, month: int) -> bool:
    return 1 <= month <= _LAST_MONTH and 1 <= day <= _LAST_DAY


def _months(grammar: Grammar) -> Mapping[int, str]:
    return get_month_names("wide", locale=grammar.code)


def _read_day(day: int, found: re.Match[str], grammar: Grammar) -> str:
    """Read a day of the month, in the form that the word before it asks for."""
    if grammar.day == "hungarian":
        return _hungarian_day(day, "")
    if grammar.day == "first":
        return grammar.first_day if day == 1 else spell(day, grammar.code)
    return spell(day, grammar.code, grammar.ordinal_contexts.get(word_before(found), grammar.day or CARDINAL))


def _hungarian_day(day: int, ending: str) -> str:
    """`ötödike`, and with an ending that was written behind the number `ötödikén`."""
    ordinal = spell(day, "hu", "spellout-ordinal")
    low = re.search("[oa]dik$", ordinal) is not None
    stem = "elsej" if day == 1 else ordinal
    ending = ending.removeprefix("j")
    if not ending:
        return stem + ("a" if low else "e")
    return stem + ending if ending[0] in "aáeéi" else stem + ("á" if low else "é") + ending


def day_of_month_pattern(grammar: Grammar) -> re.Pattern[str] | None:
    """A day beside the name of its month, in languages where that day is no plain number."""
    if not grammar.day:
        return None
    names = "|".join(map(re.escape, _months(grammar).values()))
    if grammar.code == "en":
        names += r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?"
        day = r"(\d{1,2})(?:st|nd|rd|th)?(?![\w.,:%]\d|\w)"
        until = r"(?:[-–](?P<until>\d{1,2})(?:st|nd|rd|th)?(?![\w%–-]|[.,:]\d))?"
        since = r"(?:(?P<since>\d{1,2})(?:st|nd|rd|th)?[-–])?"
        return re.compile(
            rf"(?<!\w)({names}) {day}{until}|{_EDGE}{since}(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?({names})(?!\w)"
        )
    if grammar.day == "hungarian":
        return re.compile(rf"(?:{_EDGE}(\d{{4}})\. )?(?<!\w)({names}) (\d{{1,2}})(?:\.|-(\w{{1,4}}))(?!\w)")
    after = " de " if grammar.date.startswith("{day} de") else " "
    return re.compile(rf"{_EDGE}(\d{{1,2}})(?:\.|er|º|°)?{after}({names})(?!\w)", re.IGNORECASE)


def read_day_of_month(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read what `day_of_month_pattern` found."""
    if grammar.day == "hungarian":
        year, month, number, ending = found.groups()
        day = _hungarian_day(int(number), ending or "") if 1 <= int(number) <= _LAST_DAY else number
        return grammar.join(year and spell_year(int(year), grammar), month, day)
    if grammar.code == "en":
        return _read_english_days(found, grammar)
    number, month = found.groups()
    if not 1 <= int(number) <= _LAST_DAY:
        return None
    return f"{_read_day(int(number), found, grammar)}{' de ' if ' de ' in found[0] else ' '}{month}"


def _read_english_days(found: re.Match[str], grammar: Grammar) -> str | None:
    """`May fifth`, `the fifth of May`, `May fifth to tenth`, `the fifth to the tenth of May`."""
    numbers = [int(group) for group in found.groups() if group and group.isdecimal()]
    month = next(group for group in found.groups() if group and not group.isdecimal()).rstrip(".")
    before = word_before(found).lower()
    # "In May 20 people came": of a month, people say on which day.
    is_counted = found[1] and before == "in" and re.match(r" [a-z]", found.string[found.end() :][:2])
    if is_counted or numbers[0] < 1 or numbers[-1] > _LAST_DAY or numbers != sorted(set(numbers)):
        return None
    month = next(name for name in _months(grammar).values() if name.startswith(month))
    days = [_read_day(number, found, grammar) for number in numbers]
    if found[1]:
        return f"{month} {' to '.join(days)}"
    return f"{'' if before == 'the' else 'the '}{' to the '.join(days)} of {month}"


def clock_pattern(grammar: Grammar) -> re.Pattern[str]:
    """A time of day: hours and minutes, perhaps with seconds, halves of the day and the word for the hour."""
    mark = grammar.clock.get("mark")
    marked = rf"|{_EDGE}(\d{{1,2}}) ?{mark} ?([0-5]\d)?(?!\w)" if mark else r"|(?!)()()"
    half = r"(?: ?([ap])\.?m\b\.?)" if "half" in grammar.clock else "(?!)()"
    halved = rf"|{_EDGE}(\d{{1,2}})(?:\.([0-5]\d))?{half}"
    behind = rf"(?:(?:{grammar.after_clock})(?!\w))" if grammar.after_clock else "(?!)"
    dotted = rf"|{_EDGE}(\d{{1,2}})\.([0-5]\d){behind}" if grammar.after_clock else r"|(?!)()()"
    usual = rf"{_EDGE}(\d{{1,2}}):([0-5]\d)(?::([0-5]\d))?(?![\d:]|[.,]\d)(?:{half}|{behind})?"
    return re.compile(usual + marked + halved + dotted, re.IGNORECASE)


def read_clock(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a time that `clock_pattern` found."""
    h1, m1, seconds, half1, h2, m2, h3, m3, half3, h4, m4 = found.groups()
    hour, minute, half = int(h1 or h2 or h3 or h4), int(m1 or m2 or m3 or m4 or 0), (half1 or half3 or "").lower()
    before = word_before(found)
    if hour > _LAST_HOUR or (half and hour > _LAST_HALF_HOUR):
        return None
    is_alone = not half and ":" in found[0] and not found[0].endswith(tuple("Uur时시時"))
    if is_alone and minute and _BOOKS.fullmatch(before.lstrip("([")):
        return grammar.join(spell(hour, grammar.code), spell(minute, grammar.code))
    if seconds and not (half or before.lower() in _AT or found[0][-1].isalpha()):
        # The time that something took is as likely.
        pair = _read_time(hour, minute, "", "", grammar) if grammar.code == "en" and minute else None
        return pair and f"{pair} {'oh ' if int(seconds) < _TWO_DIGITS else ''}{spell(int(seconds), 'en')}"
    behind = _read_seconds(seconds, grammar)
    if half and grammar.code == "en" and minute and behind:
        half, behind = "", f"{behind} {grammar.clock[half + 'm']}"
    spoken = _read_time(hour, minute, half, before.lower(), grammar)
    return " ".join(filter(None, (spoken, behind))) + kept_stop(found)


_LAST_HALF_HOUR, _TWO_DIGITS = 12, 10
_AT = frozenset(str.split("at by until um bis ab las a à alle ore às o v ve в om kl. klo"))
_BOOKS = re.compile(
    r"[1-3]?(?:Gen[eè]se?|Génesis|Genesis|Exod[ue]s?|Éxodo|L[eé]v[ií]ti\w*|Num(?:eri|bers)|Nombres|Números|D[eé]ut\w+|"
    r"Jos[hu]\w*|Juges|Judges|Richter|Ruth|Sam\w*|Rois|Kings|Könige|Reyes|Chron\w*|Job|Hiob|Ps(?:\.|alm\w*|aume\w*)|"
    r"Salm[oi]s?|Prov\w*|Sprüche|[EÉ]ccl\w*|[EÉI]sa[ïijíy]\w*|Jes(?:aja|\.)|J[eé]r[eé]m\w*|Ger[ei]m\w*|[EÉ]z[eé][ck]\w*|"
    r"Daniel\w?|Os[eé]\w*|Joel|Amos|Jonas?|Mi[cq]\w*|Mal(?:achi|eachi|aquías)|Mat[th]\w*|Mateo|Mateus|Matteo|Mar[ck]\w{0,2}|"
    r"Marcos|Lu[ck](?:as|e|\.)?|Luca|J(?:ohannes|oh\.|ean|uan|oão|ohn)|Giovanni|Jan|Janův|Ap(?:g|ostel\w*)|Acts|Actes|Hechos|"
    r"Atos|Atti|R[oö]m(?:er|ans|anos|ains|ani|\.)|[CK]or\w*|Gal\w*|Gál\w*|[EÉ]ph?\w*|Ef\w*|Phil\w*|Fil\w*|[CK]ol\w*|"
    r"T[hi]\w*|Tit\w*|H[eé]br\w*|Eb\w*|Ja[ck]\w*|Tiago|Santiago|Pierre|Pedro|Petr\w*|Jud[ea]s?|"
    r"Dn|Ne|Jn|Mt|Mc|Lc|Rm|Gn|Lv|Nb|Dt|Jg|Ez|Ap|Ps|Is|Apoc\w*|Offenbarung|Offb|Revelation|Coran|Corán|Quran|Sur[ea]|Surah|Ев\w*|Мф|Мк|Лк|Ин)\.?"
)


LAP = re.compile(r"(?<![\w.,:])(\d{1,2}):([0-5]\d)[.,](\d{1,3})(?![\w:]|[.,]\d| ?[Mm]in)")
DURATION = re.compile(
    r"(?<![\w.,:])(?:(\d{1,3}) ?h ?)?(\d{1,3})(?:m(?:in)?| min)(?: ?(\d{1,3}) ?s(?:(\d{3})(?!\d))?)?(?!\w)"
)


def read_lap(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read minutes and seconds with decimals that `LAP` found."""
    if len(found[3]) == 3 and found[0][-4] in grammar.groups:
        return None  # a scale, 1:25.000
    minutes = read_unit(str(int(found[1])), "", "min", grammar)
    return minutes and grammar.join(minutes, spell_decimal(str(int(found[2])), found[3], grammar))


def read_duration(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read hours, minutes and seconds that `DURATION` found; minutes alone may be meters."""
    hours, minutes, seconds, thousandths = found.groups()
    if not hours and not seconds:
        return None
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s"), (thousandths, "ms")]
    said = [read_unit(str(int(number)), "", unit, grammar) for number, unit in parts if number]
    return None if None in said else grammar.join(*said)


def _read_time(hour: int, minute: int, half: str, preposition: str, grammar: Grammar) -> str:
    shapes = grammar.clock
    h, m = _read_hour(hour, preposition, grammar), spell(minute, grammar.code)
    if half:
        shape = shapes["half"] if minute else shapes["full_half"]
        return shape.format(h=h, m=f"oh {m}" if minute < 10 else m, half=shapes[f"{half}m"])
    few = "full_few" if hour % 10 in (2, 3, 4) and hour not in (12, 13, 14) else "full"
    one = hour == 1 or (hour == 21 and grammar.code == "ru")
    if not minute:
        if not hour and "midnight" in shapes:
            return shapes["midnight"]
        return (shapes.get("full_one" if one else few) or shapes["full"]).format(h=h)
    usual = shapes.get("one", shapes["time"]) if one else shapes["time"]
    return (shapes.get("oh", usual) if minute < 10 else usual).format(h=h, m=m)


def _read_hour(hour: int, preposition: str, grammar: Grammar) -> str:
    rules = grammar.clock.get("rules", CARDINAL)
    if rules != "hour":
        return spell(hour, grammar.code, rules)
    if grammar.code == "ko":
        return spell(hour, "ko", "spellout-cardinal-native-attributive" if 0 < hour <= 12 else CARDINAL)
    form = "hour-oblique" if preposition in _ASKS_FOR_CASE else "hour"
    return spell(hour, grammar.code, form if hour else CARDINAL)


_ASKS_FOR_CASE = words("o po od do przed około ok. godz. godzinie godziny")


def read_decade(found: re.Match[str], grammar: Grammar) -> str | None:
    """Read an English decade that `DECADE` found: `1980s`, `'90s`, `her 30s`; `30s` may be seconds."""
    if len(found[1]) == 2 and found[0].endswith("'s") and word_before(found).lower() not in _BEFORE_DECADES:
        return found[0]  # "a friday night 80's"
    is_sure = found[0][0] == "'" or (len(found[1]) == 4 and "'" not in found[0])
    if not is_sure and word_before(found).lower().rstrip("-").rpartition("-")[2] not in _BEFORE_DECADES:
        is_noun = re.match(
            r" (?!and|or|at|in|on|to|for|of|per|from|by|until|then)[a-z]{3,}", found.string[found.end() :][:16]
        )
        return found[0] if is_noun and len(found[1]) == 2 else None
    *ahead, last = spell_plain(found[1], grammar).split(" ")
    return " ".join([*ahead, last[:-1] + "ies" if last.endswith("y") else last + "s"])


_MANY_BEHIND = re.compile(
    r" (?:[^\W\d_]+(?:ów|ов|ев|ей|ек)|osób|ludzi|lat|лет|человек|тонн|раз|razy)(?!\w)| ?(?:%|[₽$€]|км|руб|zł)"
)


def read_month_year(number: str, found: re.Match[str], grammar: Grammar) -> str | None:
    """Read a year behind the name of a month, an ordinal in the genitive in Polish and Russian; of people it counts."""
    if not grammar.months or not re.fullmatch(r"1\d{3}|20\d\d", number):
        return None
    if not re.fullmatch(grammar.months, word_before(found).lstrip('("'), re.IGNORECASE):
        return None
    if _MANY_BEHIND.match(found.string, found.end()):
        return found[0]
    ruleset = "genitive" if grammar.code == "pl" else "spellout-ordinal-masculine-genitive"
    return spell(int(number), grammar.code, ruleset)


_BEFORE_DECADES = words("the my your his her its our their early mid late low high upper")
DECADE = re.compile(r"(?<![\w.,])'?((?:1\d|20)?\d0)'?s(?!\w)")
