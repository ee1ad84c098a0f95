"""What the TTS server says, the ASR server understands."""

import json
import re
from collections.abc import Callable

import jiwer
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

from e2e.sound import duration_s, transcode, wrap_pcm
from running_server import RunningServer

PARAGRAPH = (
    "The old lighthouse stands on a rocky island, two miles from the harbor. "
    "Every evening a small boat brings fresh bread, and the keeper lights the lamp."
)
MAX_WORD_ERROR_RATE = 0.15
Spoken = Callable[[str], bytes]


def _word_error_rate(text: str) -> float:
    normalise = EnglishTextNormalizer()
    return float(jiwer.wer(normalise(PARAGRAPH), normalise(text)))


def _transcribe(server: RunningServer, name: str, data: bytes, **fields: object) -> str:
    with server.http() as client:
        answer = client.post(
            "/v1/audio/transcriptions", data={"model": "whisper-1", **fields}, files={"file": (name, data)}
        )
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_every_audio_format_is_understood(
    asr_server: RunningServer, tts_server: RunningServer, audio_format: str
) -> None:
    with tts_server.http() as client:
        body = {"model": "tts-1", "voice": "alloy", "input": PARAGRAPH, "response_format": audio_format}
        answer = client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    sound = wrap_pcm(answer.content) if audio_format == "pcm" else answer.content
    name = f"speech.{'wav' if audio_format == 'pcm' else audio_format}"
    text = json.loads(_transcribe(asr_server, name, sound))["text"]
    assert _word_error_rate(text) <= MAX_WORD_ERROR_RATE, text


@pytest.mark.parametrize(
    ("name", "container", "codec", "sample_rate", "layout"),
    [
        ("memo.m4a", "ipod", "aac", 44_100, "mono"),
        ("clip.mp4", "mp4", "aac", 48_000, "stereo"),
        ("browser.webm", "webm", "libopus", 48_000, "mono"),
        ("studio.wav", "wav", "pcm_s16le", 44_100, "stereo"),
    ],
)
def test_every_container_is_understood(
    asr_server: RunningServer,
    spoken: Spoken,
    name: str,
    container: str,
    codec: str,
    sample_rate: int,
    layout: str,
) -> None:
    data = transcode(spoken(PARAGRAPH), container, codec, sample_rate, layout)
    if container in {"ipod", "mp4"}:
        assert data.index(b"moov") > data.index(b"mdat")
    text = json.loads(_transcribe(asr_server, name, data))["text"]
    assert _word_error_rate(text) <= MAX_WORD_ERROR_RATE, text


def test_verbose_json_lies_within_the_file(asr_server: RunningServer, spoken: Spoken) -> None:
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    sound = spoken(PARAGRAPH)
    body = json.loads(_transcribe(asr_server, "a.wav", sound, **fields))
    assert body["language"] == "english"
    assert body["task"] == "transcribe"
    assert body["duration"] == pytest.approx(duration_s(sound), abs=0.05)
    for spans in (body["segments"], body["words"]):
        times = [time_s for span in spans for time_s in (span["start"], span["end"])]
        assert times == sorted(times)
        assert 0 <= times[0] < times[-1] <= body["duration"]
    assert "".join(segment["text"] for segment in body["segments"]).strip() == body["text"]
    assert _word_error_rate(" ".join(word["word"] for word in body["words"])) <= MAX_WORD_ERROR_RATE


@pytest.mark.parametrize(
    ("subtitle_format", "clock"),
    [("srt", r"(\d\d):(\d\d):(\d\d),(\d{3})"), ("vtt", r"(?:(\d\d):)?(\d\d):(\d\d)\.(\d{3})")],
)
def test_subtitles_parse(asr_server: RunningServer, spoken: Spoken, subtitle_format: str, clock: str) -> None:
    sound = spoken(PARAGRAPH)
    blocks = _transcribe(asr_server, "a.wav", sound, response_format=subtitle_format).strip().split("\n\n")
    if subtitle_format == "vtt":
        assert blocks.pop(0).startswith("WEBVTT")
    texts, last_end_s = [], 0.0
    for number, block in enumerate(blocks, 1):
        lines = block.split("\n")
        if subtitle_format == "srt":
            assert lines.pop(0) == str(number)
        match = re.fullmatch(f"{clock} --> {clock}", lines.pop(0))
        assert match is not None, block
        h1, m1, s1, ms1, h2, m2, s2, ms2 = (int(group or 0) for group in match.groups())
        start_s, end_s = h1 * 3600 + m1 * 60 + s1 + ms1 / 1000, h2 * 3600 + m2 * 60 + s2 + ms2 / 1000
        assert last_end_s <= start_s < end_s
        last_end_s = end_s
        texts += lines
    assert last_end_s <= duration_s(sound) + 0.05
    assert _word_error_rate(" ".join(texts)) <= MAX_WORD_ERROR_RATE
