"""The units of deploy/systemd, checked by systemd's own tools; no systemd runs here."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
PROGRAM = Path(sys.executable).parent / "voice-stack"
MAX_EXPOSURE = 2.0  # of 10; systemd calls it "OK" up to 4.0


def _call(command: Sequence[str], folder: Path) -> str:
    environment = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder)}
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def _install(unit: Path, folder: Path, server: str) -> Path:
    """An instance of the template, whose program is there."""
    text, count = re.subn(r"^ExecStart=\S+", f"ExecStart={PROGRAM}", unit.read_text("utf-8"), flags=re.MULTILINE)
    assert count == 1
    instance = folder / f"voice-stack@{server}.service"
    instance.write_text(text, "utf-8")
    return instance


@pytest.mark.parametrize("server", ["asr", "tts", "chat"])
def test_systemd_understands_the_unit(server: str, tmp_path: Path) -> None:
    instance = _install(UNITS / "voice-stack@.service", tmp_path, server)
    assert _call(["systemd-analyze", "verify", str(instance)], tmp_path) == ""


def test_systemd_understands_the_unit_without_root(tmp_path: Path) -> None:
    instance = _install(UNITS / "user" / "voice-stack@.service", tmp_path, "asr")
    assert _call(["systemd-analyze", "--user", "verify", str(instance)], tmp_path) == ""


def test_the_unit_exposes_little(tmp_path: Path) -> None:
    instance = _install(UNITS / "voice-stack@.service", tmp_path, "asr")
    report = _call(["systemd-analyze", "security", "--offline=true", "--no-pager", str(instance)], tmp_path)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert found, report
    assert float(found[1]) <= MAX_EXPOSURE


def test_gpus_are_let_through_by_the_drop_in(tmp_path: Path) -> None:
    instance = _install(UNITS / "voice-stack@.service", tmp_path, "asr")
    folder = tmp_path / f"{instance.name}.d"
    folder.mkdir()
    (folder / "gpu.conf").write_text((UNITS / "gpu.conf").read_text("utf-8"), "utf-8")
    assert _call(["systemd-analyze", "verify", str(instance)], tmp_path) == ""


def test_the_user_can_be_made(tmp_path: Path) -> None:
    told = _call(["systemd-sysusers", "--dry-run", str(UNITS / "voice-stack.sysusers.conf")], tmp_path)
    assert "voice-stack" in told
