"""From a written text to clauses that can be spoken."""

import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.utils.text import PARAGRAPH_PAUSE_S, SENTENCE_PAUSE_S, Clause, normalise
from voice_stack.utils.text.pipeline import ClauseLimits, clauses
from voice_stack.utils.text.pronunciation import parse_pronunciations

RULES = parse_pronunciations("written,spoken\nKubernetes,koo ber net eez\n$5,a fiver\n", "words.csv")


def test_text_is_plain_read_out_and_keeps_what_was_written() -> None:
    text = "# Chapter IV\n\nIt **costs** $5 in 2024. Kubernetes has 3 nodes."
    assert list(clauses(normalise(text), "en", rules=RULES)) == [
        Clause("Chapter four", PARAGRAPH_PAUSE_S, "en", "Chapter IV"),
        Clause("It costs a fiver in twenty twenty-four.", SENTENCE_PAUSE_S, "en", "It costs $5 in 2024."),
        Clause("koo ber net eez has three nodes.", 0.0, "en", "Kubernetes has 3 nodes."),
    ]


READING = [line.split(" | ") for line in Path(__file__).with_name("reading.txt").read_text("utf-8").splitlines()]


@pytest.mark.parametrize(("language", "written", "spoken"), READING)
def test_text_is_read_as_people_read_it_or_left_to_the_engine(language: str, written: str, spoken: str) -> None:
    assert " / ".join(clause.text for clause in clauses(normalise(written), language)) == spoken


def test_source_follows_the_cuts_of_a_long_sentence() -> None:
    text = "In 1984, when 21 men came, they paid $5.50; in 2024, when 3 came, they paid 1,000,000 euros."
    cut = list(clauses(normalise(text), "en", limits=ClauseLimits(max_chars=60)))
    assert len(cut) > 2
    assert " ".join(clause.source for clause in cut) == text
    assert cut[0].text == "In nineteen eighty-four, when twenty-one men came,"
    assert cut[0].source == "In 1984, when 21 men came,"


@pytest.mark.parametrize(
    ("text", "pauses"),
    [
        ("One.[pause:2s] Two.", [("One.", 2.0), ("Two.", 0.0)]),
        ("One. [pause:100ms]\n\nTwo.\n\nThree.", [("One.", 0.1), ("Two.", PARAGRAPH_PAUSE_S), ("Three.", 0.0)]),
        ("One,[pause:1s]two.[pause:1s][pause: 0.5 s]", [("One,", 1.0), ("two.", 1.5)]),
        ("[pause:1s]One.", [("", 1.0), ("One.", 0.0)]),
        ("One." + "[pause:9s]" * 9 + "Two.", [("One.", 10.0), ("Two.", 0.0)]),
        ("[pause:3s]", [("", 3.0)]),
        ("One.\r\n\r\nTwo.\u2029Three.\nFour.", [
            ("One.", PARAGRAPH_PAUSE_S), ("Two.", PARAGRAPH_PAUSE_S), ("Three.", SENTENCE_PAUSE_S), ("Four.", 0.0)]),
    ],
)  # fmt: skip
def test_pauses_are_those_of_the_marks_or_of_the_text(text: str, pauses: list[tuple[str, float]]) -> None:
    assert [(clause.text, clause.pause_s) for clause in clauses(normalise(text), "en")] == pauses


def test_each_sentence_is_read_in_its_language_where_the_voice_speaks_it() -> None:
    text = (
        "He wrote 21 letters to his brother. Das ist ein ganz normaler deutscher Satz mit 21 Wörtern. OK, ja. "
        "Ceci est une phrase tout à fait française. У меня 21 кошка. And he never got 1 answer from there."
    )
    voice = ("en", "de", "ru")
    assert [(clause.language, clause.text) for clause in clauses(normalise(text), "en", languages=voice)] == [
        ("en", "He wrote twenty-one letters to his brother."),
        ("de", "Das ist ein ganz normaler deutscher Satz mit einundzwanzig Wörtern."),
        ("en", "OK, ja."),
        ("en", "Ceci est une phrase tout à fait française."),
        ("ru", "У меня двадцать одна кошка."),
        ("en", "And he never got one answer from there."),
    ]
    assert {clause.language for clause in clauses(normalise(text), "en", languages=("en",))} == {"en"}
    chinese = list(clauses("He has 3 books. 我有21只猫。", "en", languages=("en", "zh-cn")))
    assert [clause.text for clause in chinese] == ["He has three books.", "我有二十一只猫。"]
    assert [clause.language for clause in chinese] == ["en", "zh-cn"]
    assert {clause.language for clause in clauses("У меня 21 кошка.", languages=("ru",))} == {"ru"}
    # A name without kana is Japanese still, a whole sentence is not.
    kanji = "東京大学。全員集合！「我们今天一起去北京的图书馆看书，你觉得怎么样？」私は行く。"
    assert [clause.language for clause in clauses(normalise(kanji), "ja", languages=("ja", "zh", "en"))] == [
        "ja",
        "ja",
        "zh",
        "ja",
    ]


