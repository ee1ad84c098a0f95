"""Speech is as loud as the operator wants it, whoever speaks."""

import numpy as np
import pytest

from conftest import StartServer
from e2e.sound import samples_of
from running_server import RunningServer
from voice_stack.tts.sound.dynamics import integrate, measure_powers

TEXT = "Every evening a small boat brings fresh bread, and the keeper lights the lamp. Then it is quiet again."


def hear(server: RunningServer, **fields: object) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    with server.http() as client:
        body = {"model": "tts-1", "input": TEXT, "response_format": "wav", "stream": False, **fields}
        answer = client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    samples, _ = samples_of(answer.content)
    return (samples / 32_768).astype(np.float32)


def lufs(samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    loudness = integrate(measure_powers(samples, 24_000))
    assert loudness is not None
    return loudness


def test_a_voice_and_a_hum_are_equally_loud(tts_server: RunningServer, fake_tts: RunningServer) -> None:
    # By themselves they are 10 LU apart. The gain comes from a voice's first sentence; others differ from it.
    assert lufs(hear(fake_tts)) == pytest.approx(-21, abs=0.5)
    assert lufs(hear(tts_server)) == pytest.approx(-21, abs=5)
    assert np.abs(hear(tts_server)).max() <= 10 ** (-0.9 / 20)


def test_the_operator_decides(start_server: StartServer) -> None:
    with start_server("tts", TTS_ENGINE="fake", TTS_MODEL="fake", TTS_LOUDNESS_LUFS="off") as server:
        # A sine of 0.3 has -14.2 LUFS where the meter's filter does nothing; at 220 Hz it takes a little off.
        assert lufs(hear(server)) == pytest.approx(-14.2, abs=0.8)


@pytest.mark.parametrize("setting", ["-3", "loud"])
def test_what_is_no_loudness_is_refused(start_server: StartServer, setting: str) -> None:
    with pytest.raises(AssertionError, match="TTS_LOUDNESS_LUFS"), start_server("tts", TTS_LOUDNESS_LUFS=setting):
        pass
