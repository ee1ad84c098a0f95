import time
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.utils.text import PARAGRAPH_PAUSE_S, Clause, is_speakable, normalise
from voice_stack.utils.text.clauses import attach_unspeakable, cut_sentence, split_sentences

SNIPPETS = [
    "Hello", "Dr.", "U.S.", "3.14", "a", "I", "1.", ". ", "! ", "?", "...", "…", ", ", "; ", " — ", " (", ") ", '"',
    "“", "”", "。", "，", "「", "」", "今天", "é", "e\u0301", "क्षि", "؟", "।", "¿", "\n", "\n\n", " ", "\u3000", "😀",
    "https://a.b/c?d=1", "x" * 30, "\t", "*", "_", "`", "#", "|", "- ", "[a](b)",
]  # fmt: skip
SPEECH = st.lists(st.sampled_from(SNIPPETS), max_size=60).map("".join)
ANY_TEXT = st.one_of(SPEECH, st.text(alphabet=st.characters(exclude_categories=[])))


def split_clauses(text: str, *, first_max_chars: int = 60, max_chars: int = 220) -> list[Clause]:
    """What the pipeline does with a text in which nothing is to be read out."""
    clauses: list[Clause] = []
    for line in text.splitlines():
        if clauses and not line.strip():
            clauses[-1] = replace(clauses[-1], pause_s=PARAGRAPH_PAUSE_S)
        for sentence in split_sentences(" ".join(line.split())):
            clauses += cut_sentence(sentence, max_chars if clauses else min(first_max_chars, max_chars), max_chars)
    clauses = attach_unspeakable(clauses, max_chars) if is_speakable(text) else []
    return [*clauses[:-1], *(replace(clause, pause_s=0.0) for clause in clauses[-1:])]


def texts(clauses: list[Clause]) -> list[str]:
    return [clause.text for clause in clauses]


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("Cafe\u0301", "Café"),
        ("  a \t\u00a0\u3000 b  ", "a b"),
        ("a\x00b\x07c\x7f\ufeffd\u200be\u00adf\u202eg\u2060h", "abcdefgh"),
        ("a\ud800b\udfff", "ab"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("one \n \n\n\n two\u2029three", "one\n\ntwo\n\nthree"),
        ("“It’s ‘so’ well\u2011known…”", "\"It's 'so' well-known...\""),
        ("\u22125 °C, 50 %, 5 €, © 2024", "-5 °C, 50 %, 5 €, © 2024"),
        ("\ufb01ne \U0001d401\U0001d428\U0001d425\U0001d41d ＡＢＣ１２３ ｶﾞ", "fine Bold ABC123 ガ"),
        ("你好，世界！ Wow!!!!!!!!!!", "你好，世界！ Wow!!!"),
        ("a -- b and c--d, run --flag", "a — b and c—d, run --flag"),
        ("می\u200cخواهم क्\u200dष a\u200cb", "می\u200cخواهم क्\u200dष ab"),
        (" \n\u200b\n ", ""),
    ],
)
def test_typography_becomes_plain(raw: str, plain: str) -> None:
    assert normalise(raw) == plain


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("This is **bold**, *slanted*, ***both***, __bold__, _slanted_ and ~~gone~~.",
         "This is bold, slanted, both, bold, slanted and gone."),
        ("**Note:**mind the gap", "Note:mind the gap"),
        ("这是**重点**内容。", "这是重点内容。"),
        ("# Title\n\n### Part 2\nRun `pip install x` now", "Title\n\nPart 2\nRun pip install x now"),
        ("See [the docs](https://a.b/c_(d) \"Docs\") and ![a cat](cat.png).", "See the docs and a cat."),
        ("Go to <https://a.b/c>.", "Go to https://a.b/c."),
        ("- one\n* two\n+ three\n• four\n- [x] five\n- **six**", "one\ntwo\nthree\nfour\nfive\nsix"),
        ("1. one\n2. two", "1. one\n2. two"),
        ("> quoted\n> > twice", "quoted\ntwice"),
        ("before\n\n---\n\nafter", "before\n\nafter"),
        ("```python\nx = 1\n```", "x = 1"),
        ("| Name | Age |\n|------|:---:|\n| Ann | 7 |", "Name, Age\n\nAnn, 7"),
        (r"2 \* 3 and \# and 1\. x", "2 * 3 and # and 1. x"),
        ("Great 👍🏽. Hi👋there 🎉🎉", "Great. Hi there"),
        ("I ❤️ it 👨‍👩‍👧, and 🇩🇪 too ☕ 1️⃣ first", "I it, and too 1 first"),
    ],
)  # fmt: skip
def test_markdown_marks_and_emoji_are_not_read_aloud(raw: str, plain: str) -> None:
    assert normalise(raw) == plain


