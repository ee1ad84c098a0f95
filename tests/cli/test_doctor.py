"""`voice-stack doctor`."""

import socket

from cli.commands import doctor


def test_doctor_is_content_with_the_test_installation(environment: dict[str, str]) -> None:
    code, rows = doctor(environment)
    assert code == 0
    names = "audio codecs", "extra asr", "extra piper", "ASR_MODEL=base", "ASR_SPEAKER_MODEL=community-1"
    assert {rows[name]["status"] for name in names} == {"OK"}
    assert rows[f"ASR_PORT={environment['ASR_PORT']}"]["detail"] == "free"


def test_doctor_names_each_fault_and_what_mends_it(environment: dict[str, str]) -> None:
    port = environment["ASR_PORT"]
    faults = {"ASR_MODEL": "large-v3", "TTS_MODLE": "x", "SPOOL_DIR": "/dev/null/spool"}
    faults |= {"ASR_JOBS_DIR": "/dev/null/jobs", "TTS_CACHE_DIR": "/dev/null/cache"}
    with socket.create_server(("127.0.0.1", int(port))):
        code, rows = doctor(environment | faults)
    assert code == 1
    assert rows["ASR_MODEL=large-v3"]["status"] == "FAIL"
    assert "OFFLINE=false voice-stack models pull large-v3" in rows["ASR_MODEL=large-v3"]["detail"]
    assert rows["SPOOL_DIR"]["status"] == "FAIL"
    assert [rows[name]["status"] for name in ("ASR_JOBS_DIR", "TTS_CACHE_DIR")] == ["WARN", "WARN"]
    assert rows[f"ASR_PORT={port}"]["status"] == "FAIL"
    assert rows["TTS_* variables"]["status"] == "WARN"
    assert "TTS_MODEL" in rows["TTS_* variables"]["detail"]
    assert all(row["remedy"] for row in rows.values() if row["status"] != "OK")


def test_doctor_holds_the_model_against_the_engine(environment: dict[str, str]) -> None:
    code, rows = doctor(environment | {"ASR_ENGINE": "parakeet", "ASR_MODEL": "base"})
    assert code == 1
    assert rows["extra parakeet"]["status"] == "OK"
    assert rows["ASR_MODEL=base"]["status"] == "FAIL"
    assert "nemo-parakeet-tdt-0.6b-v3" in rows["ASR_MODEL=base"]["detail"]
    assert {name for name, row in rows.items() if row["status"] == "FAIL"} == {"ASR_MODEL=base"}
