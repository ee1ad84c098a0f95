"""What the normaliser changes in texts that people wrote, and how much of it is wrong, by verdicts of a reader.

    python -m benchmarks.reading                      the figures
    python -m benchmarks.reading judge --language de  what has no verdict yet, numbered
    python -m benchmarks.reading add --language de --wrong 3,17 --doubtful 5

The sample of a language is all that is changed in the first paragraphs of each kind of text, in the order of their
digests. A verdict holds for a paragraph, what is written there and how it was read: a change that is read as it was
when it was judged keeps its verdict, and only the others are to be judged again.
"""

import difflib
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import click

from benchmarks.corpora import CORPORA, TABLES, Paragraph, read_paragraphs
from benchmarks.report import Figure, show
from voice_stack.utils.text import normalise, sentence_ends
from voice_stack.utils.text.pipeline import clauses

BARS = {"en": 10.0, "de": 30.0, "fr": 30.0, "es": 30.0, "it": 30.0, "pt": 30.0, "pl": 80.0, "ru": 80.0, "cs": 80.0}
"""Wrong changes in a thousand."""
CUT_BAR = 15.0
CONTEXT_WORDS = 6
_CUT_CONTEXT_CHARS = 28
_TOKEN = re.compile(r"\w+|[^\w\s]")
_STOP = re.compile(r"[.!?…]+[\"')\]»”]*(?= \S)")
_UNCUT, _CUT = "goes on", "ends"
WRONG, DOUBTFUL, RIGHT = "wrong", "doubtful", "right"
_OPPOSITES = {WRONG: RIGHT, RIGHT: WRONG, DOUBTFUL: DOUBTFUL}

CUTS = {"en": 200}
CUTS_OF_OTHERS = 100


