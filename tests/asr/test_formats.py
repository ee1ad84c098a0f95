"""Transcripts as bodies, subtitles and events, byte for byte."""

import json
import math
import pickle
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_stack.asr.rendering import (
    TRANSCRIPT_FORMATS,
    RenderOptions,
    delta_event,
    done_event,
    render,
    require_transcript_format,
)
from voice_stack.asr.transcript import Segment, TextDeltas, TokenLogprob, Transcript, Word
from voice_stack.core.errors import UnsupportedValueError
from voice_stack.core.http.streaming import encode_sse
from voice_stack.utils.cues.cue import DEFAULT_LINE_WIDTH

NOTHING = RenderOptions()


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
    assert render(TWO, "json", NOTHING) == expected.encode()


def test_json_of_a_translation_is_text_alone() -> None:
    translated = transcript(segment(" Fine weather.", 0, 1), task="translate")
    assert render(translated, "json", NOTHING) == b'{"text":"Fine weather."}'


def test_text_ends_with_one_newline() -> None:
    assert render(TWO, "text", NOTHING) == "Schönes Wetter. Ja.\n".encode()
    assert render(EMPTY, "text", NOTHING) == b"\n"


def test_verbose_json_has_openai_s_fields() -> None:
    body = json.loads(render(TWO, "verbose_json", NOTHING))
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
        "languages": [{"code": "de"}],
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
    body = json.loads(render(TWO, "verbose_json", RenderOptions(granularities=frozenset(asked))))
    assert {"segments", "words"} & body.keys() == given_
    if "words" in given_:
        assert body["words"][1] == {"word": "Wetter.", "start": 0.75, "end": 1.5}
        assert len(body["words"]) == 3


def test_segments_and_words_name_their_language() -> None:
    mixed = replace(TWO, segments=(replace(TWO.segments[0], language="fr"), replace(TWO.segments[1], language="de")))
    body = json.loads(render(mixed, "verbose_json", RenderOptions(granularities=frozenset({"word", "segment"}))))
    assert body["languages"] == [{"code": "de"}, {"code": "fr"}]
    assert [segment["language"] for segment in body["segments"]] == ["fr", "de"]
    assert [word["language"] for word in body["words"]] == ["fr", "fr", "de"]
    lines = render(mixed, "jsonl", NOTHING).decode().splitlines()
    assert [json.loads(line)["language"] for line in lines] == ["fr", "de"]


def test_a_translation_is_english() -> None:
    body = json.loads(render(transcript(task="translate"), "verbose_json", NOTHING))
    assert (body["task"], body["language"], body["text"], body["segments"]) == ("translate", "english", "", [])


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_numbers_are_finite(value: float) -> None:
    odd = transcript(Segment(" a", 0.0, 1.0, (), 0.0, value, value, value))
    assert json.loads(render(odd, "verbose_json", NOTHING))["segments"][0]["avg_logprob"] == 0.0


def test_srt_and_vtt_are_as_written_by_hand() -> None:
    srt = (
        "1\n00:00:00,000 --> 00:00:02,000\nSchönes Wetter.\n\n"
        "2\n01:01:01,250 --> 01:01:02,000\nJa.\n\n"
    )  # fmt: skip
    vtt = (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:02.000\nSchönes Wetter.\n\n"
        "01:01:01.250 --> 01:01:02.000\nJa.\n\n"
    )  # fmt: skip
    assert render(TWO, "srt", NOTHING).decode() == srt
    assert render(TWO, "vtt", NOTHING).decode() == vtt
    assert render(EMPTY, "srt", NOTHING) == b""
    assert render(EMPTY, "vtt", NOTHING) == b"WEBVTT\n\n"


def test_the_arrow_cannot_forge_a_cue() -> None:
    body = render(transcript(segment(" 1 --> 2", 0.0, 1.0)), "srt", NOTHING).decode()
    assert body == "1\n00:00:00,000 --> 00:00:01,500\n1 → 2\n\n"


@pytest.mark.parametrize(
    ("response_format", "shown"), [("srt", "AT&T <i>5 > 4</i> →"), ("vtt", "AT&amp;T &lt;i&gt;5 &gt; 4&lt;/i&gt; →")]
)
def test_only_vtt_has_markup_to_escape(response_format: str, shown: str) -> None:
    body = render(transcript(segment(" AT&T <i>5 > 4</i> -->", 0.0, 1.0)), response_format, NOTHING)
    assert body.decode().split("\n")[-3] == shown


