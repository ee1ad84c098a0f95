"""Subtitles: where cues and lines end, when they are shown, and what holds whatever was heard."""

import math
import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transcript_data import FOLDER, load_transcript
from voice_stack.asr.rendering import cues_from, render
from voice_stack.asr.transcript import Segment, Transcript, Word
from voice_stack.utils.cues.cue import Cue, CueOptions
from voice_stack.utils.cues.stream import CueStream

WORD_S = 0.3
SDH = CueOptions(sdh=True)


def segment(text: str, start_s: float, end_s: float, *words: Word) -> Segment:
    return Segment(text, start_s, end_s, (), 0.0, -0.1, 1.0, 0.0, words=words)


def say(text: str, *, start_s: float = 0.0) -> Segment:
    """Words of 0.3 s with 0.1 s between them; a number between slashes is a pause in seconds."""
    words, clock_s = [], start_s
    for part in text.split():
        if part.startswith("/") and part.endswith("/"):
            clock_s += float(part.strip("/"))
            continue
        words.append(Word(part, clock_s, clock_s + WORD_S, 0.9))
        clock_s += WORD_S + 0.1
    return segment(" " + " ".join(word.text for word in words), start_s, words[-1].end_s, *words)


def say_at(text: str, word_s: float, *, start_s: float = 0.0) -> Segment:
    """Words of one length without a gap between them."""
    starts = [start_s + n * word_s for n in range(len(text.split()))]
    words = [Word(part, at_s, at_s + word_s, 0.9) for part, at_s in zip(text.split(), starts, strict=True)]
    return segment(" " + text, start_s, words[-1].end_s, *words)


def transcript(*segments: Segment, language: str = "en", task: str = "transcribe") -> Transcript:
    return Transcript(task, language, 1.0, 1e6, segments)


def shown(*segments: Segment, language: str = "en", options: CueOptions = SDH) -> list[tuple[str, ...]]:
    return [cue.lines for cue in cues_from(transcript(*segments, language=language), options)]


def timed(cue: Cue) -> tuple[float, float]:
    return round(cue.start_s, 3), round(cue.end_s, 3)


# Real speech


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.json")))
def test_real_speech_reads_as_judged(name: str) -> None:
    expected = (FOLDER / f"{name}.srt").read_text(encoding="utf-8")
    assert render(load_transcript(name), "srt").decode() == expected


# Where cues end


def test_each_sentence_has_a_cue() -> None:
    assert shown(say("The train was late again. Nobody on the platform was surprised.")) == [
        ("The train was late again.",),
        ("Nobody on the platform was surprised.",),
    ]


def test_a_long_sentence_ends_its_cues_at_clauses() -> None:
    text = (
        "When the old captain had finished his story about the whale, the children who sat around him on the deck "
        "wanted to hear it again."
    )
    cues = shown(say(text))
    assert " ".join(cues[0]) == "When the old captain had finished his story about the whale,"
    assert " ".join(" ".join(lines) for lines in cues) == text


def test_short_answers_share_a_cue() -> None:
    assert shown(say("Yes. I know.")) == [("Yes. I know.",)]


def test_two_words_stay_with_what_follows_at_once() -> None:
    slowly = say_at("Right then. We can all go home now.", 0.8)
    assert shown(slowly) == [("Right then. We can all go home now.",)]
    assert shown(say_at("Right then.", 0.8), say_at("We can all go home now.", 0.8, start_s=2.4)) == [
        ("Right then.",),
        ("We can all go home now.",),
    ]


def test_what_is_said_in_a_flash_stays_with_what_follows() -> None:
    flash = say_at("I am in.", 0.1)
    assert shown(flash, say_at("You are out of it now.", 0.3, start_s=0.3)) == [("I am in. You are out of it now.",)]


def test_a_hurried_sentence_shares_the_time_of_a_slow_one() -> None:
    hurried = say_at("Everybody should immediately evacuate this building!", 0.15)
    slow = say_at("All of us right now?", 0.6, start_s=0.9)
    assert shown(hurried, slow) == [("Everybody should immediately evacuate", "this building! All of us right now?")]
    calm = say_at("Everybody should immediately evacuate this building!", 0.6)
    assert len(shown(calm, say_at("All of us right now?", 0.6, start_s=3.6))) == 2


def test_a_first_word_is_not_left_behind() -> None:
    # The sentence is too long for one cue; the cheapest way to shorten it would be to show its first word alone.
    text = "Well we never thought that anybody would come to a house so far away from the town as this one"
    assert all(sum(len(line.split()) for line in lines) >= 3 for lines in shown(say(text)))


