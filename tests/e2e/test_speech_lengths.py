"""What a client decodes is as long as what was spoken, to the sample where the format has a place for its length."""

import numpy as np
import pytest

from running_server import RunningServer
from utils.audio.encoding import FORMATS, decode

MILLISECOND_S = 0.001
"""What the times of captions are rounded to."""
TEXTS = {
    "one character": "A",
    "one clause": "The light is on.",
    "many clauses": "The light is on. " * 12 + "Now it is off, at last.",
}


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("name", TEXTS)
def test_length(fake_tts: RunningServer, name: str, format_name: str, streamed: bool) -> None:
    body = {"model": "tts-1", "input": TEXTS[name], "response_format": format_name, "stream": streamed}
    with fake_tts.http() as client:
        # Anew each time: what is kept is a whole file.
        answer = client.post("/v1/audio/speech", json={**body, "timestamps": "sentence", "cache": False})
        captions = client.get(answer.headers["x-captions"]).json()
    decoded, rate = decode(answer.content, format_name)
    is_stream = "content-length" not in answer.headers
    extra_s = len(decoded) / rate - captions["duration"]
    # AAC, and MP3 whose length was not known at its beginning, have their codec's own silence at both ends.
    padding_s = 0.1 if format_name == "aac" or (format_name == "mp3" and is_stream) else 0.0
    assert padding_s / 3 - MILLISECOND_S <= extra_s <= padding_s + MILLISECOND_S
    assert is_stream == (streamed and name == "many clauses")
    assert np.abs(decoded).max() > 0.05