@dataclass(frozen=True, slots=True)
class Change:
    """What a verdict is given on: a piece of a paragraph that is read otherwise than written, or a full stop.

    Attributes:
        paragraph: Digest of the paragraph.
        written: The piece; for a stop, the words before and after it.
        read: How it is read; for a stop, whether a sentence ends there.
        context: The piece among its neighbours, for the judge; not kept.
    """

    paragraph: str
    written: str
    read: str
    context: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a language's sample holds, with the code as it is.

    Attributes:
        paragraphs: Digests of all of them, changed or not.
        changes: In the order of the paragraphs.
        stops: Where a sentence may end.
        words: In the texts as written.
        chars: The same in characters.
        seconds: That the pipeline took for them.
    """

    paragraphs: set[str]
    changes: list[Change]
    stops: list[Change]
    words: int
    chars: int
    seconds: float


def find_changes(written: str, read: str, paragraph: str = "") -> Iterator[Change]:
    """What differs between two texts, word by word; two differences without a blank or a word between them are one."""
    ours = list(_TOKEN.finditer(written))
    theirs = list(_TOKEN.finditer(read))
    matcher = difflib.SequenceMatcher(
        None, [token[0].casefold() for token in ours], [token[0].casefold() for token in theirs], autojunk=False
    )
    spans: list[tuple[int, int, int, int]] = []
    for tag, start, end, said, until in matcher.get_opcodes():
        if tag == "equal":
            continue
        if spans and _are_one(ours, spans[-1][1], start, is_insertion=start == end):
            spans[-1] = (spans[-1][0], end, spans[-1][2], until)
        else:
            spans.append((start, end, said, until))
    for start, end, said, until in spans:
        piece, reading = _cut(written, ours, start, end), _cut(read, theirs, said, until)
        if any(character.isalnum() for character in piece + reading):
            before = _cut(written, ours, max(0, start - CONTEXT_WORDS), start)
            after = _cut(written, ours, end, end + CONTEXT_WORDS)
            yield Change(paragraph, piece, reading, f"{before} [{piece}] {after}")


def _are_one(tokens: list[re.Match[str]], end: int, start: int, *, is_insertion: bool) -> bool:
    """Whether a change up to one token and another from a later one are the same, so that a judge sees all of it."""
    words = sum(token[0][0].isalnum() for token in tokens[end:start])
    is_glued = all(one.end() == other.start() for one, other in pairwise(tokens[max(0, end - 1) : start + 1]))
    return not words or is_glued or (is_insertion and words == 1)  # "$5 [million]" gets its dollars behind


def _cut(text: str, tokens: list[re.Match[str]], start: int, end: int) -> str:
    chosen = tokens[start:end]
    return text[chosen[0].start() : chosen[-1].end()] if chosen else ""


def _find_stop(text: str, digest: str, language: str) -> Iterator[Change]:
    """One of the places of a paragraph where a sentence may end, chosen by its digest."""
    if stops := list(_STOP.finditer(text)):
        end = stops[int(digest, 16) % len(stops)].end()
        before, after = text[max(0, end - _CUT_CONTEXT_CHARS) : end], text[end : end + _CUT_CONTEXT_CHARS]
        written = f"{before.rsplit(' ', 1)[-1]}|{' '.join(after.split(' ')[:2])}"
        yield Change(digest, written, _CUT if end in sentence_ends(text, language) else _UNCUT, f"{before}|{after}")


def take_sample(language: str, ends: dict[str, str]) -> Sample:
    """Run the pipeline over the sampled paragraphs.

    Args:
        language: Its code.
        ends: Digest of the last paragraph of each kind; of a kind that is not there yet it is found and put there.
    """
    paragraphs: set[str] = set()
    changes: list[Change] = []
    stops: list[Change] = []
    words = chars = 0
    seconds = 0.0
    counts: Counter[str] = Counter()
    for paragraph in read_paragraphs(language):
        if not _is_sampled(paragraph, ends, counts, CORPORA.languages[language][paragraph.kind].changes):
            continue
        paragraphs.add(paragraph.digest)
        text = normalise(paragraph.text)
        started = time.perf_counter()
        read = list(clauses(text, language))
        seconds += time.perf_counter() - started
        words += len(text.split())
        chars += len(text)
        found = list(find_changes(text, " ".join(clause.text for clause in read), paragraph.digest))
        changes += found
        counts[paragraph.kind] += len(found)
        stops += _find_stop(text, paragraph.digest, language)
    stops = _thin(stops, CUTS.get(language, CUTS_OF_OTHERS))
    return Sample(paragraphs, changes, stops, words, chars, seconds)


def _is_sampled(paragraph: Paragraph, ends: dict[str, str], counts: Counter[str], quota: int) -> bool:
    kind, digest = paragraph.kind, paragraph.digest
    if kind not in ends and counts[kind] >= quota:
        ends[kind] = digest
    return kind not in ends or digest < ends[kind]


def _thin(stops: list[Change], count: int) -> list[Change]:
    """The stops with the lowest digests: from every kind as many as it has paragraphs."""
    chosen = {stop.paragraph for stop in sorted(stops, key=lambda stop: stop.paragraph[::-1])[:count]}
    return [stop for stop in stops if stop.paragraph in chosen]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The verdicts of a language.

    Attributes:
        language: Its code.
        ends: Where the sample ends, by kind of text.
        of: By what was judged.
    """

    language: str
    ends: dict[str, str]
    of: dict[Change, str]

    @classmethod
    def read(cls, language: str) -> "Verdicts":
        """Those in the folder `readings`; none if there is no file."""
        verdicts = cls(language, {}, {})
        path = TABLES / f"{language}.tsv"
        for line in path.read_text("utf-8").splitlines() if path.exists() else []:
            verdict, digest, written, *read = line.split("\t")
            if verdict == "end":
                verdicts.ends[written] = digest
            else:
                verdicts.of[Change(digest, written, read[0])] = verdict
        return verdicts

    def write(self) -> None:
        """Keep them, in order, so that a change of one is a change of one line."""
        ends = [f"end\t{digest}\t{kind}" for kind, digest in sorted(self.ends.items())]
        judged = [
            f"{verdict}\t{change.paragraph}\t{change.written}\t{change.read}" for change, verdict in self.of.items()
        ]
        (TABLES / f"{self.language}.tsv").write_text("\n".join([*ends, *sorted(judged)]) + "\n", "utf-8")

    def find(self, change: Change) -> str:
        """The verdict on a change; empty if there is none. A sentence's end that was wrong is right the other way."""
        if found := self.of.get(change):
            return found
        other = replace(change, read=_CUT if change.read == _UNCUT else _UNCUT)
        return _OPPOSITES.get(self.of.get(other, ""), "") if change.read in (_CUT, _UNCUT) else ""

    def count(self, changes: Iterable[Change]) -> Counter[str]:
        """How many have each verdict; under "" those that have none."""
        return Counter(self.find(change) for change in changes)

    def count_unread(self, sample: Sample) -> Counter[str]:
        """What was changed when it was judged, and is now left as it is written, by its verdict."""
        changed: defaultdict[str, set[str]] = defaultdict(set)
        for change in sample.changes + sample.stops:
            changed[change.paragraph].update(_TOKEN.findall(change.written))
        return Counter(
            verdict
            for change, verdict in self.of.items()
            if not changed[change.paragraph].intersection(_TOKEN.findall(change.written))
        )