@pytest.mark.parametrize(
    "text",
    ["2 * 3 = 6", "2*3=6", "C# and F#", "snake_case_name", "You are #1!", "a-b", "-5 degrees", "[1] is a note", "x | y",
     "first_last@mail.org", "https://a.b/some_page?x=1&y=2", "~5 minutes", "3 > 2", "a/b", "Tom & Jerry", "O'Neill"],
)  # fmt: skip
def test_what_only_looks_like_markdown_survives(text: str) -> None:
    assert normalise(text) == text


@settings(deadline=None)
@given(ANY_TEXT)
def test_normalised_text_is_clean_whatever_comes_in(text: str) -> None:
    plain = normalise(text)
    assert unicodedata.is_normalized("NFC", plain)
    assert plain == plain.strip()
    assert "\n\n\n" not in plain
    assert "  " not in plain
    assert not [c for c in plain if c != "\n" and unicodedata.category(c) in {"Cc", "Cs", "Co"}]
    plain.encode("utf-8")


@settings(deadline=None)
@given(st.text(alphabet="abc XYZäß09.,", max_size=200))
def test_normalising_plain_text_loses_no_letter(text: str) -> None:
    assert [c for c in normalise(text) if c.isalnum()] == [c for c in text if c.isalnum()]


@pytest.mark.parametrize(
    "sentences",
    [
        ["Dr. Smith met Mr. J. R. R. Tolkien at 5 p.m. in the U.S. Army base.", "They talked."],
        ["It was 5 a.m.", "He left the U.S.", "The rest stayed near Elm St.", "She got her Ph.D.", "And that was all."],
        ["Ca. 5 Mio. Euro bzw. 3 Mrd. Dollar für die Hauptstr. 5 und die Ringstr.", "Das ist viel."],
        ["At 5 a.m. I met Mr. Smith of St. Mary's, at 6 p.m. Eastern time, e.g. The Beatles, a.k.a. The Four."],
        ["Use fruit, e.g. apples, i.e. the usual.", "St. John and Prof. Li came vs. Mrs. Doe."],
        ["Pi is 3.14 and the version is 1.2.3.", "See https://a.b/c.d?x=1.", "Mail jo.doe@mail.co.uk.", "Thanks!"],
        ["Das ist z.B. gut.", "Am 3. Mai kam Dipl.-Ing. Huber aus Nr. 115.", "Das geht z. B. Hans an."],
        ["Hello there.", "How are you?", "Wait...", "What?!", "No!!", "Well... maybe."],
        ['"Stop!" he cried.', 'She said "No."', "Then (at last.)", "Silence."],
        ["“Really?” he asked.", "‘Yes.’", "« Bonjour ! » dit-il.", "« Oui. »", "Puis il part."],
        ["So do I.", "He left.", "No.", "I know.", "No. 5 is alive."],
        ["To jest np. test o godz. 14.30.", "Prof. Nowak mieszka przy ul. Długiej.", "Dr Kowalski też."],
        ["Viz např. str. 5 a kap. 117.", "Ing. Novák přišel v 5. hodině.", "Konec."],
        ["См. рис. 5 и стр. 117.", "А. С. Пушкин жил на ул. Мойке.", "Это т. е. так."],
        ["Il Sig. Rossi e la Dott.ssa Bianchi, ecc.", "Arrivano alle 14.30.", "Bene."],
        ["Dr. Öztürk geldi.", "Saat 14.30'da vb. şeyler oldu.", "Bitti."],
        ["Dr. Nagy a 3. emeleten lakik.", "A XX. század jött.", "Vége."],
        ["O Sr. Silva mora na av. Brasil, nº 115.", "Certo?", "Certo!"],
        ["Dhr. De Vries woont o.a. in Den Haag, nr. 115.", "Klopt dat?"],
        ["M. Dupont et Mme Martin, p. ex. à 14h30.", "« Oui ! » dit-il.", "Fin."],
        ["El Sr. D. Juan vive en EE. UU. desde 1990.", "¿Verdad?", "¡Sí!"],
        ["안녕하세요.", "저는 3.5킬로를 뛰었어요.", "좋아요!"],
        ["1. Open the door.", "He was born in 1990.", "Hi!", "how are you?", "see you"],
    ],
)
def test_text_is_cut_into_its_sentences(sentences: list[str]) -> None:
    assert texts(split_clauses(" ".join(sentences), first_max_chars=220)) == sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("你好！今天怎么样？我很好。", ["你好！", "今天怎么样？", "我很好。"]),
        ("「はい。」他说……走了。你好!好的.再见", ["「はい。」", "他说……走了。", "你好!", "好的.", "再见"]),
        ("¿Qué tal? ¡Hola!¿Y tú?", ["¿Qué tal?", "¡Hola!", "¿Y tú?"]),
        ("价格是3.5元。你好吗？“走吧。”他说。", ["价格是3.5元。", "你好吗？", "“走吧。”", "他说。"]),
        ("3.5キロです。「はい！」終わり！", ["3.5キロです。", "「はい！」", "終わり！"]),
        ("قال: 3.14. ثم ذهب؟ نعم.", ["قال: 3.14.", "ثم ذهب؟", "نعم."]),
        ("यह एक है। दूसरा है।", ["यह एक है।", "दूसरा है।"]),
        ("كيف حالك؟ أنا بخير.", ["كيف حالك؟", "أنا بخير."]),
        ("Привет! Как дела? Хорошо.", ["Привет!", "Как дела?", "Хорошо."]),
    ],
)
def test_sentences_of_other_scripts_are_told_apart(text: str, sentences: list[str]) -> None:
    assert texts(split_clauses(text)) == sentences


