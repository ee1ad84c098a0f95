"""`voice-stack archive` as its users run it; what is done once and what anew is in `tests/archive`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.commands import run
from e2e.sound import tone
from running_server import run_server
from voice_stack.cli.archive import archive

FAKE = {
    "ASR_ENGINE": "fake",
    "ASR_MODEL": "fake",
    "ASR_VAD_ENABLED": "false",
    "ASR_WINDOW_S": "2",
    "ASR_SPEAKER_MODEL": "fake+each-sleep=0",
}


def _texts(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.en.*")}


def test_servers_and_an_engine_of_its_own_make_the_same_texts(environment: dict[str, str], tmp_path: Path) -> None:
    films = tmp_path / "films"
    for name, length_s in {"long film": 140.0, "season 1/a": 3.0, "season 1/b": 7.5, "season 2/a": 4.2}.items():
        path = films / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tone(length_s))
    (films / "season 2/b.mp3").write_bytes(b"no sound")
    wishes = ["--format", "srt,verbose_json,text", "--diarize", str(films), "--out"]
    own = run(environment | FAKE, "archive", *wishes, str(tmp_path / "own"))
    assert own.returncode == 1
    nobody = f"http://127.0.0.1:{environment['ASR_PORT']}"
    with run_server("asr", tmp_path / "server", FAKE) as server:
        there = run(environment, "archive", "--workers", f"{server.url},{nobody}", *wishes, str(tmp_path / "there"))
        with server.http() as client:
            assert client.get("/v1/jobs").json()["data"] == [], "what went as a job is removed from the server"
    assert there.returncode == 1, there.stderr
    assert f"left out for now worker={nobody}" in there.stderr
    made = _texts(tmp_path / "own")
    assert len(made) == 12
    assert b"SPEAKER_00" in made["season 1/a.en.txt"]
    assert _texts(tmp_path / "there") == made
    for out in ("own", "there"):
        report = json.loads((tmp_path / out / "archive-report.json").read_text())
        assert (report["found"], report["done"], report["refused"], report["failed"]) == (5, 4, 1, 0)
        (failure,) = report["failures"]
        assert failure["key"] == "season 2/b.mp3"
        assert failure["reason"].startswith("Invalid file format.")
    assert [line for line in own.stderr.splitlines() if line.startswith("5 recordings: 4 done, 1 refused;")]


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
