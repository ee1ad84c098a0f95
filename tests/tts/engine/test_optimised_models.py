"""What ONNX Runtime makes of a voice is kept on the disk, and nothing else than what was written is ever used."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from piper_speech import VOICE
from tiny_piper import make_piper_voice
from voice_stack.tts.engine import onnx
from voice_stack.tts.engine.piper import open_models


def speak(voice: Path, cache_dir: Path | None, **more: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    """What each of two copies says, without the model's own noise."""
    spoken = []
    for model in open_models(voice, device="cpu", threads=[2, 1], cache_dir=cache_dir):
        scales = np.array([0, 1, 0], np.float32)
        inputs = {"input": np.arange(1, 41)[None], "input_lengths": np.array([40]), "scales": scales, **more}
        model.run(None, inputs)  # type: ignore[arg-type]  # one is of floats
        (latent,) = model.take()
        spoken.append(model.decode(latent, 0, latent.length))
    return spoken


def hum(voice: Path, cache_dir: Path | None) -> list[NDArray[np.float32]]:
    return speak(voice, cache_dir, sid=np.array([1]))


def test_a_kept_voice_sounds_the_same_to_the_last_bit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain, made, kept = speak(VOICE, None), speak(VOICE, tmp_path / "graphs"), speak(VOICE, tmp_path / "graphs")
    assert len(list((tmp_path / "graphs").iterdir())) == 1
    assert not caplog.records
    for copy in range(2):
        assert np.abs(plain[copy]).max() > 0.05
        assert np.array_equal(made[copy], plain[copy])
        assert np.array_equal(kept[copy], plain[copy])


def _flip(content: bytes) -> bytes:
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


@pytest.mark.parametrize(
    "damage", [_flip, lambda content: content[:-5], lambda _: b"", lambda content: content[:32] + b"\xff" * 8]
)
def test_a_damaged_file_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    voice = make_piper_voice(tmp_path, "voice")
    expected = hum(voice, tmp_path / "graphs")
    (file,) = (tmp_path / "graphs").iterdir()
    good = file.read_bytes()
    file.write_bytes(damage(good))
    assert all(map(np.array_equal, hum(voice, tmp_path / "graphs"), expected))
    assert "optimised model is damaged" in caplog.text
    assert file.read_bytes() == good


def test_the_file_of_another_voice_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, voice = tmp_path / "graphs", make_piper_voice(tmp_path, "voice")
    expected = hum(voice, folder)
    (file,) = folder.iterdir()
    other = tmp_path / "other.onnx"
    # A tone of 500 Hz becomes one of 501.
    tones = (np.array([500], np.float32) * np.float32(2 * np.pi / 16_000)).tobytes()
    other.write_bytes(voice.read_bytes().replace(tones, (np.frombuffer(tones, np.float32) * 1.002).tobytes()))
    assert not np.array_equal(hum(other, folder)[0], expected[0])
    (others,) = set(folder.iterdir()) - {file}
    file.write_bytes(others.read_bytes())
    assert np.array_equal(hum(voice, folder)[0], expected[0])
    assert "optimised model is damaged" in caplog.text


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "graphs").write_text("in the way")
    voice = make_piper_voice(tmp_path, "voice")
    assert all(map(np.array_equal, hum(voice, tmp_path / "graphs"), hum(voice, None)))


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    folder = tmp_path / "graphs"
    folder.mkdir()
    for name in ("old", "new"):
        with (folder / name).open("wb") as file:
            file.truncate(onnx.KEPT_BYTES // 2)
    hum(make_piper_voice(tmp_path, "voice"), folder)
    assert sorted(file.name for file in folder.iterdir() if len(file.name) < 10) == ["new"]
