"""Uploads on the disk: restarts, crashes, a full disk, limits, a folder that cannot be written."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import numpy as np
import pytest

from running_server import RunningServer
from tts.voices.conftest import CLONING
from tts.voices.sounds import BIRCH, RATE, speech
from voice_stack.core.errors import VoiceStackError
from voice_stack.tts.voices.uploads import MAX_UPLOADS, VoiceUploads
from voice_stack.utils.audio.encode import encode_whole

URL = "/v1/audio/voices"
CONSENTS_URL = "/v1/audio/voice_consents"
StartServer = Callable[..., AbstractContextManager[RunningServer]]


def upload(http: httpx2.Client, name: str = "Birch") -> httpx2.Response:
    return http.post(URL, data={"name": name}, files={"audio_sample": ("a.flac", BIRCH.read_bytes())})


def consent(http: httpx2.Client) -> httpx2.Response:
    form = {"name": "She agrees", "language": "en"}
    return http.post(CONSENTS_URL, data=form, files={"recording": ("a.flac", BIRCH.read_bytes())})


def names(http: httpx2.Client) -> list[object]:
    return [voice["name"] for voice in http.get(URL).json()["voices"] if voice["kind"] == "cloned"]


def test_uploads_outlive_the_server_and_halves_do_not(start_server: StartServer, tmp_path: Path) -> None:
    settings = {**CLONING, "TTS_VOICE_DIR": str(tmp_path)}
    with start_server("tts", **settings) as server, server.http() as http:
        voice, agreed = upload(http).json(), consent(http).json()
        server.process.kill()
        server.process.wait(10)
    half = tmp_path / (".new-voice_" + "0" * 32)
    half.mkdir()
    (half / "reference.flac").write_bytes(BIRCH.read_bytes()[:1000])
    gone = tmp_path / ".consents" / (".gone-cons_" + "0" * 32)
    gone.mkdir()
    (tmp_path / voice["id"] / ".new-voice.toml").write_text("name = ")
    with start_server("tts", **settings) as server, server.http() as http:
        assert not half.exists()
        assert not gone.exists()
        assert {path.name for path in (tmp_path / voice["id"]).iterdir()} == {"reference.flac", "voice.toml"}
        shown = http.get(f"{URL}/{voice['id']}").json()
        assert (shown["name"], shown["created_at"]) == ("Birch", voice["created_at"])
        assert http.get(CONSENTS_URL).json()["data"] == [agreed]


def test_full_disk_and_full_library_are_507_and_leave_nothing(start_server: StartServer, tmp_path: Path) -> None:
    voice_dir = tmp_path / "voices"
    # The upload is smaller than what is made of it: it fits where the library's file does not.
    recording = encode_whole([np.tile(speech(), 2)], "opus", RATE)
    assert len(recording) < 200_000 < 2 * BIRCH.stat().st_size
    settings = {**CLONING, "TTS_VOICE_DIR": str(voice_dir)}
    with start_server("tts", **settings) as server, server.http() as http:
        with server.file_limit(200_000):
            for url, field in ((URL, "audio_sample"), (CONSENTS_URL, "recording")):
                form = {"name": "Birch", "language": "en"}
                refused = http.post(url, data=form, files={field: ("a.opus", recording)})
                error = refused.json()["error"]
                assert (refused.status_code, error["type"], error["code"]) == (507, "server_error", "storage_full")
                assert "TTS_VOICE_DIR" in error["message"]
                assert str(tmp_path) not in refused.text
        server.expect_no_uploads()
        assert [path for path in voice_dir.rglob("*") if path.name not in {".lock", ".consents"}] == []
        (voice_dir / "dropped-in.flac").write_bytes(BIRCH.read_bytes())
        kept = upload(http).json()
        # What lies there counts, whoever has put it there.
        others = [voice_dir / f"voice_{number:032x}" for number in range(MAX_UPLOADS - 1)]
        for other in others:
            other.mkdir()
        refused = upload(http, "Clover")
        assert (refused.status_code, f"{MAX_UPLOADS} uploads" in refused.text) == (507, True)
        for other in others:
            other.rmdir()
        http.delete(f"{URL}/{kept['id']}")
        assert upload(http, "Clover").status_code == 200
        assert names(http) == ["dropped-in", "Clover"]


def test_folder_that_cannot_be_written_is_said_without_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    uploads = VoiceUploads(tmp_path / "file" / "voices", 10)
    uploads.clean()
    with pytest.raises(VoiceStackError, match="TTS_VOICE_DIR") as refused:
        uploads.add_voice(BIRCH, {"name": "Birch"})
    assert (refused.value.status, str(tmp_path) in refused.value.message) == (500, False)