def test_limits_may_differ_by_language() -> None:
    limits = ClauseLimits(max_chars=200, first_max_chars=60, by_language={"zh": 20})
    text = "今天天气很好，我们去公园，" * 5
    assert max(len(clause.text) for clause in clauses(normalise(text), "zh", limits=limits)) <= 20
    assert max(len(clause.text) for clause in clauses("word " * 300, "en", limits=limits)) > 100


@pytest.mark.parametrize("text", ["", " \n\n ", "🎉 🎉", "?!... —", "\x00\u200b", "[voice", "***"])
def test_text_without_anything_to_say_has_no_clauses(text: str) -> None:
    expected = ["[voice"] if "voice" in text else []
    assert [clause.text for clause in clauses(normalise(text), "en")] == expected


ODD = ["Hello 5.", "Dr.", "$5.50", "\n", "\n\n", "\r\n", " ", "今天3点。", "مرحبا 25 ", "🎉", "\x07", "[pause:1s]",
       "**a**", "- ", "1984", "e.g. ", "Louis XIV ", "x" * 50, "Kubernetes"]  # fmt: skip
BOOK = st.one_of(st.lists(st.sampled_from(ODD), max_size=40).map("".join), st.text(max_size=80))


@settings(max_examples=200, deadline=None)
@given(BOOK, st.sampled_from(["en", "de", "zh", "ar", "sv", ""]), st.integers(1, 120))
def test_any_text_gives_clauses_within_the_limit_and_loses_no_letter(text: str, language: str, max_chars: int) -> None:
    limits = ClauseLimits(max_chars)
    found = list(clauses(normalise(text), language, rules=RULES, limits=limits, is_plain=True))
    assert all(len(clause.text) <= max_chars and 0 <= clause.pause_s <= 10 for clause in found)
    written = normalise(text.replace("[pause:1s]", "\n\n"))
    letters = sorted(c for c in written if c.isalnum())
    assert sorted(c for clause in found for c in clause.source if c.isalnum()) == letters


SENTENCE = "Once upon a time there were 3 bears, as Dr. Smith said, and they had $5.50. "


@pytest.mark.parametrize(
    "text", [SENTENCE * 130_000, (SENTENCE + "\n\n") * 130_000, "a" * 10_000_000, "今" * 10_000_000]
)
def test_book_of_10_mb_begins_at_once(text: str) -> None:
    next(clauses("Load the rules of 1 language.", "en"))
    started = time.process_time()
    assert next(clauses(text, "en", is_plain=True)).text
    assert time.process_time() - started < 0.5


def test_memory_stays_flat_over_a_book() -> None:
    def peak_bytes(paragraphs: int) -> int:
        text = ("Once upon a time there were bears, and they were glad. " * 20 + "\n\n") * paragraphs
        tracemalloc.start()
        assert sum(1 for _ in clauses(text, "en", is_plain=True)) == 20 * paragraphs
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    peak_bytes(2)  # loads the rules
    assert peak_bytes(40) < 3 * peak_bytes(4)  # ten times the text


def test_long_paragraph_is_cut_between_sentences() -> None:
    found = [clause.source for clause in clauses(normalise(SENTENCE * 100), "en")]
    assert " ".join(found) == (SENTENCE * 100).strip()
    assert {source for source in found[2:] if not source.startswith("Once upon")} == set()
