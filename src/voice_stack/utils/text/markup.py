"""What is not read aloud as it stands: what language models, web pages and SSML write around words.

One pass from left to right, in linear time: what opens is looked up in lists of what closes, and what stops at the next
mark of its own kind is never looked at twice. What may as well be text stays.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from html import unescape
from html.entities import html5
from typing import Literal

from voice_stack.utils.text.elements import CODE, ElementReader
from voice_stack.utils.text.formulas import (
    CARRIERS,
    MAX_CHARS,
    UnreadableFormulaError,
    carry,
    carry_emoji,
    is_formula,
)

Markup = Literal["auto", "plain"]
"""Whether markup is read as a person would, or as it stands."""
READABLE = ("code", "emoji")
"""What is left out unless it is asked for."""

THOUGHT_NAMES = ("think", "thinking", "thought", "reasoning")
"""Of the tags that language models write around their thoughts."""
_THOUGHT_NAME = "|".join(THOUGHT_NAMES)
_THOUGHT = re.compile(rf"(?i:<(/?)(?:{_THOUGHT_NAME})(?:\s[^<>]{{0,300}})?>)|\[(/?)THINK\]|◁(/?)think▷")
_FENCE_END = re.compile(r"^[ \t>]{0,12}(`{3,}|~{3,})[ \t]*$", re.MULTILINE)
_REFERENCE = re.compile(r"^ {0,3}\[([^\]\[\n^]{1,100})\]:[ \t]{1,9}<?(?:https?:|mailto:)\S+.*(?:\n|\Z)", re.MULTILINE)
_NO_THOUGHT = re.compile(r"\W{0,9}(?:and|or|und|oder|et|ou|y|o)?\W{0,9}[</[◁]{1,2}/?think", re.IGNORECASE)
_CHANNEL = re.compile("[a-z]{1,20}")
MARKUP = re.compile(
    r"[`~\\【◁\ue200]|<(?=[A-Za-z/!?|])|&(?=[#A-Za-z])|\$(?=\$?[^$\s])|\[(?=\[?[^\[\]\s])|:(?=//|contentReference)"
)
"""Where markup may begin; without any there is none."""
_NUMBERS = r"\[\d{1,3}(?:(?:,[ ]?|;[ ]?|-|–)\d{1,3}){0,30}\]"
# Each alternative is one group, the last that ends: its name is that of the method that reads it.
_TOKEN = re.compile(
    rf"""
      (?P<fence>(?P<bar>`{{3,}}+|~{{3,}}+)(?P<label>[^\n`]{{0,200}})$\n?)
    | (?P<code>(?<!`)(?P<ticks>`{{1,2}}+)(?P<coded>[^`\n]++(?:\n[^`\n]++)*+)(?P=ticks)(?!`))
    | (?P<url>(?:(?<=http)|(?<=https))://[^\s<>"\])]{{1,2000}}+)
    | (?P<bracketed>\\[(\[])
    | (?P<environment>\\begin\{{(?P<name>(?:equation|align|aligned|gather|gathered|math|multline)\*?)\}})
    | (?P<macro>(?<![\w\\:/])\\[A-Za-z]{{2,12}}(?![A-Za-z\\]))
    | (?P<escape>\\[!-/:-@\[-`{{-~])
    | (?P<hidden><!--|<!\[CDATA\[|<[!?][A-Za-z][^<>]{{0,500}}>)
    | (?P<special><\|(?P<token>[a-z_]{{2,30}})\|>)
    | (?P<thought><(?:/?)(?:{_THOUGHT_NAME})(?:\s[^<>]{{0,300}})?>|\[/?THINK\]|◁/?think▷)
    | (?P<tag><(?P<slash>/?)(?P<element>[A-Za-z][\w:-]{{0,30}})
        (?P<attributes>(?:\s(?:[^<>"']++|"[^"<]{{0,1000}}+"|'[^'<]{{0,1000}}+')*+)?)(?P<empty>/?)>)
    | (?P<entity>&(?:\#[0-9]{{1,7}}|\#[xX][0-9A-Fa-f]{{1,6}}|[A-Za-z][A-Za-z0-9]{{1,31}});)
    | (?P<display>\$\$(?P<shown>[^$]{{1,2000}}+)\$\$)
    | (?P<inline>(?<![0-9A-Za-z_$])\$(?P<latex>[^$\n]{{1,600}}+)\$(?![0-9A-Za-z_$]))
    | (?P<note>\[\^[^\[\]\n\s]{{1,50}}\](?P<definition>:[ \t]?)?)
    | (?P<cited>\[{{1,2}}\d{{1,3}}\]{{1,2}}\([^()\s]{{1,1000}}\)|【[^【】\n]{{0,60}}†[^【】\n]{{0,60}}】
        |\ue200[^\ue200\ue201]{{0,300}}\ue201|:contentReference\[oaicite:\d{{1,4}}\]\{{index=\d{{1,4}}\}}
        |\[cite(?:_start|_end|:[ ]?[\d, ]{{1,80}})\])
    | (?P<numbers>{_NUMBERS}(?:(?:[-–]|,?[ ]?(?:(?:and|und|et|y|e|en|i|&)[ ])?){_NUMBERS})*+)
    | (?P<callout>\[!(?P<title>NOTE|TIP|IMPORTANT|WARNING|CAUTION)\])
    | (?P<linked>\[(?P<anchor>[^\[\]\n]{{1,300}})\]\[(?P<target>[^\[\]\n]{{0,100}})\])
    """,
    re.MULTILINE | re.VERBOSE | re.IGNORECASE,
)

_TEXT_LABELS = frozenset(["text", "txt", "plain", "plaintext", "markdown", "md", "prose", "quote", "poem", "email"])
_LANGUAGE = re.compile(r"[\w+#.{}=\" /-]{1,60}")
_STOPS = ".,;:!?)\n。，、；：！？）"
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
_MEASURED = re.compile(r"(?:°[CF]|\d (?:[mgshlLKVWA]|[kcm]m))$")
_ARRAY_WORD = re.compile(
    r"array|list|data|items?|values?|rows?|matrix|vector|buffer|map|text|results?|numbers|names?|lines|tokens|words|parts|"
    r"input|output|tables?|elements?|entries|keys|users?|fruits|colou?rs"
)
_SURELY_CITED = re.compile(
    r"[^\W\d_][)\"'”*]{0,3}(?:[.,!?]\[\d{1,3}\]| \[\d{1,3}\](?=[.,\n]|$)|\[\d{1,3}\]\[\d{1,3}\]\.)"
    r"|(?<!\w)[A-Z][a-z]{2,20}\[\d{1,3}\] [A-Z][a-z]{2,20}\[\d{1,3}\]"
)
"""A source where an index cannot stand: whoever cites so once does it elsewhere."""


@dataclass(frozen=True, slots=True)
class Unmarked:
    """A text without its markup.

    Attributes:
        text: With marks of pauses, and with the Markdown that `normalise` takes out.
        left_out: What of its content is left out, by name: `code`, `formulas`, `thoughts`.
    """

    text: str
    left_out: tuple[str, ...] = ()


def read_markup(text: str, reads: Collection[str] = ()) -> Unmarked:
    """Take out of a text what nobody reads aloud, and write in words or plain text what is read otherwise.

    Args:
        text: As a client wrote it.
        reads: What is read although it is usually left out: some of `READABLE`.
    """
    text = CARRIERS.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    reader = _Reader(carry_emoji(text) if "emoji" in reads else text, reads_code="code" in reads)
    return Unmarked(reader.read(), tuple(sorted(reader.left_out)))


class _Reader:
    """One pass over a text; each kind of mark has a method that gives what is said and where to go on."""

    def __init__(self, text: str, *, reads_code: bool) -> None:
        self.left_out: set[str] = set()
        self._reads_code = reads_code
        self._references = {found[1].casefold() for found in _REFERENCE.finditer(text)} if "]:" in text else set()
        self._text = _REFERENCE.sub("", text) if self._references else text
        self._ahead: dict[str, int] = {}
        self._fences = [(found.end(), found[1]) for found in _FENCE_END.finditer(self._text)]
        self._elements = ElementReader(self._text, self.left_out, reads_code=reads_code)
        self._thoughts, self._open_thoughts, self._lone_ends = _pair_thoughts(self._text)
        self._cites = _SURELY_CITED.search(self._text) is not None
        self._out: list[str] = []

    def read(self) -> str:
        """The text without markup."""
        at = start = 0
        while candidate := MARKUP.search(self._text, at):
            at = candidate.start() + 1
            if found := _TOKEN.match(self._text, candidate.start()):
                self._out.append(self._text[start : found.start()])
                said, at = self._read(found)
                self._out.append(said)
                start = at
        self._out.append(self._text[start:])
        return "".join(self._out)

    def _read(self, found: re.Match[str]) -> tuple[str, int]:
        return _READERS[found.lastgroup or ""](self, found) or (found[0][:1], found.start() + 1)

    def _next(self, mark: str, start: int) -> int:
        """Where a mark comes next; each stretch of the text is searched once. -1: nowhere."""
        at = self._ahead.get(mark, 0)
        if 0 <= at < start or mark not in self._ahead:
            at = self._ahead[mark] = self._text.find(mark, start)
        return at

    def _fence(self, found: re.Match[str]) -> tuple[str, int] | None:
        # A line of tildes alone stands between the scenes of a story.
        if self._line_before(found).strip(" \t>") or (found["bar"][0] == "~" and not found["label"].strip()):
            return None
        mark, label = found["bar"], found["label"].strip().lower()
        index = bisect_left(self._fences, (found.end(), ""))
        ends = (end for end, bar in self._fences[index : index + 99] if bar.startswith(mark))
        end = next(ends, None)
        name = label.split(" ")[0].lstrip("{.")
        if end is None:
            end = len(self._text)
            if not name or name in _TEXT_LABELS or self._reads_code or not _LANGUAGE.fullmatch(label):
                return "", found.end()
        block = self._text[found.end() : end].rstrip("`~ \t>").rstrip("\n")
        is_read = name in _TEXT_LABELS or (not name and not CODE.search(block))
        if is_read or self._reads_code:
            return f"\n\n{block}\n\n", end
        self.left_out.update({"code"} if block.strip() else ())
        return "\n\n", end

    def _line_before(self, found: re.Match[str]) -> str:
        return self._text[max(0, found.start() - 40) : found.start()].rpartition("\n")[2]

    def _is_alone(self, found: re.Match[str]) -> bool:
        """Whether nothing stands before it in the text, or nothing beside it in its line."""
        is_first = not self._line_before(found).strip()
        begins = found.start() < 40 and not self._text[: found.start()].strip()
        return is_first and (begins or self._text[found.end() : found.end() + 1] in {"", "\n"})

    def _code(self, found: re.Match[str]) -> tuple[str, int]:
        return found["coded"].strip() or found["coded"], found.end()

    def _escape(self, found: re.Match[str]) -> tuple[str, int]:
        return found[0], found.end()

    def _hidden(self, found: re.Match[str]) -> tuple[str, int] | None:
        mark = found[0]
        if mark[:4] == "<!--":
            end = self._next("-->", found.end())
            return ("", end + 3) if end >= 0 else None
        if mark[:3] == "<![":
            end = self._next("]]>", found.end())
            return (self._text[found.end() : end], end + 3) if end >= 0 else None
        return "", found.end()

    def _special(self, found: re.Match[str]) -> tuple[str, int]:
        """Tokens of a model's own; a channel has its name behind it, and may be one of thoughts."""
        name, end = found["token"].lower(), found.end()
        if name in {"start", "channel", "start_header_id"} and (word := _CHANNEL.match(self._text, end)):
            end = word.end()
            if name == "channel" and word[0] in {"analysis", "commentary"}:
                self.left_out.add("thoughts")
                closed = self._next("<|end|>", end)
                return " ", closed + 7 if closed >= 0 else len(self._text)
        return " ", end

    def _thought(self, found: re.Match[str]) -> tuple[str, int] | None:
        start = found.start()
        if found[0][1] != "/":
            end = self._thoughts.get(start)
            is_open = end is None and start in self._open_thoughts and self._is_alone(found)
            if not (end or is_open) or _NO_THOUGHT.match(self._text, found.end()):
                return found[0], found.end()
            self.left_out.add("thoughts")
            return self._leave_gap(end if end is not None else len(self._text))
        before = self._text[max(0, start - 1) : start]
        if start in self._lone_ends and before not in {" ", "\t", '"', "'", "(", "`"}:
            # A template may have put the opening tag into the prompt.
            self.left_out.add("thoughts")
            self._out.clear()
            return " ", found.end()
        return found[0], found.end()

    def _entity(self, found: re.Match[str]) -> tuple[str, int]:
        name = found[0][1:]
        is_known = name[0] == "#" or name in html5
        return unescape(found[0]) if is_known else found[0], found.end()

    def _tag(self, found: re.Match[str]) -> tuple[str, int]:
        said, end = self._elements.read(found)
        return self._leave_gap(end) if said is None else (said, end)

    def _display(self, found: re.Match[str]) -> tuple[str, int] | None:
        return self._formula(found["shown"], found.end(), is_sure=False)

    def _inline(self, found: re.Match[str]) -> tuple[str, int] | None:
        latex = found["latex"]
        if latex != latex.strip() or latex.endswith("\\"):
            return None
        return self._formula(latex, found.end(), is_sure=False)

    def _bracketed(self, found: re.Match[str]) -> tuple[str, int]:
        end = self._next("\\)" if found[0] == "\\(" else "\\]", found.end())
        is_near = 0 <= end <= found.end() + 2000
        read = self._formula(self._text[found.end() : end], end + 2, is_sure=False) if is_near else None
        return read or (found[0], found.end())

    def _environment(self, found: re.Match[str]) -> tuple[str, int] | None:
        mark = f"\\end{{{found['name']}}}"
        end = self._next(mark, found.end())
        return self._formula(self._text[found.end() : end], end + len(mark), is_sure=True) if end >= 0 else None

    def _macro(self, found: re.Match[str]) -> tuple[str, int] | None:
        """A macro that no dollars surround: with arguments, or the name of a Greek letter."""
        end = found.end()
        while (group := _ARGUMENT.match(self._text, end)) and end - found.start() < MAX_CHARS:
            end = group.end()
        if end == found.end() and f"{found[0][1:]};" not in html5:
            return None
        try:
            return carry(self._text[found.start() : end]), end
        except UnreadableFormulaError:
            return None

    def _formula(self, latex: str, end: int, *, is_sure: bool) -> tuple[str, int] | None:
        latex = _TAGS_OF_FORMULAS.sub("", latex).strip().rstrip(".,")
        stop = self._text[end - 3 : end - 2] if latex else ""
        if not is_sure and not is_formula(latex):
            return None
        if amount := _AMOUNT.fullmatch(latex):
            unit = " °" + amount[3].strip("{}") if amount[3] is not None else (amount[2] or "").replace("\\", "")
            return amount[1].replace("{,}", ",") + unit, end
        try:
            return carry(latex) + (stop if stop in {".", ","} else ""), end
        except UnreadableFormulaError:
            self.left_out.add("formulas")
            return self._cite(end)

    def _note(self, found: re.Match[str]) -> tuple[str, int]:
        is_first = self._text[found.start() - 1 : found.start()] in {"", "\n"}
        if is_first:
            return "", found.end()
        return self._cite(found.end() - len(found["definition"] or ""))

    def _cited(self, found: re.Match[str]) -> tuple[str, int]:
        return self._cite(found.end())

    def _cite(self, end: int) -> tuple[str, int]:
        """Leave something out, with the blank before it if a mark follows."""
        if self._out and self._out[-1].endswith(" ") and self._text[end : end + 1] in {"", " ", *_STOPS}:
            self._out[-1] = self._out[-1].rstrip(" ")
        return "", end

    def _leave_gap(self, end: int) -> tuple[str, int]:
        """Leave something out that words on both sides may touch."""
        return self._cite(end) if self._text[end : end + 1] in {"", " ", *_STOPS} else (" ", end)

    def _numbers(self, found: re.Match[str]) -> tuple[str, int]:
        behind = self._text[found.end() : found.end() + 2]
        is_cited = _is_citation(found[0], self._line_before(found), behind, cites=self._cites)
        return self._cite(found.end()) if is_cited else (found[0], found.end())

    def _callout(self, found: re.Match[str]) -> tuple[str, int]:
        return found["title"].capitalize() + ".", found.end()

    def _linked(self, found: re.Match[str]) -> tuple[str, int] | None:
        target = (found["target"] or found["anchor"]).casefold()
        if target not in self._references:
            return None
        self._out[-1] = self._out[-1].removesuffix("!")  # a picture's
        return found["anchor"], found.end()


_TAGS_OF_FORMULAS = re.compile(r"\\(?:label|tag)\*?\{[^{}]{0,100}\}")
_ARGUMENT = re.compile(r"\{(?:[^{}\n]|\{(?:[^{}\n]|\{[^{}\n]{0,200}+\}){0,200}+\}){0,300}+\}|\[\d\](?=\{)")
_AMOUNT = re.compile(r"([+-]?\d+(?:(?:[.,]|\{,\})\d+)*)(\\?%)?(?:\^(?:\\circ|\{\\circ\}) ?(C|F|\{[CF]\}|))?")


def _pair_thoughts(text: str) -> tuple[dict[int, int], set[int], set[int]]:
    """Where each closed thought begins -> where it ends; where tags stand that only begin one, or only end one."""
    opened: list[int] = []
    pairs: dict[int, int] = {}
    lone: set[int] = set()
    for found in _THOUGHT.finditer(text):
        if not any(found.groups()):
            opened.append(found.start())
        elif opened:
            pairs[opened.pop()] = found.end()
        else:
            lone.add(found.start())
    return pairs, set(opened), lone


def _is_citation(mark: str, line: str, behind: str, *, cites: bool) -> bool:
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
    is_stopped = behind[:1] in {"", *_STOPS}
    is_likely = cites or ((is_stopped or "][" in mark) and not _ARRAY_WORD.fullmatch(word))
    return is_likely and (_MEASURED.search(line) is not None or not _CODE_WORD.fullmatch(word))


_READERS: Mapping[str, Callable[[_Reader, re.Match[str]], tuple[str, int] | None]] = {
    "fence": _Reader._fence, "code": _Reader._code, "url": _Reader._escape, "bracketed": _Reader._bracketed,
    "environment": _Reader._environment, "macro": _Reader._macro, "escape": _Reader._escape,
    "hidden": _Reader._hidden, "special": _Reader._special, "thought": _Reader._thought, "tag": _Reader._tag,
    "entity": _Reader._entity, "display": _Reader._display, "inline": _Reader._inline, "note": _Reader._note,
    "cited": _Reader._cited, "numbers": _Reader._numbers, "callout": _Reader._callout, "linked": _Reader._linked,
}  # fmt: skip
