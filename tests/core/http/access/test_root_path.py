"""Servers below a path of their proxy, whether it leaves the path in the requests it passes on or takes it away."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import httpx2
import pytest
from openai import OpenAI

from core.http.server.site import Site, serving
from e2e.sound import tone
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
BOTH = ["", "/voice/asr"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("spool")
    with serving(folder, root_path="/voice/asr", api_keys=["a-key-for-this-site"], docs_access="open") as running:
        yield running


@pytest.mark.parametrize("prefix", BOTH)
def test_docs_find_all_they_need(site: Site, prefix: str) -> None:
    for path in ("/docs", "/redoc"):
        body = site.call("GET", prefix + path)[2].decode()
        addresses = re.findall(r"""(?:src|href|url|spec-url)(?:=|:\s*)["']([^"']+)["']""", body)
        assert len(addresses) >= 3, body
        assert {address.startswith("/voice/asr/") for address in addresses} == {True}
        assert {site.call("GET", address)[0] for address in addresses} == {200}
    described = json.loads(site.call("GET", f"{prefix}/openapi.json")[2])
    assert described["servers"] == [{"url": "/voice/asr"}]
    assert "/v1/upload" in described["paths"]


@pytest.mark.parametrize("prefix", BOTH)
def test_rules_are_the_same_with_and_without_the_prefix(site: Site, prefix: str) -> None:
    bearer = {"authorization": "Bearer a-key-for-this-site"}
    assert site.call("GET", f"{prefix}/health")[0] == 200
    assert site.call("GET", f"{prefix}/status")[0] == 401
    assert json.loads(site.call("GET", f"{prefix}/status", headers=bearer)[2])["jobs"] == 3
    index = json.loads(site.call("GET", f"{prefix}/", headers=bearer)[2])
    assert (index["docs"], index["openapi"]) == ("/voice/asr/docs", "/voice/asr/openapi.json")
    assert site.call("GET", f"{prefix}{prefix}/nowhere", headers=bearer)[0] == 404


def test_addresses_in_answers_can_be_asked_for(start_server: StartServer) -> None:
    fake = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_VAD_ENABLED": "false", "ASR_ROOT_PATH": "/asr"}
    with start_server("asr", **fake, ASR_BAZARR_OPEN="true") as server, server.http() as client:
        for prefix in ("", "/asr"):
            form = {"model": "whisper-1", "background": "true"}
            taken = client.post(f"{prefix}/v1/audio/transcriptions", data=form, files={"file": ("a.wav", tone(0.5))})
            assert taken.headers["location"] == f"/asr/v1/jobs/{taken.json()['id']}"
            location = taken.headers["location"]
            wait_until(partial(_is_done, client, location), 20, "the job is done")
            assert client.get(location).json()["result_url"] == f"{location}/result"
            assert client.get(f"{location}/result").status_code == 200
            # Bazarr's own route has the name of the path it is below.
            assert client.post(f"{prefix}/asr", files={"audio_file": ("a.wav", tone(0.5))}).status_code == 200
        with OpenAI(base_url=f"{server.url}/asr/v1", api_key="unused", max_retries=0) as sdk:
            assert sdk.audio.transcriptions.create(model="whisper-1", file=("a.wav", tone(1.0))).text == "window 1.0 s."


def _is_done(client: httpx2.Client, path: str) -> bool:
    return bool(client.get(path).json()["status"] == "completed")
