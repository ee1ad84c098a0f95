"""Marks inside a text: voices and pauses."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_stack.utils.text import ScriptPart, parse_script
from voice_stack.utils.text.script import split_pauses


def parts(text: str) -> list[tuple[str | None, str]]:
    return [(part.voice, part.text.strip()) for part in parse_script(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello.", [(None, "Hello.")]),
        ("Who? [voice:nova] Me. [voice] Oh.", [(None, "Who?"), ("nova", "Me."), (None, "Oh.")]),
        ("[ VOICE : af_heart(2)+am_adam ]Hi", [("af_heart(2)+am_adam", "Hi")]),
        ("[voice:a]One.[Voice: a ] Two.", [("a", "One. Two.")]),
        ("[voice:a][voice:b] \n [voice:c]Three", [("c", "Three")]),
        ("[voice:Zoë B.]Hi[ voice ]there", [("Zoë B.", "Hi"), (None, "there")]),
        ("", []),
        (" [voice:a] ", []),
    ],
)
def test_voice_marks_switch_the_speaker(text: str, expected: list[tuple[str | None, str]]) -> None:
    assert parts(text) == expected


@pytest.mark.parametrize(
    "text",
    ["[voice:]x", "[voice: ]x", "[voices:a]x", "[voice:a", "voice:a]", "[voice:[a]]", "[voice:a](https://b.c)",
     "[voice\n:a]", "[pitch:3]", "[voice:" + "n" * 201 + "]"],
)  # fmt: skip
def test_what_is_no_mark_is_text(text: str) -> None:
    assert parse_script(text) == (ScriptPart(text),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a[pause:500ms]b", [("a", 0.5), ("b", 0)]),
        ("a [ Pause : 1.5 S ] b", [("a ", 1.5), (" b", 0)]),
        ("a[pause:1,5s]", [("a", 1.5), ("", 0)]),
        ("[pause:1h]a[pause:-1s]b[pause:5]c[pause:]", [("[pause:1h]a[pause:-1s]b[pause:5]c[pause:]", 0)]),
        ("[pause:99999s]a", [("", 10), ("a", 0)]),
    ],
)
def test_pause_marks_have_a_length(text: str, expected: list[tuple[str, float]]) -> None:
    assert list(split_pauses(text)) == expected


@pytest.mark.parametrize(("text", "speakable"), [("[pause:5s]", False), ("[pause:5s] …!", False), ("[pause:5]", True)])
def test_pause_alone_is_nothing_to_say(text: str, speakable: bool) -> None:
    assert ScriptPart(text).is_speakable is speakable


PLAIN = ["[", "]", "voices", ":", " ", "[pause:1s]", "(", "x", "[voices:a]"]


@given(st.lists(st.one_of(st.none(), st.lists(st.sampled_from(PLAIN), max_size=6).map("".join)), max_size=20))
def test_only_marks_are_taken_out(pieces: list[str | None]) -> None:
    script = "".join("{[voice:a]}" if piece is None else f"{{{piece}}}" for piece in pieces)
    said = "".join(part.text for part in parse_script(script))
    assert said == "".join("{}" if piece is None else f"{{{piece}}}" for piece in pieces)


@pytest.mark.parametrize(
    "unit", ["[", "[voice", "[voice:", "[voice:a]x", "[voice:a", "[ ", "[pause:", "[pause:1s]x", "]"]
)
def test_a_million_brackets_take_no_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    started = time.process_time()
    for part in parse_script(text):
        assert part.text
    assert sum(1 for _ in split_pauses(text)) >= 1
    assert time.process_time() - started < 3.0
