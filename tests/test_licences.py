"""What the default install brings, and under which licences, as its packages say themselves."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
INSTALLED = {canonicalize_name(one.name) for one in importlib.metadata.distributions()}
_GPL = re.compile(r"\bA?GPL|(?<!Lesser )General Public License|GNU GPL")
_GPL_FILES = re.compile(r"(?:^|/)lib(?:x26[45]|espeak)|espeak-ng")


def requirements(name: str, extra: str) -> list[Requirement]:
    """What a package asks for here, with one of its extras; our own as this checkout says."""
    if name == "voice-stack":
        asked = OURS["optional-dependencies"][extra] if extra else OURS["dependencies"]
        return [Requirement(line) for line in asked]
    found = (Requirement(line) for line in importlib.metadata.requires(name) or ())
    return [one for one in found if one.marker is None or one.marker.evaluate({"extra": extra})]


def closure(extra: str) -> set[str]:
    """Every package that an extra brings, as far as it is installed: another platform has others."""
    open_ends, seen = [("voice-stack", extra)], set[tuple[str, str]]()
    while open_ends:
        name, wanted = open_ends.pop()
        if (name, wanted) not in seen:
            seen.add((name, wanted))
            for one in requirements(name, wanted):
                if canonicalize_name(one.name) in INSTALLED:
                    open_ends += [(canonicalize_name(one.name), each) for each in ("", *one.extras)]
    return {name for name, _ in seen} - {"voice-stack"}


def is_gpl(name: str) -> bool:
    """Whether a package says that it is, whatever else one may choose in its place."""
    about = importlib.metadata.metadata(name)
    said = [
        *(about.get_all("License-Expression") or about.get_all("License") or ()),
        *(about.get_all("Classifier") or ()),
    ]
    return any(_GPL.search(line.splitlines()[0] if line else "") for line in said)


@pytest.fixture(scope="module")
def embedded() -> set[str]:
    return closure("embedded")


def test_the_default_install_brings_no_gpl_package(embedded: set[str]) -> None:
    assert {"hibari-tts", "faster-whisper", "soxr"} <= embedded
    assert [name for name in sorted(embedded) if is_gpl(name)] == []
    assert is_gpl("piper-tts")


def test_the_one_package_with_gpl_libraries_inside_is_told_of(embedded: set[str]) -> None:
    carriers = {
        name
        for name in embedded
        if any(_GPL_FILES.search(file.as_posix()) for file in importlib.metadata.files(name) or ())
    }
    assert carriers <= {"av"}
    page = (Path(__file__).parents[1] / "docs" / "licences.md").read_text("utf-8")
    assert "x264" in page