def test_no_cue_shows_its_end_before_a_long_pause_is_over() -> None:
    first, second = cues_from(transcript(say("He opened the door and /1.6/ ran away from us.")))
    assert first.lines == ("He opened the door and",)
    # The fifth word ends at 1.9 s; after 0.1 s and the pause the sixth begins.
    assert timed(first) == (0.0, 2.4)
    assert second.start_s == 3.6


def test_a_short_pause_does_not_part_a_phrase() -> None:
    assert shown(say("He opened the door and /0.3/ ran away.")) == [("He opened the door and ran away.",)]


# Where lines end


@pytest.mark.parametrize(
    ("language", "first", "second"),
    [
        ("en", "She walked home slowly", "because the rain had stopped"),
        ("en", "After the very long dinner,", "she took the train home"),
        ("de", "Der Zug fuhr langsam weiter", "obwohl niemand mehr einstieg"),
        ("fr", "Il marchait dans la rue", "parce que personne ne venait"),
        ("es", "Volvimos todos a la casa", "porque empezaba a llover fuerte"),
        ("pt", "Voltamos todos para casa", "porque começava a chover muito"),
        ("nl", "De trein reed langzaam verder", "omdat er niemand meer instapte"),
        ("it", "Tornammo tutti verso casa", "perché cominciava a piovere"),
    ],
)
def test_lines_end_at_marks_and_before_conjunctions(language: str, first: str, second: str) -> None:
    assert shown(say(f"{first} {second}"), language=language) == [(first, second)]


@pytest.mark.parametrize(
    ("language", "whole", "sentence"),
    [
        ("en", "Dr. Smith", "Every single morning at nine my Dr. Smith goes round the ward"),
        ("en", "New York City", "They are going to be living in New York City before the year is over"),
        ("en", "3 May 2001", "It was on a rainy morning of 3 May 2001 that they finally met again"),
        ("en", "2,500 people", "I should guess that nearly about 2,500 people were waiting there"),
        ("en", "Room 101", "He must have been hiding inside the Room 101 ever since last night"),
        ("en", "well-dressed", "Somebody saw that the very tall, well-dressed stranger was leaving"),
        ("de", "z. B. Prag", "Man hat das früher auch schon anderswo z. B. Prag so gemacht"),
        ("fr", "10 000 euros", "Elle lui doit depuis longtemps plus de 10 000 euros pour la maison"),
        ("fr", "venait ?", "Mais pourquoi est-ce que jamais personne ne venait ? demanda-t-elle alors"),
        ("de", "20 €", "Das alles zusammen kostete am Ende nur 20 € und ein wenig Geduld"),
    ],
)
@pytest.mark.parametrize("width", [20, 28, 42])
def test_numbers_names_and_abbreviations_stay_whole(language: str, whole: str, sentence: str, width: int) -> None:
    options = CueOptions(max_line_width=width)
    lines = [line for lines in shown(say(sentence), language=language, options=options) for line in lines]
    assert " ".join(lines) == sentence
    assert any(whole in line for line in lines), lines


def test_words_split_at_a_hyphen_are_one() -> None:
    words = (Word("cold", 0.0, 0.4, 0.9), Word("-hearted", 0.4, 0.8, 0.9), Word("man", 0.9, 1.2, 0.9))
    narrow = CueOptions(max_line_width=13)
    assert shown(segment(" cold-hearted man", 0.0, 1.2, *words), options=narrow) == [("cold-hearted", "man")]


def test_lines_are_alike() -> None:
    (lines,) = shown(say("one two three four five six seven eight nine ten eleven"))
    assert len(lines) == 2
    assert abs(len(lines[0]) - len(lines[1])) <= 5


def test_options_set_the_width_and_the_number_of_lines() -> None:
    text = "one two three four five six seven eight nine ten"
    assert shown(say(text), options=CueOptions(max_line_width=100)) == [(text,)]
    one_line = shown(say(text), options=CueOptions(max_line_width=30, max_lines=1))
    assert {len(lines) for lines in one_line} == {1}
    assert len(one_line) == 2
    three_lines = shown(say(text), options=CueOptions(max_line_width=18, max_lines=3))
    assert [len(lines) for lines in three_lines] == [3]


# Languages without spaces


@pytest.mark.parametrize(("language", "characters"), [("zh", 16), ("ja", 13), ("ko", 16), ("yue", 16)])
def test_wide_characters_have_a_limit_of_their_own(language: str, characters: int) -> None:
    lines = shown(segment("語" * 60, 0.0, 12.0), language=language)
    assert max(len(line) for cue in lines for line in cue) <= characters
    assert "".join("".join(cue) for cue in lines) == "語" * 60