def test_pauses_tell_paragraph_sentence_and_clause_apart() -> None:
    long = "this clause is some forty characters long, " * 8
    clauses = split_clauses(f"One. Two\nThree\n\nFour {long} end.\n\n", max_chars=100)
    pauses = {clause.text: clause.pause_s for clause in clauses}
    in_clause = next(clause.pause_s for clause in clauses if clause.text.startswith("Four"))
    assert pauses["Three"] > pauses["One."] == pauses["Two"] > in_clause > 0
    assert clauses[-1].pause_s == 0


@pytest.mark.parametrize(
    "units",
    [
        ["When the sun had gone down,", "the three walked back to the old house; nobody said a word.", "It rained."],
        ["Nobody in the whole of the little town had seen anything like that,", "and nobody ever would."],
    ],
)
def test_first_unit_is_short_and_ends_at_a_clause_mark(units: list[str]) -> None:
    assert texts(split_clauses(" ".join(units))) == units


@pytest.mark.parametrize(
    "text",
    [
        "Nobody in the whole of the little town had ever seen anything that was even remotely like that.",
        "Oh, nobody in the whole of the little town had ever seen anything even remotely like that thing.",
        "Nobody in the whole of the little town had ever seen anything even remotely like that thing, sir.",
    ],
)
def test_first_sentence_stays_whole_without_a_mark_amid_it(text: str) -> None:
    assert split_clauses(text) == [Clause(text, 0.0)]


def test_long_sentence_is_cut_at_marks_but_not_inside_numbers() -> None:
    text = "It cost 1,000,000.50 euros at 12:30 (they said so) and then, after some more haggling — sold."
    assert texts(split_clauses(text, first_max_chars=40, max_chars=40)) == [
        "It cost 1,000,000.50 euros at 12:30",
        "(they said so) and then,",
        "after some more haggling — sold.",
    ]


