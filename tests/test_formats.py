"""Transcripts as bodies, subtitles and events, byte for byte."""

import json
import math
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_stack.asr.formats import (
    TRANSCRIPT_FORMATS,
    delta_event,
    done_event,
    encode_sse,
    render,
    require_transcript_format,
)
from voice_stack.asr.subtitles import LINE_CHARS, cues_from
from voice_stack.asr.transcript import Segment, Transcript, Word, iterate_deltas
from voice_stack.core.errors import UnsupportedValueError

NOTHING: frozenset[str] = frozenset()


def segment(text: str, start_s: float, end_s: float, *words: Word) -> Segment:
    return Segment(text, start_s, end_s, (50363, 440, 50463), 0.0, -0.28656, 1.23647, 0.00987, words=words)


def transcript(*segments: Segment, task: str = "transcribe", duration_s: float = 8.47) -> Transcript:
    return Transcript(task, "de", 0.98, duration_s, segments)


TWO = transcript(
    segment(" Schönes Wetter.", 0.0, 1.5, Word("Schönes", 0.0, 0.7, 0.9), Word("Wetter.", 0.75, 1.5, 0.8)),
    segment(" Ja.", 3661.25, 3662.0, Word("Ja.", 3661.25, 3662.0, 0.99)),
)
EMPTY = transcript()


def test_json_is_text_and_usage() -> None:
    expected = '{"text":"Schönes Wetter. Ja.","usage":{"type":"duration","seconds":9}}'
    assert render(TWO, "json", granularities=NOTHING) == expected.encode()


def test_json_of_a_translation_is_text_alone() -> None:
    translated = transcript(segment(" Fine weather.", 0, 1), task="translate")
    assert render(translated, "json", granularities=NOTHING) == b'{"text":"Fine weather."}'


def test_text_ends_with_one_newline() -> None:
    assert render(TWO, "text", granularities=NOTHING) == "Schönes Wetter. Ja.\n".encode()
    assert render(EMPTY, "text", granularities=NOTHING) == b"\n"


def test_verbose_json_has_openai_s_fields() -> None:
    body = json.loads(render(TWO, "verbose_json", granularities=NOTHING))
    fields = {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": 1.5,
        "text": " Schönes Wetter.",
        "tokens": [50363, 440, 50463],
        "temperature": 0.0,
        "avg_logprob": -0.2866,
        "compression_ratio": 1.2365,
        "no_speech_prob": 0.0099,
    }
    assert body == {
        "task": "transcribe",
        "language": "german",
        "duration": 8.47,
        "text": "Schönes Wetter. Ja.",
        "segments": [fields, fields | {"id": 1, "start": 3661.25, "end": 3662.0, "text": " Ja."}],
        "usage": {"type": "duration", "seconds": 9},
    }


@pytest.mark.parametrize(
    ("asked", "given_"),
    [
        (set(), {"segments"}),
        ({"segment"}, {"segments"}),
        ({"word"}, {"words"}),
        ({"word", "segment"}, {"words", "segments"}),
    ],
)
def test_granularities_choose_the_lists(asked: set[str], given_: set[str]) -> None:
    body = json.loads(render(TWO, "verbose_json", granularities=frozenset(asked)))
    assert {"segments", "words"} & body.keys() == given_
    if "words" in given_:
        assert body["words"][1] == {"word": "Wetter.", "start": 0.75, "end": 1.5}
        assert len(body["words"]) == 3


def test_a_translation_is_english() -> None:
    body = json.loads(render(transcript(task="translate"), "verbose_json", granularities=NOTHING))
    assert (body["task"], body["language"], body["text"], body["segments"]) == ("translate", "english", "", [])


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_numbers_are_finite(value: float) -> None:
    odd = transcript(Segment(" a", 0.0, 1.0, (), 0.0, value, value, value))
    assert json.loads(render(odd, "verbose_json", granularities=NOTHING))["segments"][0]["avg_logprob"] == 0.0


def test_srt_and_vtt_are_as_written_by_hand() -> None:
    srt = (
        "1\n00:00:00,000 --> 00:00:01,500\nSchönes Wetter.\n\n"
        "2\n01:01:01,250 --> 01:01:02,000\nJa.\n\n"
    )  # fmt: skip
    vtt = (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:01.500\nSchönes Wetter.\n\n"
        "01:01:01.250 --> 01:01:02.000\nJa.\n\n"
    )  # fmt: skip
    assert render(TWO, "srt", granularities=NOTHING).decode() == srt
    assert render(TWO, "vtt", granularities=NOTHING).decode() == vtt
    assert render(EMPTY, "srt", granularities=NOTHING) == b""
    assert render(EMPTY, "vtt", granularities=NOTHING) == b"WEBVTT\n\n"


def test_a_long_segment_becomes_balanced_cues_timed_by_its_words() -> None:
    texts = [f"word{n:02}" for n in range(20)]  # 139 characters with their spaces
    words = [Word(text, float(n), n + 0.5, 0.9) for n, text in enumerate(texts)]
    first, second = cues_from(transcript(segment(" " + " ".join(texts), 0.0, 19.5, *words)))
    assert [line.split() for line in (*first.lines, *second.lines)] == [
        texts[:5],
        texts[5:10],
        texts[10:15],
        texts[15:],
    ]
    assert (first.start_s, first.end_s, second.start_s, second.end_s) == (0.0, 9.5, 10.0, 19.5)