def test_a_text_without_end_or_structure_is_parted_evenly() -> None:
    cues = shown(segment("語" * 3000, 0.0, 600.0), language="zh")
    assert "".join("".join(lines) for lines in cues) == "語" * 3000
    assert min(sum(map(len, lines)) for lines in cues[:-1]) >= 28  # of 32


@pytest.mark.parametrize("width", [6, 10, 16, 24, 32])
def test_chinese_marks_begin_no_line(width: int) -> None:
    text = "我们今天要讲的是（一个关于）北京的故事，他住在一条小街上，已经有二十年了。"
    options = CueOptions(max_line_width=width, sdh=True)
    lines = [line for cue in shown(segment(text, 0.0, 9.0), language="zh", options=options) for line in cue]
    assert "".join(lines) == text
    assert not [line for line in lines if line[0] in "，。）" or line[-1] == "（"]


def test_a_word_without_space_before_it_begins_when_it_is_said() -> None:
    words = (Word("你好。", 0.0, 1.0, 0.9), Word("我们走吧。", 2.2, 3.4, 0.9))
    cues = cues_from(transcript(segment("你好。我们走吧。", 0.0, 3.4, *words), language="zh"))
    assert [(cue.start_s, cue.lines) for cue in cues] == [(0.0, ("你好。",)), (2.2, ("我们走吧。",))]


def test_japanese_breaks_after_a_particle() -> None:
    cues = shown(segment("何でも薄暗いじめじめした所でニャーニャー泣いていた。", 0.0, 6.0), language="ja")
    assert "ニャーニャー" in "".join(line for lines in cues for line in lines if "ニャーニャー" in line)
    assert all(line[0] not in "ーじめ" for lines in cues for line in lines)


def test_thai_breaks_between_its_words_only() -> None:
    texts = ["เขา", "เดิน", "ทาง", "ไป", "กรุงเทพ", "ตั้งแต่", "เช้า", "เพื่อ", "พบ", "เพื่อน"]
    words = [Word(text, n * 0.4, n * 0.4 + 0.35, 0.9) for n, text in enumerate(texts)]
    narrow = CueOptions(max_line_width=12)
    lines = [
        line for cue in shown(segment("".join(texts), 0.0, 4.0, *words), language="th", options=narrow) for line in cue
    ]
    assert "".join(lines) == "".join(texts)
    ends = {sum(map(len, texts[:n])) for n in range(1, len(texts) + 1)}
    assert {sum(map(len, lines[:n])) for n in range(1, len(lines) + 1)} <= ends


# Times


def test_a_cue_lingers_to_be_seen_and_read() -> None:
    (spoken,) = cues_from(transcript(say("Not today at all.")))
    assert timed(spoken) == (0.0, 2.0)  # the last word ends at 1.5 s
    (flash,) = cues_from(transcript(segment(" No!", 5.0, 5.2, Word("No!", 5.0, 5.2, 0.9))))
    assert timed(flash) == (5.0, 6.0)
    fast = [Word("abcdefghi", n * 0.2, n * 0.2 + 0.2, 0.9) for n in range(4)]  # 39 characters in 0.8 s
    (hurried,) = cues_from(transcript(segment(" " + " ".join(word.text for word in fast), 0.0, 0.8, *fast)))
    assert timed(hurried) == (0.0, 1.8)


@pytest.mark.parametrize(
    ("pause_s", "end_s"),
    [(0.0, 2.217), (0.3, 2.517), (0.6, 2.817), (0.82, 2.8), (1.2, 2.8)],
    ids=["at once", "small gap", "gap after lingering", "wide gap", "wider gap"],
)
def test_gaps_are_two_frames_or_clearly_seen(pause_s: float, end_s: float) -> None:
    last_word_end_s = 2.3
    following = say("Then they went home again.", start_s=last_word_end_s + pause_s)
    cue, after = cues_from(transcript(say("This has now all been done."), following))
    assert cue.end_s == pytest.approx(end_s, abs=0.0015)
    assert after.start_s == pytest.approx(last_word_end_s + pause_s)


def test_nothing_lingers_after_the_audio() -> None:
    spoken = Transcript("transcribe", "en", 1.0, 2.0, (say("one two three four"),))
    assert cues_from(spoken)[-1].end_s == pytest.approx(2.0)


