"""Uploads that do not arrive as they should: the wrong part, no file, no room."""

import httpx2
import pytest

from e2e.sound import tone
from running_server import RunningServer

URL = "/v1/audio/transcriptions"
MODEL = {"model": "whisper-1"}
SOUND = tone(1.0)
MIB = 1 << 20


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"audio": ("a.wav", SOUND)}, ["'audio'", "'file'"]),
        ({"file": ("a.wav", SOUND), "more": ("b.wav", SOUND)}, ["'more'", "'file'"]),
        ({"audio": (None, "a.wav")}, ["no file", "'audio'", "'model'", "'file'"]),
        ({"file": (None, "a.wav")}, ["'file'", "text", "filename"]),
        ({}, ["multipart/form-data", "'file'", "x-www-form-urlencoded"]),
    ],
    ids=["wrong part", "further part", "text in the wrong part", "text", "no multipart form"],
)
def test_missing_file_is_told_with_what_was_sent(fake_asr: RunningServer, files: object, told: list[str]) -> None:
    with fake_asr.http() as client:
        response = client.post(URL, data=MODEL, files=files)  # type: ignore[arg-type]
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", "file")
    assert [part for part in told if part not in error["message"]] == []


def test_upload_without_room_is_a_507_that_leaves_nothing(fake_asr: RunningServer) -> None:
    sound = tone(80.0)
    assert len(sound) > 2 * MIB

    def send() -> httpx2.Response:
        return client.post(URL, data=MODEL, files={"file": ("long.wav", sound)})

    with fake_asr.http() as client:
        with fake_asr.file_limit(MIB // 2):
            refused = send()
        error = refused.json()["error"]
        assert (refused.status_code, error["type"], error["code"]) == (507, "server_error", "storage_full")
        assert "no room for this upload" in error["message"]
        assert str(fake_asr.spool_dir) not in error["message"]
        assert str(fake_asr.spool_dir) in fake_asr.log.read_text()
        fake_asr.expect_no_uploads()
        assert send().status_code == 200
