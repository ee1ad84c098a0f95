"""What is measured on a recording, and what it is refused or warned for."""

from pathlib import Path

import numpy as np
import pytest

from tts.voices.sounds import BIRCH, CLOVER, RATE, add_noise, clip, music, narrow, noise, speech, wav
from voice_stack.tts.voices.reference import load_reference
from voice_stack.utils.audio.pcm import Samples


def findings(path: Path, samples: Samples) -> dict[str, bool]:
    path.write_bytes(wav(samples))
    return {finding.code: finding.refuses for finding in load_reference(path).findings}


@pytest.mark.parametrize("path", [BIRCH, CLOVER], ids=lambda path: path.stem)
def test_given_away_voices_have_nothing_to_complain_of(path: Path) -> None:
    reference = load_reference(path)
    assert reference.findings == ()
    assert 8 <= reference.figures.duration_s <= 12
    assert path.stat().st_size < 500_000


SPOILT = {
    "silent": (np.zeros(5 * RATE, np.float32), {"silent": True}),
    "whisper of noise": (noise(5, 0.0005), {"silent": True}),
    "noise": (noise(5, 0.1), {"no_speech": True}),
    "music": (music(8), {"no_speech": True}),
    "short": (speech()[: 2 * RATE], {"too_short": True}),
    "overdriven": (clip(speech(), 5), {"clipped": True}),
    "a little overdriven": (clip(speech(), 2), {"clipped": False}),
    "in the rain": (add_noise(speech(), 5), {"noisy": True}),
    "by the road": (add_noise(speech(), 15), {"noisy": False}),
    "through the wall": (narrow(speech(), 4_000), {"narrow": True}),
    "on the telephone": (narrow(speech(), 8_000), {"narrow": False}),
    "far away": (speech() * 0.02, {"quiet": False}),
    "with long pauses": (np.pad(speech(), (0, 20 * RATE)), {"sparse": False}),
    "long": (np.tile(speech(), 4), {"too_long": False}),
}


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_recordings(name: str, tmp_path: Path) -> None:
    samples, expected = SPOILT[name]
    assert findings(tmp_path / "a.wav", samples) == expected


def test_figures_are_those_of_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(add_noise(speech(), 12)))
    figures = load_reference(path).figures
    assert figures.duration_s == pytest.approx(speech().size / RATE, abs=0.01)
    # A third of the noise lies above the 8 kHz that are listened to; speech is louder than the whole with its pauses.
    expected_db = 12 + 10 * np.log10(24 / 16) + 10 * np.log10(figures.duration_s / figures.speech_s)
    assert figures.snr_db == pytest.approx(expected_db, abs=1.5)
    path.write_bytes(wav(narrow(speech(), 8_000)))
    assert load_reference(path).figures.bandwidth_hz == pytest.approx(3_900, abs=200)


def test_only_the_beginning_of_a_long_recording_is_used(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(np.tile(speech(), 4)))
    assert load_reference(path).samples.size == 30 * RATE


@pytest.mark.parametrize("before", [np.zeros(35 * RATE, np.float32), music(35)], ids=["silence", "music"])
def test_a_voice_that_begins_late_is_found(tmp_path: Path, before: Samples) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(np.concatenate([before, speech()])))
    reference = load_reference(path)
    assert [finding.message for finding in reference.findings] == [
        "longer than 30 s: only that much of it is used, from 35 s on"
    ]
    assert reference.figures.speech_s == pytest.approx(load_reference(BIRCH).figures.speech_s, abs=0.3)


def test_where_nobody_speaks_the_loudest_part_is_judged(tmp_path: Path) -> None:
    assert findings(tmp_path / "a.wav", np.pad(noise(20, 0.1), (40 * RATE, 0)))["no_speech"]
