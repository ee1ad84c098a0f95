"""The verdict over a release's audit; the release itself is made by `make release`."""

import json
import subprocess
from pathlib import Path

import pytest

JUDGE = Path(__file__).parents[2] / "scripts" / "judge_audit"
OWN = {"name": "voice-stack", "skip_reason": "Dependency not found on PyPI"}
FINE = {"name": "click", "version": "8.5.1", "vulns": []}
BAD = {"name": "av", "version": "1.0", "vulns": [{"id": "PYSEC-1"}]}
UNKNOWN = {"name": "rich", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("dependencies", "code", "text"),
    [
        ([OWN, FINE], 0, "no known vulnerability in 1 packages"),
        ([OWN, FINE, BAD, UNKNOWN], 1, "av 1.0"),
        ([OWN, FINE, UNKNOWN], 3, "NOT AUDITED: 1 of 2"),
        ([OWN], 3, "NOT AUDITED"),
        (None, 3, "not reached"),
    ],
)
def test_a_release_counts_as_audited_only_if_everything_was_looked_up(
    dependencies: list[dict[str, object]] | None, code: int, text: str, tmp_path: Path
) -> None:
    report = tmp_path / "audit.json"
    if dependencies is not None:
        report.write_text(json.dumps({"dependencies": dependencies, "fixes": []}), "utf-8")
    result = subprocess.run([JUDGE, report, "voice-stack"], capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == code
    assert text in result.stdout + result.stderr