def measure(languages: Iterable[str] = BARS, *, with_details: bool = False) -> list[Figure]:
    """The figures of each language whose texts are to be had, or those alone that have a bar."""
    figures: list[Figure] = []
    for language in languages:
        verdicts = Verdicts.read(language)
        try:
            sample = take_sample(language, verdicts.ends)
        except OSError as error:
            click.echo(f"reading, {language}: left out, {error}", err=True)
            continue
        found = _figures_of(language, sample, verdicts)
        figures += [figure for figure in found if with_details or figure.bar is not None]
    return figures


def _figures_of(language: str, sample: Sample, verdicts: Verdicts) -> Iterator[Figure]:
    found, cuts = verdicts.count(sample.changes), verdicts.count(sample.stops)
    judged = max(1, len(sample.changes) - found[""])
    share = len(sample.changes) / sample.words
    wrong = found[WRONG] / judged
    unread = verdicts.count_unread(sample)
    cut_share = cuts[WRONG] / max(1, len(sample.stops) - cuts[""])
    words_bar = 2.0 if language == "en" else None
    for name, unit, value, bar in (
        ("wrong, of 1000 changes", "wrong", 1000 * wrong, BARS[language]),
        ("wrong, of 10,000 words", "wrong", 10_000 * share * wrong, words_bar),
        ("wrong sentence ends, of 1000 stops", "wrong", 1000 * cut_share, CUT_BAR),
        ("doubtful, of 1000 changes", "doubtful", 1000 * found[DOUBTFUL] / judged, None),
        ("changes in 1000 words", "changes", 1000 * share, None),
        ("changes in the sample", "changes", len(sample.changes), None),
        ("without a verdict", "of them", found[""] + cuts[""], None),
        ("was right, now left as written", "of them", unread[RIGHT], None),
        ("was wrong, now left as written", "of them", unread[WRONG], None),
        ("time", "µs a character", 1e6 * sample.seconds / sample.chars, None),
    ):
        yield Figure(f"reading, {language}: {name}", unit, (value,), bar=bar)


def _to_judge(sample: Sample, verdicts: Verdicts) -> list[Change]:
    return [change for change in dict.fromkeys(sample.changes + sample.stops) if not verdicts.find(change)]


@click.group(invoke_without_command=True)
@click.option("--markdown", is_flag=True, help="Print the table for docs/performance.md.")
@click.pass_context
def main(context: click.Context, markdown: bool) -> None:
    """Measure how much of what is changed in real texts is wrong."""
    if context.invoked_subcommand is None:
        show(measure(with_details=True), markdown=markdown)


@main.command()
@click.option("--language", required=True, type=click.Choice(list(CORPORA.languages)))
def judge(language: str) -> None:
    """List what has no verdict yet, with its neighbours and how it is read."""
    verdicts = Verdicts.read(language)
    for number, change in enumerate(_to_judge(take_sample(language, verdicts.ends), verdicts)):
        click.echo(f"{number} {change.context} -> {change.read}")


def _numbers(_context: click.Context, _option: click.Parameter, value: str) -> frozenset[int]:
    return frozenset(int(number) for number in value.split(",") if number)


@main.command()
@click.option("--language", required=True, type=click.Choice(list(CORPORA.languages)))
@click.option("--until", default=1_000_000, help="Number in the list before which everything is judged.")
@click.option("--wrong", default="", callback=_numbers, help="Numbers in the list, separated by commas.")
@click.option("--doubtful", default="", callback=_numbers, help="The same; all others are right.")
def add(language: str, until: int, wrong: frozenset[int], doubtful: frozenset[int]) -> None:
    """Write down the verdicts on what `judge` lists, and forget those on what is no longer sampled."""
    verdicts = Verdicts.read(language)
    sample = take_sample(language, verdicts.ends)
    of = {change: verdict for change, verdict in verdicts.of.items() if change.paragraph in sample.paragraphs}
    verdicts = Verdicts(language, verdicts.ends, of)
    for number, change in enumerate(_to_judge(sample, verdicts)[:until]):
        verdicts.of[change] = WRONG if number in wrong else DOUBTFUL if number in doubtful else RIGHT
    verdicts.write()


if __name__ == "__main__":
    main()
