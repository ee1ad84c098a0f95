"""`voice-stack archive` as its users run it; what is done once and what anew is in `tests/archive`."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.commands import run
from e2e.sound import tone
from voice_stack.cli.archive import archive

FAKE = {
    "ASR_ENGINE": "fake",
    "ASR_MODEL": "fake",
    "ASR_VAD_ENABLED": "false",
    "ASR_WINDOW_S": "2",
    "ASR_SPEAKER_MODEL": "fake+each-sleep=0",
}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["films"], "Missing option '-o' / '--out'"),
        (["films", "--out", "texts", "--format", "srt,tape"], "'tape'"),
        (["films", "--out", "texts", "--format", "json,verbose_json"], "both end in .json"),
        (["films", "--out", "texts", "--shard", "8/8"], "7/8 is the last"),
        (["films", "--out", "texts", "--language", "klingon"], "klingon"),
    ],
)
def test_wrong_usage_is_2(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(archive, arguments)
    assert (result.exit_code, told in result.output) == (2, True), result.output


def test_what_cannot_begin_is_told_in_a_line(environment: dict[str, str], tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    out = ["--out", str(tmp_path / "texts")]
    assert "no audio or video files in" in run(environment, "archive", str(films), *out).stderr
    (films / "a.wav").write_bytes(tone(1.0))
    nobody = f"http://127.0.0.1:{environment['ASR_PORT']}"
    result = run(environment, "archive", "--workers", nobody, str(films), *out)
    assert result.returncode == 3
    assert "is the server running?" in result.stderr
    assert "Traceback" not in result.stderr
