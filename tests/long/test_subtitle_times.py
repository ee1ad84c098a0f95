"""Subtitles of a server follow the words, without anyone asking for word times."""

import json
import re
from collections.abc import Callable

from running_server import RunningServer

SENTENCE = (
    "When the old captain had finished his story about the great white whale, the children who were sitting around him "
    "on the deck wanted to hear all of it again."
)
Spoken = Callable[[str], bytes]


def _ask(server: RunningServer, sound: bytes, **fields: object) -> str:
    with server.http() as client:
        answer = client.post(
            "/v1/audio/transcriptions", data={"model": "whisper-1", **fields}, files={"file": ("whale.wav", sound)}
        )
    assert answer.status_code == 200, answer.text
    return answer.text


def test_every_cue_begins_with_a_word(asr_server: RunningServer, spoken: Spoken) -> None:
    sound = spoken(SENTENCE)
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    heard = json.loads(_ask(asr_server, sound, **fields))
    begins = re.findall(r":(\d\d)[,.](\d{3}) -->", _ask(asr_server, sound, response_format="srt"))
    assert len(begins) > len(heard["segments"])
    word_starts_ms = {round(word["start"] * 1000) for word in heard["words"]}
    assert {int(s) * 1000 + int(ms) for s, ms in begins} <= word_starts_ms
    assert begins == re.findall(r":(\d\d)[,.](\d{3}) -->", _ask(asr_server, sound, response_format="vtt"))
