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