def test_a_last_word_stretched_over_silence_is_shortened() -> None:
    words = (Word("Good", 0.0, 0.3, 0.9), Word("night.", 0.4, 6.4, 0.9))
    (cue,) = cues_from(transcript(segment(" Good night.", 0.0, 6.4, *words)))
    assert cue.end_s < 3.0


def test_a_first_word_stretched_over_silence_begins_later() -> None:
    words = (Word("Good", 0.0, 6.0, 0.9), Word("night.", 6.1, 6.5, 0.9))
    (cue,) = cues_from(transcript(segment(" Good night.", 0.0, 6.5, *words)))
    assert 4.5 < cue.start_s < 6.0


def test_without_words_time_goes_by_characters() -> None:
    text = " ".join(["abcd"] * 20)  # 99 characters: two cues of ten words
    first, second = cues_from(transcript(segment(" " + text, 100.0, 112.0)))
    assert timed(first)[0] == 100.0
    assert second.start_s == pytest.approx(106.06, abs=0.01)


def test_the_words_of_a_translation_are_not_trusted() -> None:
    words = [Word(text, 0.0, 0.01, 0.9) for text in ("The", "weather", "is", "fine", "today.")]
    (cue,) = cues_from(transcript(segment(" The weather is fine today.", 10.0, 12.0, *words), task="translate"))
    assert timed(cue) == (10.0, 12.5)


# Sound labels and forged markup


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" [Music]", None),
        (" (door slams)", None),
        (" *sighs*", None),
        (" ♪ la la la ♪", None),
        (" ♪", None),
        (" （拍手）", None),
        (" {coughs}.", None),
        (" Hello [laughs] there.", "Hello there."),
        (" Hello (laughs).", "Hello."),
        (" Hello! (laughs).", "Hello!"),
        (" (laughs), hello.", "hello."),
        (" ♪ la la ♪ Stop singing!", "Stop singing!"),
        (" The word(s) and 2 * 3 * 4 remain.", "The word(s) and 2 * 3 * 4 remain."),
        (" An open [bracket remains.", "An open [bracket remains."),
    ],
)
def test_sound_labels_are_dropped_unless_asked_for(text: str, kept: str | None) -> None:
    spoken = transcript(segment(text, 0.0, 2.0))
    assert [" ".join(cue.lines) for cue in cues_from(spoken)] == ([kept] if kept else [])
    assert [" ".join(cue.lines) for cue in cues_from(spoken, SDH)] == [text.strip()]


def test_the_words_beside_a_label_keep_their_times() -> None:
    words = (
        Word("[Loud", 0.0, 1.0, 0.9),
        Word("music]", 1.0, 2.0, 0.9),
        Word("Hello", 4.0, 4.4, 0.9),
        Word("there.", 4.5, 4.9, 0.9),
    )
    (cue,) = cues_from(transcript(segment(" [Loud music] Hello there.", 0.0, 5.0, *words)))
    assert (cue.start_s, cue.lines) == (4.0, ("Hello there.",))


# As the segments come in


def test_cues_come_before_the_film_is_over() -> None:
    segments = [say("The train was late again. Nobody was surprised by it.", start_s=n * 5.0) for n in range(40)]
    stream = CueStream("en")
    early = [len(stream.push(part)) for part in segments]
    assert sum(early[:5]) >= 4
    assert len(stream.flush()) <= 6


# What holds for anything

ANY_TIME_S = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-10, 100)
ANY_WORD = st.builds(Word, st.text(max_size=12), ANY_TIME_S, ANY_TIME_S, st.just(0.5))
WIDTHS = st.none() | st.integers(2, 60)
ANY_OPTIONS = st.builds(CueOptions, max_line_width=WIDTHS, max_lines=st.integers(1, 4), sdh=st.booleans())


@st.composite
def any_segments(draw: st.DrawFn) -> Segment:
    words = draw(st.lists(ANY_WORD, max_size=12))
    joined = draw(st.sampled_from([" ", "", "-->"])).join(word.text for word in words)
    text = draw(
        st.just(joined)
        | st.text(max_size=120)
        | st.text(st.sampled_from("aZ1 .,-–>\n語カー。Ｗ♪[](*\u0301\u200d"), max_size=120)
    )
    return segment(text, draw(ANY_TIME_S), draw(ANY_TIME_S), *words)


ANY_TRANSCRIPT = st.builds(
    Transcript,
    st.sampled_from(["transcribe", "translate"]),
    st.sampled_from(["en", "de", "ja", "zh", "th", "xx"]),
    st.just(1.0),
    ANY_TIME_S,
    st.lists(any_segments(), max_size=5).map(tuple),
)


