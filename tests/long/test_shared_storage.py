"""Two replicas of the TTS server: each with folders of its own on one S3-compatible store, or both on one folder."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from e2e.speech_requests import FAKE, entries, speak
from object_storage import ObjectStorage, run_object_storage
from running_server import RunningServer, wait_until
from tts.voices.sounds import BIRCH

StartServer = Callable[..., AbstractContextManager[RunningServer]]
VOICES, CONSENTS = "/v1/audio/voices", "/v1/audio/voice_consents"


@dataclass(frozen=True)
class Site:
    """Two replicas, their folders, and the store; what `away` closes is away."""

    replicas: tuple[RunningServer, RunningServer]
    folders: tuple[Path, Path]
    storage: ObjectStorage
    away: ExitStack

    def stored(self) -> list[str]:
        listing = httpx2.get(f"{self.storage.url}/{self.storage.bucket}?list-type=2", trust_env=False).text
        return [part.partition("</Key>")[0] for part in listing.split("<Key>")[1:]]


@pytest.fixture(scope="module")
def site(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folders = (tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two"))
    with ExitStack() as running, ExitStack() as away:
        storage = away.enter_context(run_object_storage())
        settings = {**FAKE, **storage.environment}
        settings |= {"TTS_CACHE_URL": storage.at("speech"), "TTS_VOICE_URL": storage.at("voices")}
        one, two = (
            running.enter_context(
                start_server(
                    "tts", TTS_CACHE_DIR=str(folder / "cache"), TTS_VOICE_DIR=str(folder / "voices"), **settings
                )
            )
            for folder in folders
        )
        yield Site((one, two), folders, storage, away)


def upload(server: RunningServer, name: str, **fields: str) -> httpx2.Response:
    with server.http() as http:
        sample = {"audio_sample": ("birch.flac", BIRCH.read_bytes())}
        return http.post(VOICES, data={"name": name, **fields}, files=sample)


def test_what_one_has_spoken_the_other_need_not(site: Site) -> None:
    one, two = site.replicas
    made = speak(one, "Once is enough for all of us.")
    wait_until(lambda: any(key.startswith("speech/") for key in site.stored()), 30, "the speech is sent")
    found = speak(two, "Once is enough for all of us.")
    assert (made.headers["x-cache"], found.headers["x-cache"], found.content) == ("miss", "hit", made.content)
    assert two.engines() == []
    assert len(entries(site.folders[1] / "cache")) == 1
    with two.http() as http:
        assert http.get("/status").json()["cache"]["shared"]["failing"] is None
        counts = [line for line in http.get("/metrics").text.splitlines() if "object_store_requests_total{" in line]
    assert 'voice_stack_object_store_requests_total{outcome="hit",use="speech"} 1.0' in counts


def test_a_voice_of_one_speaks_on_the_other_at_once(site: Site) -> None:
    one, two = site.replicas
    with one.http() as at_one, two.http() as at_two:
        form = {"name": "She agrees", "language": "en"}
        recording = {"recording": ("birch.flac", BIRCH.read_bytes())}
        consent = at_one.post(CONSENTS, data=form, files=recording).json()
        voice = upload(two, "Birch", consent=consent["id"])
        assert voice.status_code == 200, voice.text
        voice_id = voice.json()["id"]
        spoken = [speak(server, "In her voice.", voice=voice_id) for server in (one, two)]
        assert [answer.status_code for answer in spoken] == [200, 200]
        assert speak(one, "By her name.", voice="birch").status_code == 200
        assert at_one.get(f"{VOICES}/{voice_id}").json()["consent"] == consent["id"]
        at_one.post(f"{VOICES}/{voice_id}", json={"name": "Alder"}).raise_for_status()
        assert at_two.get(f"{VOICES}/{voice_id}").json()["name"] == "Alder"
        assert at_two.delete(f"{VOICES}/{voice_id}").status_code == 200
        assert at_one.get(f"{VOICES}/{voice_id}").status_code == 404
        assert speak(one, "Who was it?", voice=voice_id).status_code == 400
    assert not [key for key in site.stored() if key.startswith("voices/voice_")]


def test_a_voice_that_is_known_costs_no_question(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    voice_id = upload(site.replicas[0], "Birch").json()["id"]
    with caplog.at_level(logging.INFO, "werkzeug"):
        for index in range(10):
            for voice in ("alloy", "birch", voice_id):
                assert speak(site.replicas[0], f"Number {index}.", voice=voice).status_code == 200
    listings = [line for line in caplog.messages if "list-type=2&prefix=voices" in line]
    assert len(listings) < 10  # one every 30 s


def test_without_the_store_speech_is_made_and_an_upload_is_an_error(site: Site) -> None:
    one, _ = site.replicas
    kept = upload(one, "Clover").json()["id"]
    site.away.close()
    answers = [speak(one, f"Nobody stores sentence {index}.") for index in range(3)]
    assert [(answer.status_code, answer.headers["x-cache"]) for answer in answers] == [(200, "miss")] * 3
    assert speak(one, "Nobody stores sentence 0.").headers["x-cache"] == "hit"
    assert speak(one, "A voice that was copied speaks.", voice=kept).status_code == 200
    refused = upload(one, "Too late")
    assert (refused.status_code, refused.json()["error"]["code"]) == (507, "storage_unavailable")
    assert site.storage.url not in refused.text
    assert site.storage.bucket not in refused.text
    with one.http() as http:
        names = {voice["name"] for voice in http.get(VOICES).json()["voices"]}
        status = http.get("/status").json()
    assert ("Clover" in names, "Too late" in names) == (True, False)
    assert status["cache"]["shared"]["failing"]
    assert status["voices"]["failing"]
    assert not [path for path in (site.folders[0] / "voices").rglob("*.toml") if "Too late" in path.read_text()]


def test_replicas_on_one_folder_know_each_others_voices(start_server: StartServer, tmp_path: Path) -> None:
    settings = {**FAKE, "TTS_VOICE_DIR": str(tmp_path / "voices"), "TTS_CACHE_DIR": str(tmp_path / "cache")}
    with start_server("tts", **settings) as one, start_server("tts", **settings) as two:
        with ThreadPoolExecutor(6) as threads:
            uploads = [threads.submit(upload, server, f"Birch {index}") for index in range(3) for server in (one, two)]
        ids = [answer.result().json()["id"] for answer in uploads]
        assert len(set(ids)) == 6
        for server in (one, two):
            assert [speak(server, "In her voice.", voice=voice).status_code for voice in ids] == [200] * 6
        with one.http() as at_one, two.http() as at_two:
            assert at_one.delete(f"{VOICES}/{ids[0]}").status_code == 200
            assert at_two.get(f"{VOICES}/{ids[0]}").status_code == 404
        assert speak(two, "Who was it?", voice=ids[0]).status_code == 400
