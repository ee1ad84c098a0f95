"""Who speaks, as each format shows it."""

import html
import json
import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from voice_stack.asr.rendering import RenderOptions, cues_from, render
from voice_stack.asr.transcript import Segment, Speaker, Transcript, Word
from voice_stack.utils.cues.cue import CueOptions
from voice_stack.utils.cues.tokens import display_width

ANNA, OTHER = Speaker(1, "Anna <R&D>", 0.7), Speaker(0)


def say(who: Speaker, text: str, start_s: float) -> Segment:
    """Words of 0.4 s."""
    words = tuple(
        Word(part, start_s + n * 0.4, start_s + (n + 1) * 0.4, 0.9, speaker=who) for n, part in enumerate(text.split())
    )
    return Segment(f" {text}", start_s, words[-1].end_s, (), 0.0, -0.1, 1.0, 0.0, words=words, speaker=who)


def dialogue(*segments: Segment) -> Transcript:
    return Transcript("transcribe", "en", 1.0, 1e4, segments, has_speakers=True)


TALK = dialogue(
    say(OTHER, "Are you ready?", 0.0),
    say(OTHER, "I am waiting for you.", 3.0),
    say(ANNA, "Yes I am.", 5.0),
    say(OTHER, "Good.", 6.5),
)


def shown(response_format: str) -> str:
    return render(TALK, response_format).decode()


def test_srt_names_who_speaks_where_that_changes() -> None:
    assert re.findall(r"\d\d\n(.+)\n\n", re.sub(r",\d{3}", "", shown("srt"))) == [
        "SPEAKER_00: Are you ready?",
        "I am waiting for you.",
        "Anna <R&D>: Yes I am.",
        "SPEAKER_00: Good.",
    ]


def test_vtt_marks_the_voice_of_every_cue() -> None:
    assert re.findall(r"\.\d{3}\n(.+)\n\n", shown("vtt")) == [
        "<v SPEAKER_00>Are you ready?",
        "<v SPEAKER_00>I am waiting for you.",
        "<v Anna &lt;R&amp;D&gt;>Yes I am.",
        "<v SPEAKER_00>Good.",
    ]


def test_text_and_json_have_a_line_for_each_turn_of_speech() -> None:
    lines = "SPEAKER_00: Are you ready? I am waiting for you.\nAnna <R&D>: Yes I am.\nSPEAKER_00: Good."
    assert shown("text") == f"{lines}\n"
    assert json.loads(shown("json"))["text"] == lines


def test_lrc_and_tsv_name_the_speaker() -> None:
    assert shown("lrc").splitlines()[1:3] == ["[00:03.00]I am waiting for you.", "[00:05.00]Anna <R&D>: Yes I am."]
    assert shown("tsv").splitlines()[::3] == ["start\tend\ttext\tspeaker", "5000\t6200\tYes I am.\tAnna <R&D>"]


def test_segments_and_words_in_json_have_their_speaker() -> None:
    words = RenderOptions(granularities=frozenset({"segment", "word"}))
    body = json.loads(render(TALK, "verbose_json", words))
    assert body["text"] == "Are you ready? I am waiting for you. Yes I am. Good."
    assert [part["speaker"] for part in body["segments"]] == ["SPEAKER_00", "SPEAKER_00", "Anna <R&D>", "SPEAKER_00"]
    assert [(word["word"], word["speaker"]) for word in body["words"][-2:]] == [
        ("am.", "Anna <R&D>"),
        ("Good.", "SPEAKER_00"),
    ]
    line = json.loads(shown("jsonl").splitlines()[2])
    assert (line["speaker"], line["words"][0]["speaker"]) == ("Anna <R&D>", "Anna <R&D>")


NAMES = st.one_of(st.just(""), st.text(st.sampled_from("aB <>&[].?語"), min_size=1, max_size=60).filter(str.strip))
LINES = st.tuples(st.integers(0, 2), st.text(st.sampled_from("ab .?,語"), min_size=1, max_size=80).filter(str.strip))


@given(
    st.lists(NAMES, min_size=3, max_size=3, unique_by=lambda name: " ".join(name.split())),
    st.lists(LINES, min_size=1, max_size=8),
)
def test_no_cue_has_two_speakers_and_names_fit_the_lines(names: list[str], lines: list[tuple[int, str]]) -> None:
    speakers = [Speaker(number, " ".join(name.split())) for number, name in enumerate(names)]
    talk = dialogue(*(say(speakers[who], text, 2.0 * n) for n, (who, text) in enumerate(lines)))
    cues = cues_from(talk, CueOptions(max_line_width=20, sdh=True), shows_names=True)
    assert all(display_width(line) <= 20 for cue in cues for line in cue.lines)
    assert all(one.end_s < other.start_s for one, other in pairwise(cues))
    told, last = "", None
    for part in talk.segments:
        assert part.speaker
        told += (f"{part.speaker.label}:" if part.speaker != last else "") + part.text
        last = part.speaker
    assert "".join("".join(line for cue in cues for line in cue.lines).split()) == "".join(told.split())
    voices = {cue.voice: "".join(cue.lines) for cue in cues}
    assert set(voices) == {part.speaker.label for part in talk.segments if part.speaker}
    tags = re.findall(r"<v ([^>]+)>", render(talk, "vtt", RenderOptions(sdh=True)).decode())
    assert {html.unescape(tag) for tag in tags} == set(voices)
