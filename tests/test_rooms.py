"""Rooms have doors: what a room does not name in its `__all__`, no other room imports."""

import ast
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
}
ROOMS = sorted(name for name, path in MODULES.items() if path.name == "__init__.py" and name.count(".") == 2)


@cache
def _imports(path: Path) -> set[str]:
    """The modules of ours that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found & MODULES.keys()


def _face(room: str) -> list[str]:
    tree = ast.parse(MODULES[room].read_text())
    lists = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return ast.literal_eval(lists[0]) if lists else []


@pytest.mark.parametrize("room", ROOMS)
def test_only_the_doors_of_a_room_are_used(room: str) -> None:
    assert ast.get_docstring(ast.parse(MODULES[room].read_text())), f"{room} does not say what it is"
    inside = {name for name in MODULES if name.startswith(f"{room}.")}
    used = (
        set().union(*(_imports(path) for name, path in MODULES.items() if name != room and name not in inside)) & inside
    )
    doors = {f"{room}.{name}" for name in _face(room)}
    assert used <= doors


@pytest.mark.parametrize("room", ROOMS)
def test_every_door_leads_somewhere(room: str) -> None:
    assert [name for name in _face(room) if name[0].islower() and f"{room}.{name}" not in MODULES] == _functions(room)


def _functions(room: str) -> list[str]:
    """What a room's face has of its own or hands on, in its order."""
    tree = ast.parse(MODULES[room].read_text())
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    return [name for name in _face(room) if name in imported and name[0].islower()]
