"""`voice-stack keys`."""

import json
import stat
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.commands import assert_one_line, run
from voice_stack.asr.settings import AsrSettings
from voice_stack.cli.asking import Check
from voice_stack.cli.doctor import check_access
from voice_stack.cli.keys import keys

DAY_S = 86_400


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "keys.json"


def call(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(keys, arguments, env={"API_KEYS_FILE": str(file), "COLUMNS": "300"})


def created(file: Path, *arguments: str) -> dict[str, object]:
    result = call(file, "create", *arguments, "--json")
    assert result.exit_code == 0, result.output
    record: dict[str, object] = json.loads(result.stdout)
    return record


def listed(file: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(call(file, "list", "--json").stdout)
    return rows


def test_a_key_is_made_listed_and_revoked(file: Path) -> None:
    assert listed(file) == []
    first = call(file, "create", "living room")
    key = first.stdout.strip()
    assert key.startswith("vs-")
    assert len(key) == len("vs-") + 48
    assert f"From now on the servers need a key ({file})" in first.stderr
    limits = ("--requests-per-minute", "60", "--jobs-at-once", "2")
    second = created(file, "monitor", "--scope", "admin,asr", "--expires", "90d", *limits)
    assert abs(int(str(second["expires_at"])) - time.time() - 90 * DAY_S) < 600
    rows = listed(file)
    assert [row["name"] for row in rows] == ["living room", "monitor"]
    assert [row["scopes"] for row in rows] == [["asr", "tts", "chat"], ["asr", "admin"]]
    assert rows[1] == {name: value for name, value in second.items() if name != "key"}
    assert (rows[1]["requests_per_minute"], rows[1]["jobs_at_once"], rows[1]["last_used_at"]) == (60, 2, None)
    table = call(file, "list").stdout
    assert "living room" in table
    shown = table + json.dumps(rows) + file.read_text()
    assert not [secret for secret in (key, str(second["key"])) if secret in shown]
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
    assert call(file, "revoke", "living room").stdout.startswith("revoked living room (key_")
    assert "refuse everybody" in call(file, "revoke", str(second["id"])).stderr
    assert listed(file) == []
    assert file.exists()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("create", "x", "--scope", "asr,root"), "'root' is no scope; there are asr, tts, chat, admin"),
        (("create", "x", "--scope", ","), "name one at least"),
        (("create", "x", "--expires", "soon"), "'soon' is no time; write 12h, 90d"),
        (("create", "x", "--expires", "2001-01-01"), "is over already"),
        (("create", "x", "--expires", "0d"), "is over already"),
        (("create", "x", "--jobs-at-once", "0"), "x>=1"),
        (("create", "a\nb"), "no name for a key"),
        (("create", "x" * 65), "no name for a key"),
        (("revoke", "nobody"), "there is no key 'nobody'"),
    ],
)
def test_what_cannot_be_says_what_could(file: Path, arguments: tuple[str, ...], part: str) -> None:
    result = call(file, *arguments)
    assert result.exit_code != 0
    assert part in " ".join(result.stderr.split()) + str(result.exception)
    assert not file.exists()


def test_a_name_is_there_once_and_a_damaged_file_is_left_alone(environment: dict[str, str], file: Path) -> None:
    created(file, "bob", "--expires", "2100-01-01")
    for arguments, part in ((("create", "bob"), "'bob' already"), (("revoke", "eve"), "the keys in")):
        assert part in str(call(file, *arguments).exception)
    file.write_text("{")
    environment["API_KEYS_FILE"] = str(file)
    assert_one_line(run(environment, "keys", "create", "eve"), f"API_KEYS_FILE={file}")
    assert_one_line(run(environment, "asr", "--engine", "fake", "--model", "fake"), f"API_KEYS_FILE={file}")
    assert file.read_text() == "{"


def test_doctor_tells_what_is_open(file: Path) -> None:
    def row(host: str) -> Check:
        (found,) = check_access(AsrSettings.read(host=host, api_keys_file=file))
        return found

    assert (row("0.0.0.0").status, "no key" in row("0.0.0.0").detail) == ("WARN", True)
    assert (row("127.0.0.1").status, "no key is needed" in row("127.0.0.1").detail) == ("OK", True)
    created(file, "bob")
    assert (row("0.0.0.0").status, "a key is needed" in row("0.0.0.0").detail) == ("OK", True)
    file.write_text("{")
    assert row("127.0.0.1").status == "FAIL"