def test_escapes_do_not_count_in_the_length_of_a_line() -> None:
    body = render(transcript(segment(" " + "&" * DEFAULT_LINE_WIDTH, 0.0, 1.0)), "vtt", NOTHING).decode()
    assert body.endswith("\n" + "&amp;" * DEFAULT_LINE_WIDTH + "\n\n")


TEXTS = st.text(st.sampled_from("ab .-\n\r\v\u2028<&>語"), max_size=150)


@given(TEXTS.filter(str.strip))
def test_a_vtt_cue_text_holds_neither_arrow_nor_empty_line(text: str) -> None:
    body = render(transcript(segment(text, 0.0, 1.0)), "vtt", NOTHING).decode()
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
    assert "".join(map(TextDeltas().push, spoken.segments)) == spoken.text


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
        "tsv": "text/tab-separated-values; charset=utf-8",
        "jsonl": "application/jsonl",
        "lrc": text,
        "diarized_json": "application/json",
    }


def test_an_unknown_format_is_refused_with_the_names() -> None:
    with pytest.raises(UnsupportedValueError) as raised:
        require_transcript_format("docx")
    assert raised.value.param == "response_format"
    assert "'docx'" in raised.value.message
    assert "json, text, srt, verbose_json, vtt" in raised.value.message


def test_a_transcript_crosses_the_process_border() -> None:
    assert pickle.loads(pickle.dumps(TWO)) == TWO


def test_tsv_has_whole_milliseconds_and_one_line_each() -> None:
    odd = transcript(segment(" Tab\there,\nnew line", 0.0004, 61.9996), segment(" Ja.", 3661.25, 3662.0))
    expected = b"start\tend\ttext\n0\t62000\tTab here, new line\n3661250\t3662000\tJa.\n"
    assert render(odd, "tsv", NOTHING) == expected
    assert render(EMPTY, "tsv", NOTHING) == b"start\tend\ttext\n"


def test_jsonl_is_a_segment_a_line() -> None:
    first, second = (json.loads(line) for line in render(TWO, "jsonl", NOTHING).splitlines())
    verbose = json.loads(render(TWO, "verbose_json", NOTHING))["segments"]
    assert [first | {"words": 0}, second | {"words": 0}] == [part | {"words": 0} for part in verbose]
    assert second["words"] == [{"word": "Ja.", "start": 3661.25, "end": 3662.0, "probability": 0.99}]
    without = json.loads(render(transcript(segment(" Ja.", 0, 1)), "jsonl", NOTHING))
    assert "words" not in without
    assert render(EMPTY, "jsonl", NOTHING) == b""


def test_lrc_counts_minutes_beyond_the_hour() -> None:
    assert render(TWO, "lrc", NOTHING).decode() == "[00:00.00]Schönes Wetter.\n[61:01.25]Ja.\n"
    # 59.996 s are 60.00 s when rounded, and so the next minute.
    assert render(transcript(segment(" a", 59.996, 61)), "lrc", NOTHING) == b"[01:00.00]a\n"


def test_log_probabilities_show_parts_of_characters() -> None:
    tokens = (TokenLogprob(" \u00fc".encode()[:2], -0.5), TokenLogprob(b"\xbc", -1e-9))
    scored = transcript(replace(segment(" \u00fc", 0, 1), logprobs=tokens))
    shown = [
        {"token": " \ufffd", "bytes": [32, 0xC3], "logprob": -0.5},
        {"token": "\ufffd", "bytes": [0xBC], "logprob": -0.0},
    ]
    assert json.loads(render(scored, "json", NOTHING))["logprobs"] == shown
    assert delta_event("\u00fc", tokens)["logprobs"] == done_event(scored)["logprobs"] == shown
    assert "logprobs" not in delta_event("x")
    assert "logprobs" not in done_event(TWO)


def test_languages_where_asked_for() -> None:
    asked = RenderOptions(shows_languages=True)
    assert json.loads(render(TWO, "json", asked))["languages"] == [{"code": "de"}]
    assert json.loads(render(EMPTY, "json", asked))["languages"] == []
    assert done_event(TWO, shows_languages=True)["languages"] == [{"code": "de"}]


def test_diarized_json_needs_speakers() -> None:
    with pytest.raises(UnsupportedValueError, match="diarize=true"):
        render(TWO, "diarized_json")
