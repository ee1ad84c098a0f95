"""Languages: one table, and look-ups by any usual name."""

import re
from dataclasses import dataclass

from voice_stack.core.errors import UnsupportedValueError


@dataclass(frozen=True)
class Language:
    """One language that Whisper knows.

    Attributes:
        code: Whisper's code; ISO 639-1 where that has one, but `jw` for Javanese.
        alpha3: ISO 639-3 code, which is ISO 639-2/T where that has one.
        name: Whisper's English name, lower-case.
        aliases: Further codes and English names: ISO 639-2/B, withdrawn codes, codes of the main variety, other names.
    """

    code: str
    alpha3: str
    name: str
    aliases: tuple[str, ...] = ()


_TABLE = (
    Language("af", "afr", "afrikaans"),
    Language("am", "amh", "amharic"),
    Language("ar", "ara", "arabic", ("arb", "modern standard arabic")),
    Language("as", "asm", "assamese"),
    Language("az", "aze", "azerbaijani", ("azj", "azeri")),
    Language("ba", "bak", "bashkir"),
    Language("be", "bel", "belarusian", ("byelorussian", "belorussian")),
    Language("bg", "bul", "bulgarian"),
    Language("bn", "ben", "bengali", ("bangla",)),
    Language("bo", "bod", "tibetan", ("tib",)),
    Language("br", "bre", "breton"),
    Language("bs", "bos", "bosnian"),
    Language("ca", "cat", "catalan", ("valencian",)),
    Language("cs", "ces", "czech", ("cze",)),
    Language("cy", "cym", "welsh", ("wel",)),
    Language("da", "dan", "danish"),
    Language("de", "deu", "german", ("ger",)),
    Language("el", "ell", "greek", ("gre", "modern greek")),
    Language("en", "eng", "english"),
    Language("es", "spa", "spanish", ("castilian",)),
    Language("et", "est", "estonian", ("ekk",)),
    Language("eu", "eus", "basque", ("baq",)),
    Language("fa", "fas", "persian", ("per", "pes", "prs", "farsi", "dari")),
    Language("fi", "fin", "finnish"),
    Language("fo", "fao", "faroese"),
    Language("fr", "fra", "french", ("fre",)),
    Language("gl", "glg", "galician"),
    Language("gu", "guj", "gujarati"),
    Language("ha", "hau", "hausa"),
    Language("haw", "haw", "hawaiian"),
    Language("he", "heb", "hebrew", ("iw",)),
    Language("hi", "hin", "hindi"),
    Language("hr", "hrv", "croatian", ("scr",)),
    Language("ht", "hat", "haitian creole", ("haitian",)),
    Language("hu", "hun", "hungarian", ("magyar",)),
    Language("hy", "hye", "armenian", ("arm",)),
    Language("id", "ind", "indonesian", ("in", "bahasa indonesia")),
    Language("is", "isl", "icelandic", ("ice",)),
    Language("it", "ita", "italian"),
    Language("ja", "jpn", "japanese"),
    Language("jw", "jav", "javanese", ("jv",)),
    Language("ka", "kat", "georgian", ("geo",)),
    Language("kk", "kaz", "kazakh"),
    Language("km", "khm", "khmer", ("central khmer", "cambodian")),
    Language("kn", "kan", "kannada"),
    Language("ko", "kor", "korean"),
    Language("la", "lat", "latin"),
    Language("lb", "ltz", "luxembourgish", ("letzeburgesch",)),
    Language("ln", "lin", "lingala"),
    Language("lo", "lao", "lao", ("laotian",)),
    Language("lt", "lit", "lithuanian"),
    Language("lv", "lav", "latvian", ("lvs",)),
    Language("mg", "mlg", "malagasy", ("plt",)),
    Language("mi", "mri", "maori", ("mao", "māori")),
    Language("mk", "mkd", "macedonian", ("mac",)),
    Language("ml", "mal", "malayalam"),
    Language("mn", "mon", "mongolian", ("khk",)),
    Language("mr", "mar", "marathi"),
    Language("ms", "msa", "malay", ("may", "zsm", "bahasa melayu", "bahasa malaysia")),
    Language("mt", "mlt", "maltese"),
    Language("my", "mya", "myanmar", ("bur", "burmese")),
    Language("ne", "nep", "nepali", ("npi",)),
    Language("nl", "nld", "dutch", ("dut", "flemish")),
    Language("nn", "nno", "nynorsk", ("norwegian nynorsk",)),
    Language("no", "nor", "norwegian", ("nb", "nob", "bokmål", "bokmal", "norwegian bokmål", "norwegian bokmal")),
    Language("oc", "oci", "occitan", ("provençal", "provencal")),
    Language("pa", "pan", "punjabi", ("panjabi",)),
    Language("pl", "pol", "polish"),
    Language("ps", "pus", "pashto", ("pbt", "pbu", "pst", "pushto")),
    Language("pt", "por", "portuguese", ("brazilian portuguese",)),
    Language("ro", "ron", "romanian", ("rum", "mo", "mol", "moldavian", "moldovan")),
    Language("ru", "rus", "russian"),
    Language("sa", "san", "sanskrit"),
    Language("sd", "snd", "sindhi"),
    Language("si", "sin", "sinhala", ("sinhalese",)),
    Language("sk", "slk", "slovak", ("slo",)),
    Language("sl", "slv", "slovenian", ("slovene",)),
    Language("sn", "sna", "shona"),
    Language("so", "som", "somali"),
    Language("sq", "sqi", "albanian", ("alb", "als")),
    Language("sr", "srp", "serbian", ("scc", "sh", "hbs", "serbo-croatian", "montenegrin")),
    Language("su", "sun", "sundanese"),
    Language("sv", "swe", "swedish"),
    Language("sw", "swa", "swahili", ("swh", "kiswahili")),
    Language("ta", "tam", "tamil"),
    Language("te", "tel", "telugu"),
    Language("tg", "tgk", "tajik"),
    Language("th", "tha", "thai"),
    Language("tk", "tuk", "turkmen"),
    Language("tl", "tgl", "tagalog", ("fil", "filipino", "pilipino")),
    Language("tr", "tur", "turkish"),
    Language("tt", "tat", "tatar"),
    Language("uk", "ukr", "ukrainian"),
    Language("ur", "urd", "urdu"),
    Language("uz", "uzb", "uzbek", ("uzn",)),
    Language("vi", "vie", "vietnamese"),
    Language("yi", "yid", "yiddish", ("ji", "ydd")),
    Language("yo", "yor", "yoruba"),
    Language("yue", "yue", "cantonese", ("zh-yue", "yue chinese")),
    Language("zh", "zho", "chinese", ("chi", "cmn", "mandarin", "mandarin chinese")),
)

