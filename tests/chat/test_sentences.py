"""What is spoken as one piece, however the text of a model comes in pieces; and the marks for the voice in it."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voice_stack.chat.marks import MarkFilter
from voice_stack.chat.sentences import MAX_CHARS, Cut, SentenceStream

CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=60)


def cut(text: str, sizes: Sequence[int]) -> list[str]:
    """A text in pieces of these sizes, again and again."""
    pieces, at, turn = [], 0, 0
    while at < len(text):
        pieces.append(text[at : at + sizes[turn % len(sizes)]])
        at, turn = at + sizes[turn % len(sizes)], turn + 1
    return pieces


def sentences(pieces: Sequence[str], language: str = "") -> list[Cut]:
    stream = SentenceStream(language)
    return [found for piece in pieces for found in stream.feed(piece)] + stream.end()


def said(*pieces: str, language: str = "") -> list[str]:
    return [found.text for found in sentences(pieces, language)]


TEXTS = [
    "Hello there, my old friend! Dr. Smith paid $3.50 at 5 p.m. on Main St. yesterday. Is it so? Yes.\n- One.\nEnd",
    "Es war am 3. Mai. Der Hund (z.B. ein Dackel) bellte. Wirklich?! Ja … vielleicht. Nein.",
    "Bonjour ! « Ça va ? » dit-il. M. Dupont, lui, partit à 5 h. Voilà : c'est fini.",
    "你好，我是你的语音助手，很高兴认识你。今天天气怎么样？很好！我们走吧。",
    "今日は3.5度です。「寒いですね。」と彼は言った。そうですか？はい、そうです。",
    "สวัสดีครับ ผมชื่อสมชาย ผมเป็นผู้ช่วยเสียงของคุณ วันนี้อากาศดีมาก เราไปเดินเล่นกันไหม ผมคิดว่าน่าจะสนุกดี ไปกันเถอะ",
    '**Note.** *Wait!* That `a.b` costs 1,000.5 €... He said: "Go." Then he went. U.S. law.  \n\n\nNew\there.',
    "Here it is:\n```python\nx = 1. Then\nprint(x)!  Yes.\n```\nThat is it. ~~~ is no code. ``` nor ``` here. Ok.",
    "~5 km is far. `x` is it.\n```text\nRead me. And me!\n```\n> ```js\n> a. B\n> ```\nEnd. ```",
    "word " * 300 + "end. " + "x" * 950 + ". And so on, and so on, " * 30,
    "I. First. II. Second. 1. Open it. 2. Close it. a) one. b) two. Prof. Dr. h.c. Meier kam. Co. KG.",
]


_WORDS = """
    the The He I II x no. No hello. said. went! Dr. e.g. a.m. 3. 3.5 Mai U.S. U. Inc. Co. KG St. z.B. usw. Mr. Théo
    « » ( ) " ' , ; : ! ? . … ... ** ``` ` ~~~ ~~~py 。 ， 「 」 很好 ไทย -- – — 😀 [a](b.c) https://a.b/c
