"""What a model thinks and what it says are told apart, however its text arrives."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.language_model.reasoning import ReasoningFilter

TEXTS = {
    "<think>plan</think>Hello there.": ("Hello there.", "plan"),
    "<think>\nplan < 3\n</think>\n\nHello there.": ("Hello there.", "\nplan < 3\n"),
    "Response <think>..</think> text": ("Response text", ".."),
    "Fine.<think>x</think>\n\nNext.": ("Fine.\n\nNext.", "x"),
    "A<think>b</think>C<Thinking>d</thinkING>E": ("ACE", "bd"),
    "<thought>a</thought> <reasoning>b</reasoning> Yes.": ("Yes.", "ab"),
    "<thinking>a<think>b</think>c</thinking>Yes.": ("Yes.", "a<think>b</think>c"),
    "<think>never closed </thin": ("", "never closed </thin"),
    "<think>x</think>  ": ("", "x"),
    "[THINK]hm[/THINK]Yes.": ("Yes.", "hm"),
    "◁think▷hm◁/think▷Yes.": ("Yes.", "hm"),
    "<seed:think>hm</seed:think>Yes.": ("Yes.", "hm"),
    "<|channel>thought\nhm<channel|>Yes.": ("Yes.", "\nhm"),
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>": (
        "Yes.",
        "hm",
    ),
    "Hello <b>there</b>, 2 < 3, a [thinks], <thi": ("Hello <b>there</b>, 2 < 3, a [thinks], <thi", ""),
    "Write `the <think> tag`, then\n<think>hm</think>go.": ("Write `the <think> tag`, then\ngo.", "hm"),
    "İ<THINK>ſ</Think>ok</think>": ("İok</think>", "ſ"),
}
UNOPENED = {
    "plan plan</think>\nHello.": ("Hello.", "plan plan"),
    "<think>plan</think>Hello.": ("Hello.", "plan"),
    "hm[/THINK]Yes <think>so</think>it is.": ("Yes it is.", "hmso"),
    "all of it": ("", "all of it"),
}


def part(pieces: list[str], *, opens: bool = False) -> tuple[str, str]:
    parter = ReasoningFilter(opens=opens)
    parts = [*map(parter.feed, pieces), parter.end()]
    return "".join(said for said, _ in parts), "".join(thought for _, thought in parts)


ALL = [(text, opens) for opens, texts in ((False, TEXTS), (True, UNOPENED)) for text in texts]


@pytest.mark.parametrize(("text", "opens"), ALL)
@settings(max_examples=25)
@given(st.data())
def test_any_cutting_gives_the_same(text: str, opens: bool, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]
    expected = (UNOPENED if opens else TEXTS)[text]
    assert part(pieces, opens=opens) == part([*text], opens=opens) == expected


@pytest.mark.parametrize("text", ["Hello <thi", "a < b", "[1] and", "x<|"])
def test_nothing_is_held_back_that_cannot_become_a_tag(text: str) -> None:
    parter = ReasoningFilter()
    said = "".join(parter.feed(letter)[0] for letter in text + " ")
    assert said == text + " "