LANGUAGES: dict[str, Language] = {language.code: language for language in _TABLE}
"""Every language Whisper knows, by Whisper's code."""


def _key(text: str) -> str:
    return re.sub(r"[\s_-]+", "-", text.strip().casefold())


_BY_KEY = {
    _key(spelling): language
    for language in _TABLE
    for spelling in (language.code, language.alpha3, language.name, *language.aliases)
}

_REGIONAL = re.compile(r"([a-z]{2,3})(?:-[a-z0-9]{1,8})+(?:[.@][a-z0-9.@=-]*)?")
"""A language tag with script, region or variant, and what POSIX locales add: `de-at.utf-8@euro`."""


def find_language(text: str) -> Language | None:
    """Find the language a user means.

    Args:
        text: In any case: a Whisper, ISO 639-1, 639-2 (B or T) or 639-3 code, an English name, a withdrawn code,
            or a code with script or region (`en-US`, `pt_BR`, `sr-Latn`, `de_AT.UTF-8`).

    Returns:
        The language, or None if Whisper has none of that name.
    """
    key = _key(text)
    if key in _BY_KEY:
        return _BY_KEY[key]
    regional = _REGIONAL.fullmatch(key)
    return _BY_KEY.get(regional[1]) if regional else None


def find_code(text: str) -> str:
    """Whisper's code of a language, which may have a region; the text itself if Whisper has none of that name."""
    known = find_language(text)
    return known.code if known else text


def find_region(text: str) -> str:
    """The country in a language tag (`GB` in `en-GB` or `en_GB.UTF-8`), in capitals; empty if it has none."""
    key = _key(text)
    if _REGIONAL.fullmatch(key) is None:
        return ""
    subtags = re.split(r"[.@]", key, maxsplit=1)[0].split("-")[1:]
    return next((subtag.upper() for subtag in subtags if len(subtag) == 2 and subtag.isalpha()), "")


_TO_BE_FOUND = frozenset({"", "auto", "automatic", "auto-detect", "autodetect", "detect", "und", "unknown"})
"""How clients say that the language is to be found, besides leaving it out."""


def is_to_be_found(text: str) -> bool:
    """Whether these are words for "find the language"."""
    return _key(text) in _TO_BE_FOUND


def read_language(text: str | None, *, param: str = "language") -> Language | None:
    """The language a request names; None where it is to be found. Arguments and errors as for `require_language`."""
    return None if text is None or is_to_be_found(text) else require_language(text, param=param)


_CHARACTERS = {
    "hans": "t2s", "cn": "t2s", "sg": "t2s", "my": "t2s", "tw": "s2tw", "hk": "s2hk", "mo": "s2hk", "hant": "s2t"
}  # fmt: skip
"""OpenCC's way by subtag; an earlier one says more."""
_CHINESE_NAMES = frozenset({"zh", "zho", "chi", "cmn", "yue", "chinese", "mandarin", "cantonese"})


def find_characters(*languages: str | None) -> str | None:
    """Which characters the first Chinese among some languages asks for, by OpenCC's name of the way to them.

    `zh-CN`, `zh-SG` and `zh-Hans` mean simplified ones, `zh-TW`, `zh-HK` and `zh-Hant` traditional ones as written
    there.

    Returns:
        None where no Chinese is named, or nothing is said of its characters.
    """
    for language in languages:
        name, *subtags = re.split(r"[\s_.@-]+", (language or "").strip().casefold())
        if name in _CHINESE_NAMES:
            return next((way for tag, way in _CHARACTERS.items() if tag in subtags), None)
    return None


def require_language(text: str, *, param: str = "language") -> Language:
    """Find the language a user means, or refuse.

    Args:
        text: As for `find_language`.
        param: Name of the request field that holds it.

    Raises:
        UnsupportedValueError: No language has that name; the message lists the valid codes.
    """
    language = find_language(text)
    if language is None:
        shown = text if len(text) <= 40 else f"{text[:40]}..."
        message = f"Unknown {param} {shown!r}. Use one of these codes, or an English name: {', '.join(LANGUAGES)}."
        raise UnsupportedValueError(message, param=param)
    return language
