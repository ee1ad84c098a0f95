"""Between sentences there is the pause that people make, at every speed."""

import numpy as np
import pytest

from e2e.sound import samples_of
from running_server import RunningServer

SENTENCES = "Turn on the light in the kitchen. Please remember the green umbrella. Yes, of course."
SENTENCE_PAUSE_S = 0.5


def hear_gaps_s(server: RunningServer, text: str, speed: float) -> list[float]:
    """Silences of more than 0.1 s, in order."""
    body = {"model": "tts-1", "input": text, "response_format": "wav", "speed": speed, "stream": False}
    with server.http() as client:
        samples, rate = samples_of(client.post("/v1/audio/speech", json=body).content)
    loud = np.flatnonzero(np.abs(samples) > 0.005 * np.abs(samples).max())
    gaps = np.diff(loud) / rate
    return [float(gap) for gap in gaps if gap > 0.1]


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_sentences_are_half_a_second_apart(tts_server: RunningServer, speed: float) -> None:
    gaps_s = hear_gaps_s(tts_server, SENTENCES, speed)
    long = [gap_s for gap_s in gaps_s if gap_s > 0.35 / speed]
    assert long == [pytest.approx(SENTENCE_PAUSE_S / speed, abs=0.1 / speed)] * 2


def test_a_pause_in_the_text_is_as_long_as_it_says(tts_server: RunningServer) -> None:
    gaps_s = hear_gaps_s(tts_server, "Turn on the light. [pause:2s] Thank you very much.", 1.0)
    assert max(gaps_s) == pytest.approx(2.0, abs=0.15)
