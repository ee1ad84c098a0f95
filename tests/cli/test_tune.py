"""`voice-stack tune`."""

from pathlib import Path

from cli.commands import assert_one_line, run


def test_a_model_is_measured_and_shown(environment: dict[str, str], model_dir: Path) -> None:
    environment = environment | {"MODEL_DIR": str(model_dir)}
    assert "nothing is kept" in run(environment, "tune", "tiny.en", "--show").stdout
    measured = run(environment, "tune", "tiny.en")
    assert measured.returncode == 0
    assert "encoder, one window" in measured.stdout
    assert run(environment, "tune", "tiny.en", "--show").stdout == measured.stdout
    assert_one_line(run(environment | {"ASR_THREADS": "2"}, "tune"), "ASR_THREADS")


def test_what_cannot_be_measured_or_kept_is_said(environment: dict[str, str], model_dir: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "empty").mkdir()
    assert_one_line(run(environment | {"ASR_MODEL": str(folder)}, "tune"), "model.bin")
    (elsewhere := tmp_path / "models").mkdir()
    (elsewhere / ".tuned").write_bytes(b"no folder")
    assert_one_line(run(environment | {"MODEL_DIR": str(elsewhere)}, "tune", "tiny.en"), "MODEL_DIR")