def test_without_words_time_goes_by_characters() -> None:
    text = " ".join(["abcd"] * 20)  # 99 characters: two cues of two lines, each of five words
    first, second = cues_from(transcript(segment(" " + text, 100.0, 199.0)))
    assert (first.start_s, first.end_s) == (100.0, 149.0)
    assert (second.start_s, second.end_s) == (150.0, 199.0)


def test_the_arrow_cannot_forge_a_cue() -> None:
    body = render(transcript(segment(" 1 --> 2", 0.0, 1.0)), "srt", granularities=NOTHING).decode()
    assert body == "1\n00:00:00,000 --> 00:00:01,000\n1 → 2\n\n"


@pytest.mark.parametrize(
    ("response_format", "shown"), [("srt", "AT&T <i>5 > 4</i> →"), ("vtt", "AT&amp;T &lt;i&gt;5 &gt; 4&lt;/i&gt; →")]
)
def test_only_vtt_has_markup_to_escape(response_format: str, shown: str) -> None:
    body = render(transcript(segment(" AT&T <i>5 > 4</i> -->", 0.0, 1.0)), response_format, granularities=NOTHING)
    assert body.decode().split("\n")[-3] == shown


def test_escapes_do_not_count_in_the_length_of_a_line() -> None:
    body = render(transcript(segment(" " + "&" * LINE_CHARS, 0.0, 1.0)), "vtt", granularities=NOTHING).decode()
    assert body.endswith("\n" + "&amp;" * LINE_CHARS + "\n\n")


TEXTS = st.text(st.sampled_from("ab .-\n\r\v\u2028<&>語"), max_size=150)
TIMES = st.floats(0, 50)


@given(st.lists(st.tuples(TEXTS, TIMES, TIMES), max_size=5))
def test_cues_are_in_order_fit_and_lose_nothing(parts: list[tuple[str, float, float]]) -> None:
    spoken = transcript(*(segment(text, start, end) for text, start, end in parts))
    cues = cues_from(spoken)
    edges = [edge for cue in cues for edge in (cue.start_s, cue.end_s)]
    assert edges == sorted(edges)
    assert all(cue.end_s > cue.start_s for cue in cues)
    assert all(1 <= len(cue.lines) <= 2 and all(0 < len(line) <= LINE_CHARS for line in cue.lines) for cue in cues)
    shown = "".join("".join(cue.lines) for cue in cues)
    assert "".join(shown.split()) == "".join("".join(text.replace("-->", "→").split()) for text, _, _ in parts)


@given(TEXTS.filter(str.strip))
def test_a_vtt_cue_text_holds_neither_arrow_nor_empty_line(text: str) -> None:
    body = render(transcript(segment(text, 0.0, 1.0)), "vtt", granularities=NOTHING).decode()
    header, *cues, end = body.split("\n\n")
    assert (header, end) == ("WEBVTT", "")
    for cue in cues:
        timing, *lines = cue.split("\n")
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}", timing)
        assert lines
        assert all(line.strip() and not set("<>\r") & set(line) for line in lines)


@given(st.lists(st.text(st.sampled_from("ab \n\u3000"), max_size=6), max_size=8))
def test_deltas_join_to_the_text(texts: list[str]) -> None:
    spoken = transcript(*(segment(text, 0.0, 1.0) for text in texts))
    deltas = list(iterate_deltas(spoken.segments))
    assert "".join(deltas) == spoken.text
    assert all(deltas)


def test_events_are_openai_s() -> None:
    assert encode_sse(delta_event("ä\n")) == 'data: {"type":"transcript.text.delta","delta":"ä\\n"}\n\n'.encode()
    assert done_event(TWO) == {
        "type": "transcript.text.done",
        "text": "Schönes Wetter. Ja.",
        "usage": {
            "type": "tokens",
            "input_tokens": 85,
            "input_token_details": {"text_tokens": 0, "audio_tokens": 85},
            "output_tokens": 6,
            "total_tokens": 91,
        },
    }


def test_media_types_are_exact() -> None:
    text = "text/plain; charset=utf-8"
    assert {name: found.media_type for name, found in TRANSCRIPT_FORMATS.items()} == {
        "json": "application/json",
        "verbose_json": "application/json",
        "text": text,
        "srt": text,
        "vtt": text,
        "tsv": text,
        "jsonl": "application/jsonl",
    }


def test_an_unknown_format_is_refused_with_the_names() -> None:
    with pytest.raises(UnsupportedValueError) as raised:
        require_transcript_format("docx")
    assert raised.value.param == "response_format"
    assert "'docx'" in raised.value.message
    assert "json, text, srt, verbose_json, vtt" in raised.value.message


def test_a_transcript_crosses_the_process_border() -> None:
    assert pickle.loads(pickle.dumps(TWO)) == TWO
