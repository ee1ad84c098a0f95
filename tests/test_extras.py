"""Each server starts where nothing but its own extra is installed."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest

IMPORT_WITHOUT = """
import sys
from importlib import import_module
from importlib.machinery import PathFinder
absent, modules = sys.argv[1].split(","), sys.argv[2:]
class Installed(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in absent else super().find_spec(name, path, target)
sys.meta_path[:] = [Installed if finder is PathFinder else finder for finder in sys.meta_path]
for module in modules:
    import_module(module)
"""
OURS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
_REQUIREMENT = re.compile(r"([\w.-]+)\s*(?:\[([^\]]*)\])?[^;]*(?:;(.*))?")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _closure(name: str, extras: frozenset[str], found: set[tuple[str, frozenset[str]]]) -> set[str]:
    """The packages that come with one, by their normal names; markers of other systems count as well."""
    if (name, extras) in found:
        return set()
    found.add((name, extras))
    names = {name}
    if name == "voice-stack":  # as this checkout says, whatever was installed
        needed = [line for extra in extras for line in OURS["optional-dependencies"][extra]] + OURS["dependencies"]
    else:
        try:
            needed = requires(name) or []
        except PackageNotFoundError:
            return names
    for line in needed:
        match = _REQUIREMENT.match(line)
        assert match is not None
        package, inner, marker = match[1], match[2] or "", match[3] or ""
        wanted = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
        if wanted is None or wanted[1] in extras:
            names |= _closure(_normal(package), frozenset(filter(None, map(str.strip, inner.split(",")))), found)
    return names


@pytest.mark.parametrize(
    ("extra", "modules"),
    [
        ("asr", ["asr.app", "asr.listening.workload", "asr.engine.fasterwhisper", "wyoming.asr", "cli.serve"]),
        ("tts", ["tts.app", "tts.workload", "wyoming.tts", "cli.serve"]),
        ("chat", ["chat.app", "cli.serve", "cli.up"]),
    ],
)
def test_a_server_needs_only_what_its_extra_brings(extra: str, modules: list[str]) -> None:
    brought = _closure("voice-stack", frozenset({extra}), set())
    absent = sorted(
        module
        for module, owners in packages_distributions().items()
        if module.isidentifier() and not {_normal(owner) for owner in owners} & brought
    )
    assert "pytest" in absent
    command = [sys.executable, "-c", IMPORT_WITHOUT, ",".join(absent), *(f"voice_stack.{module}" for module in modules)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-800:]
