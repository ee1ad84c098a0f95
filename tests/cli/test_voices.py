"""`voice-stack voices`."""

import json
from pathlib import Path

import pytest

from cli.commands import assert_one_line, run
from tts.voices.sounds import BIRCH, add_noise, speech, wav


@pytest.fixture
def library(environment: dict[str, str], tmp_path: Path) -> Path:
    """The folder of the voices; it is not there yet."""
    environment["TTS_VOICE_DIR"] = str(tmp_path / "voices")
    return tmp_path / "voices"


def listed(environment: dict[str, str]) -> dict[str, dict[str, object]]:
    return {voice["id"]: voice for voice in json.loads(run(environment, "voices", "list", "--json").stdout)}


def test_check_says_what_was_measured(environment: dict[str, str], tmp_path: Path) -> None:
    noisy = tmp_path / "noisy.wav"
    noisy.write_bytes(wav(add_noise(speech(), 5)))
    result = run(environment, "voices", "check", str(BIRCH), str(noisy))
    good, refused = result.stdout.splitlines()
    assert good.startswith(f"{BIRCH}: good: 7")
    assert refused.startswith(f"{noisy}: refused: noisy: speech is ")
    assert "at least 10 dB" in refused
    assert result.returncode == 1


def test_voice_is_added_listed_and_removed(environment: dict[str, str], library: Path) -> None:
    about = ("--name", "Old Birch", "--language", "en-US", "--licence", "CC0-1.0", "--consent", "She said yes.")
    added = run(environment, "voices", "add", str(BIRCH), *about)
    assert (added.returncode, added.stderr) == (0, "")
    voice_id = added.stdout.strip()
    voice = listed(environment)[voice_id]
    assert (voice["name"], voice["language"], voice["licence"]) == ("Old Birch", "en", "CC0-1.0")
    assert (voice["kind"], voice["available"]) == ("cloned", False)
    assert "pip install 'voice-stack[xtts]'" in str(voice["unavailable_reason"])
    table = run(environment, "voices", "list").stdout
    assert "Old Birch" in table
    assert f"{voice_id}: it is cloned from recordings" in table
    assert 'consent = "She said yes."' in (library / voice_id / "voice.toml").read_text("utf-8")
    removed = run(environment, "voices", "rm", "old BIRCH")
    assert removed.stdout.strip() == f"removed {voice_id}"
    assert not (library / voice_id).exists()


def test_bad_recordings_and_unknown_voices_are_one_line(
    environment: dict[str, str], library: Path, tmp_path: Path
) -> None:
    noisy = tmp_path / "noisy.wav"
    noisy.write_bytes(wav(add_noise(speech(), 5)))
    assert_one_line(run(environment, "voices", "add", str(noisy)), "cannot be used: noisy: speech is")
    assert_one_line(run(environment, "voices", "rm", "birch"), "'birch'", str(library))
    assert not library.exists()


def test_dropped_in_files_are_not_deleted_by_command(environment: dict[str, str], library: Path) -> None:
    library.mkdir()
    (library / "birch.flac").write_bytes(BIRCH.read_bytes())
    assert_one_line(run(environment, "voices", "rm", "birch"), "birch.flac")
    assert (library / "birch.flac").exists()