"""
WORDS = [*_WORDS.split(), "\n", "\n\n"]


@pytest.mark.parametrize("text", TEXTS)
@given(sizes=CUTS)
@settings(max_examples=12, deadline=None)
def test_however_a_text_is_cut_the_sentences_are_the_same(text: str, sizes: list[int]) -> None:
    assert sentences(cut(text, sizes)) == sentences([text]) == sentences(list(text))


@given(
    words=st.lists(
        st.sampled_from(WORDS),
        max_size=40,
    ),
    glue=st.sampled_from([" ", "", "  "]),
    sizes=CUTS,
)
@settings(max_examples=400, deadline=None)
def test_nor_does_it_matter_for_texts_that_nobody_writes(words: list[str], glue: str, sizes: list[int]) -> None:
    text = glue.join(words)
    assert sentences(cut(text, sizes)) == sentences([text])


def test_every_sentence_that_is_complete_comes_at_once() -> None:
    stream = SentenceStream()
    assert [found.text for found in stream.feed("One. Two! Three? Four. F")] == ["One.", "Two!", "Three?", "Four."]
    assert [found.text for found in stream.feed("ive is 3.")] == []
    assert [found.text for found in stream.feed("5. ")] == []
    assert [found.text for found in stream.feed("S")] == ["Five is 3.5."]
    assert [found.text for found in stream.end()] == ["S"]


def test_an_ordinary_sentence_goes_out_with_the_first_letter_of_the_next() -> None:
    stream = SentenceStream()
    assert stream.feed("I am here. ") == []
    assert [found.text for found in stream.feed("Y")] == ["I am here."]


def test_the_first_clause_goes_ahead_and_only_the_first() -> None:
    text = "Well, when I was a little boy, my father said so, and he was right. Then, when I was older, he died, too."
    first, *rest = said(text)
    assert first == "Well, when I was a little boy,"
    assert rest == ["my father said so, and he was right.", "Then, when I was older, he died, too."]


def test_abbreviations_numbers_and_names_stay_whole() -> None:
    assert said("Mr. Smith has 3.5 m of it. He left at 5 a.m. Theo stayed.") == [
        "Mr. Smith has 3.5 m of it.",
        "He left at 5 a.m. Theo stayed.",
    ]
    assert said("Am 3. Mai war es so. Ja.", language="de") == ["Am 3. Mai war es so.", "Ja."]


def test_a_block_of_code_is_one_piece_without_text() -> None:
    assert said(TEXTS[7])[:3] == ["Here it is:", "", "That is it."]
    assert said(TEXTS[8])[2:5] == ["Read me.", "And me!", ""]


def test_what_has_no_end_is_cut_between_words() -> None:
    parts = said("word " * 300)
    assert all(len(part) <= MAX_CHARS for part in parts)
    assert " ".join(parts) == ("word " * 300).strip()


def test_pauses_are_those_of_what_stands_between() -> None:
    found = sentences(["I say it to you as I think it, and so. Now.\nThen.\n\nLast one."])
    assert [(piece.text, piece.pause_s) for piece in found] == [
        ("I say it to you as I think it,", 0.0),
        ("and so.", 0.25),
        ("Now.", 0.5),
        ("Then.", 0.5),
        ("Last one.", 0.9),
    ]


MARKED = (
    "<expr type=\"expression\" label=\"happy\"/>Hello there! <expr label='sad' type='expression' /> I am sorry. A < b "
    "<EXPR type=expression label=calm></expr>and <expr type=“expression” label=“angry”/>no! <ex> <expression> <expr"
)
VISIBLE = "Hello there! I am sorry. A < b and no! <ex> <expression> <expr"


@given(sizes=CUTS)
@example(sizes=[1])
@example(sizes=[len(MARKED)])
@settings(max_examples=30, deadline=None)
def test_marks_are_never_seen_and_steer_the_sentence_that_they_begin(sizes: list[int]) -> None:
    marks, stream = MarkFilter(), SentenceStream()
    shown, found = "", list[Cut]()
    for piece in cut(MARKED, sizes):
        shown += (visible := marks.feed(piece))
        assert visible == "" or "label" not in visible
        found += stream.feed(visible)
    shown += (visible := marks.end())
    found += [*stream.feed(visible), *stream.end()]
    assert shown == VISIBLE
    emotions = [(piece.text, marks.find_emotion(piece.start, piece.head)) for piece in found]
    assert emotions[:2] == [("Hello there!", "happy"), ("I am sorry.", "sad")]
    assert [emotion for _, emotion in emotions[2:]] == [None] * (len(emotions) - 2)


@pytest.mark.parametrize("cut_off", ['<expr type="exp', "<expr ", "<expr/"])
def test_a_mark_that_is_cut_off_is_not_seen_either(cut_off: str) -> None:
    marks = MarkFilter()
    assert marks.feed(f"Yes. {cut_off}") + marks.end() == "Yes. "