def test_long_chinese_sentence_is_cut_at_its_commas() -> None:
    clause = "今天天气很好我们去公园，"
    assert texts(split_clauses(clause * 6, first_max_chars=26, max_chars=30)) == [clause * 2] * 3


def test_sentence_without_marks_is_cut_at_words_with_no_pause() -> None:
    clauses = split_clauses("lorem " * 100, max_chars=50)
    assert set(" ".join(texts(clauses)).split()) == {"lorem"}
    assert {clause.pause_s for clause in clauses} == {0.0}
    assert min(len(clause.text) for clause in clauses) >= 10


def test_run_without_blanks_is_cut_but_letters_keep_their_marks() -> None:
    clauses = split_clauses("क्षि" * 100, max_chars=33)
    assert not [text for text in texts(clauses) if unicodedata.category(text[0]).startswith("M")]
    assert "".join(texts(clauses)) == "क्षि" * 100


def test_marks_standing_alone_join_their_neighbours() -> None:
    assert texts(split_clauses("*** Hello. ... !!!\n\n---\nBye")) == ["*** Hello. ... !!! ---", "Bye"]


@pytest.mark.parametrize("text", ["", " \n ", "🎉 🎉", "?!... — «»", "。！？", "\u0301"])
def test_text_without_anything_to_say_has_no_clauses(text: str) -> None:
    assert not is_speakable(text)
    assert split_clauses(text) == []


@pytest.mark.parametrize("text", ["a", "7", "今", "か", "!é!", "٣"])
def test_letters_digits_and_ideographs_are_speakable(text: str) -> None:
    assert is_speakable(text)
    assert texts(split_clauses(text)) == [text]


@settings(max_examples=400, deadline=None)
@given(ANY_TEXT, st.integers(1, 80), st.integers(1, 250))
def test_no_visible_character_is_lost_and_no_limit_broken(text: str, first_max_chars: int, max_chars: int) -> None:
    clauses = split_clauses(text, first_max_chars=first_max_chars, max_chars=max_chars)
    if not is_speakable(text):
        assert clauses == []
        return
    assert "".join("".join(texts(clauses)).split()) == "".join(text.split())
    assert all(clause.text == " ".join(clause.text.split()) != "" for clause in clauses)
    assert max(len(clause.text) for clause in clauses) <= max_chars
    assert clauses[-1].pause_s == 0
    assert all(clause.pause_s >= 0 for clause in clauses)


WORDS = ["Hello", "Dr.", "3.14", "end.", "a,", "(so", "what)?", '"Yes!"', "...", "well-known", "12:30;"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=80), st.integers(1, 80), st.integers(12, 90))
def test_words_that_fit_are_never_cut(words: list[str], first_max_chars: int, max_chars: int) -> None:
    clauses = split_clauses(" ".join(["Now", *words]), first_max_chars=first_max_chars, max_chars=max_chars)
    assert " ".join(texts(clauses)).split() == ["Now", *words]


HOSTILE = [
    "a", ".", "!a", "a ", " .", "a. ", "1", "😀", "😀 ", "*a ", "*", "_", "__a", "[", "[a](", '[a](b "', "a (", ")",
    '."', "\n", "a\n", "a\n\n", "-", "- ", "> ", "# ", "|", "| ", "`", "```a", "<https://", "\\", "a\u0301\u0316",
    "\u0301\u0316", "\u0301\u0316\u0301\u0316*", "\u200d", "\ud800", "。", "今，", "今", "，", "a,", "a, ", "…",
    "U.S. ", " -", "“", "क्षि", "The quick brown fox, aged 3.14, met Dr. Smith at 5 p.m. near the U.S. border! ",
]  # fmt: skip


@pytest.mark.parametrize(("head", "unit"), [*(("", unit) for unit in HOSTILE), *(("a", unit) for unit in "*_`[|-.>")])
def test_hostile_text_of_100_kb_takes_no_time(head: str, unit: str) -> None:
    text = head + unit * (100_000 // len(unit)) + head
    started = time.process_time()
    split_clauses(normalise(text))
    split_clauses(text)
    assert time.process_time() - started < 2.0
