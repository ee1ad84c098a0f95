"""Numbers in brackets: which of them name a source, and are silent."""

import re

STOPS = ".,;:!?)\n。，、；：！？）"
"""What stands behind the last word of a clause."""
_GOES_ON = re.compile(r"[(\[{=_]|:[^\s]|[0-9A-Za-z]")
_NO_CITATION_AFTER = frozenset(str.split(
    "press type hit enter choose select pick option button key step item line index figure fig table chapter section "
    "page part question answer level version number no room player team group class rule appendix interval range "
    "list array vector set value values return returns print prints output outputs give gives is are was be equal "
    "equals from between drücke wähle taste option kapitel abbildung tabelle seite frage intervall liste ist sind "
    "appuyez tapez choisissez chapitre tableau intervalle est sont pulse elija capítulo figura tabla página es son"
))  # fmt: skip
_NO_WORD = re.compile(r"[^\w.]+")
_BEGINS_ENTRY = re.compile(r"\s*(?:[-*+•>|]\s*|\d{1,3}[.)]\s*)*")
_PREPOSITIONS = frozenset(str.split("in by of from von aus bei dans par de en por"))
_CODE_WORD = re.compile(r"\w|\w*[_\d]\w*|[a-z]+[A-Z]\w*|[\w.]+\.\w+|arr|args?|argv|cols?|vec|buf|dict|str|nums?")
_ARRAY_WORD = re.compile(
    r"array|list|data|items?|values?|rows?|matrix|vector|buffer|map|text|results?|numbers|names?|lines|tokens|words|parts|"
    r"input|output|elements?|entries|keys|users?|fruits|colou?rs"
)
SURELY_CITED = re.compile(
    r"[^\W\d_][)\"'”*]{0,3}(?:[.,!?]\[\d{1,3}\]| \[\d{1,3}\](?=[.,\n]|$)|\[\d{1,3}\]\[\d{1,3}\]\.)"
)
"""A source where an index cannot stand: whoever cites so once does it elsewhere."""


def is_citation(mark: str, line: str, behind: str, *, cites: bool) -> bool:
    """Whether numbers in brackets are a source, and not an index, a key, an interval or the label of an entry.

    Args:
        mark: The numbers, with their brackets; several behind each other are one.
        line: What stands before it in its line.
        behind: The two characters behind it.
        cites: The text has citations that are sure.
    """
    groups = [[int(number) for number in re.findall(r"\d+", group)] for group in mark.split("]")]
    is_in_order = all(low > 0 and numbers == sorted(set(numbers)) for numbers in groups for low in numbers[:1])
    if not is_in_order or not line.strip() or _GOES_ON.match(behind):
        return False
    before, word = line.rstrip(" "), _NO_WORD.split(line.rstrip(" "))[-1]
    if re.match(r" [=<>+*/]", behind) or before[-1] in "=:<>({[+/-" or line.endswith(", "):
        return False
    if line.endswith(" ") and word.rstrip(".").lower() in _NO_CITATION_AFTER:
        return False
    if line.endswith(" ") and word.lower() in _PREPOSITIONS and behind[:1] not in {"", *".!?\n"}:
        return False  # there it is a part of the sentence
    if line.endswith(" "):
        return not _BEGINS_ENTRY.fullmatch(line)
    if not line[-1].isalnum():
        return line[-1] in ".,;:!?)\"'”’»*_%"
    is_stopped = behind[:1] in {"", *STOPS}
    is_likely = cites or ((is_stopped or "][" in mark) and not _ARRAY_WORD.fullmatch(word))
    return is_likely and not _CODE_WORD.fullmatch(word)