def columns(text: str) -> int:
    """Columns of a terminal, from the Unicode tables alone."""
    return sum(
        0 if unicodedata.category(c) in {"Mn", "Me", "Cf"} else 1 + (unicodedata.east_asian_width(c) in {"W", "F"})
        for c in text
    )


def visible(text: str) -> str:
    """The characters that take room."""
    kept = (c for c in text if not c.isspace() and unicodedata.category(c) not in {"Mn", "Me", "Cf", "Cc", "Cs"})
    return "".join(kept).replace("→", "-->")


@settings(max_examples=300, deadline=None)
@given(ANY_TRANSCRIPT, ANY_OPTIONS)
def test_cues_are_in_order_fit_and_stay_apart(heard: Transcript, options: CueOptions) -> None:
    cues = cues_from(heard, options)
    language = "en" if heard.task == "translate" else heard.language
    width = options.max_line_width or {"ja": 26, "zh": 32}.get(language, 42)
    for cue in cues:
        assert math.isfinite(cue.end_s)
        assert 0 <= cue.start_s < cue.end_s <= cue.start_s + 7.001
        assert 1 <= len(cue.lines) <= options.max_lines
        for line in cue.lines:
            assert line
            assert line == line.strip()
            assert len(line.splitlines()) == 1
            assert columns(line) <= width
            assert "-->" not in line
    assert all(after.start_s - cue.end_s >= 0.0829 for cue, after in pairwise(cues))


@settings(max_examples=300, deadline=None)
@given(ANY_TRANSCRIPT, WIDTHS)
def test_nothing_visible_is_lost(heard: Transcript, width: int | None) -> None:
    cues = cues_from(heard, CueOptions(max_line_width=width, sdh=True))
    texts = "".join("".join(cue.lines) for cue in cues)
    assert visible(texts) == visible("".join(part.text for part in heard.segments))


@settings(max_examples=200, deadline=None)
@given(ANY_TRANSCRIPT, ANY_OPTIONS)
def test_a_stream_gives_the_same_cues(heard: Transcript, options: CueOptions) -> None:
    stream = CueStream(heard.language, task=heard.task, options=options)
    cues = [cue for part in heard.segments for cue in stream.push(part)]
    assert cues + stream.flush(heard.duration_s) == cues_from(heard, options)


NATURAL = st.lists(
    st.tuples(
        st.floats(0.1, 0.6),
        st.sampled_from([0.0, 0.02, 0.1, 0.2, 0.4, 0.9, 1.4, 1.7, 3.0, 9.0]),
        st.sampled_from(["", "", "", ",", "."]),
    ),
    min_size=1,
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(NATURAL)
def test_natural_speech_is_shown_when_it_is_said(rhythm: list[tuple[float, float, str]]) -> None:
    words, clock_s = [], 0.0
    for number, (length_s, pause_s, mark) in enumerate(rhythm):
        words.append(Word(f"word{number:03}x{mark}", clock_s, clock_s + length_s, 0.9))
        clock_s += length_s + pause_s
    cues = cues_from(transcript(segment(" " + " ".join(word.text for word in words), 0.0, clock_s, *words)))
    by_text = {word.text: word for word in words}
    for cue in cues:
        said = [by_text[text] for line in cue.lines for text in line.split()]
        assert 0 <= round(cue.start_s - said[0].start_s, 3) <= 0.2
        assert cue.end_s <= said[-1].end_s + 1.0 + 0.218
        assert all(after.start_s - word.end_s <= 1.5015 for word, after in pairwise(said))
    for cue, after in pairwise(cues):
        gap_s = round(after.start_s - cue.end_s, 3)
        assert gap_s == 0.083 or gap_s >= 0.3 or cue.end_s - cue.start_s >= 6.99 or cue.end_s - cue.start_s < 0.05
        assert cue.end_s - cue.start_s >= min(0.999, after.start_s - cue.start_s - 0.084)
        is_hurried = len(" ".join(cue.lines)) > 21 * (cue.end_s - cue.start_s)
        has_lingered = cue.end_s >= by_text[cue.lines[-1].split()[-1]].end_s + 0.999
        assert not is_hurried or gap_s == 0.083 or has_lingered


def test_an_hour_takes_well_under_the_time_of_a_request() -> None:
    sentence = "The train was late again, and nobody on the old platform was surprised by it at all."
    segments = [say(sentence, start_s=n * 7.0) for n in range(514)]
    began = time.process_time()
    cues = cues_from(transcript(*segments))
    assert time.process_time() - began < 5
    assert len(cues) >= 514
