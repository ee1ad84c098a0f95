"""Broken uploads of every kind: each is an honest 4xx or a right answer, and nothing is left of it."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import httpx2
import pytest

from chaos.dose import Dose
from chaos.footprint import await_quiet, measure
from chaos.listening import FAKE_ASR, URL, form
from chaos.malformed import KINDS, Upload, make_malformed
from chaos.speaking import FAKE_TTS
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]
AT_ONCE = 4
MAX_GROWTH_MIB = 24.0
"""Of the API and the engine process together, over hundreds of uploads of up to 12 MB, some of them at once."""
HUGE_HEADERS = {"one": {"x-a": "a" * 200_000}, "many": {f"x-{number}": "a" * 900 for number in range(200)}}


@pytest.fixture(scope="module")
def asr(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server("asr", **FAKE_ASR) as server:
        yield server


def _send_all(server: RunningServer, path: str, uploads: list[Upload]) -> Counter[tuple[str, int]]:
    """Send all; how often each kind was answered with each status."""

    def send(upload: Upload) -> tuple[str, int]:
        answer = client.post(path, headers=upload.headers, content=upload.body)
        _check(upload, answer)
        assert answer.status_code != 200 or set(answer.json()) == {"text", "usage"}, answer.text
        return upload.kind, answer.status_code

    with server.http() as client, ThreadPoolExecutor(AT_ONCE) as threads:
        return Counter(threads.map(send, uploads))


def _check(upload: Upload, answer: httpx2.Response) -> None:
    told = f"{upload.kind}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, told
    if answer.status_code != 200:
        error = json.loads(answer.text)["error"]
        assert error["message"], told
        assert error["type"] == "invalid_request_error", told
        assert "Traceback (most" not in error["message"], told


@pytest.mark.timeout(900)
def test_malformed_uploads(asr: RunningServer, dose: Dose) -> None:
    uploads = list(make_malformed(dose.malformed))
    _send_all(asr, URL, uploads[: len(KINDS) * 4])
    with asr.http() as client:
        # The VAD's model is loaded once, at the first sound that needs it: 30 MiB that are no leak.
        assert client.post(URL, **form(1.0, vad_filter="true")).status_code == 200  # type: ignore[arg-type]
    await_quiet(asr)
    before, pid = measure(asr), asr.engine_pid()
    counted = _send_all(asr, URL, uploads)
    await_quiet(asr)
    after = measure(asr)
    print(*sorted(counted.items()), before, after, sep="\n")
    # Broken sound is refused by the engine's preparing thread, not by its death.
    assert asr.engine_pid() == pid
    assert (after.processes, after.files) == (before.processes, 0)
    assert after.descriptors <= before.descriptors + 4
    assert after.api_mib + after.engines_mib < before.api_mib + before.engines_mib + MAX_GROWTH_MIB
    assert "Traceback (most" not in asr.log.read_text()
    with asr.http() as client:
        assert client.post(URL, **form(1.0)).json()["text"] == "window 1.0 s."  # type: ignore[arg-type]


@pytest.mark.timeout(900)
def test_malformed_voices(start_server: StartServer, dose: Dose, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("voices")
    with start_server("tts", **FAKE_TTS, TTS_VOICE_DIR=str(folder)) as server:
        for upload in make_malformed(dose.malformed // 5, seed=2):
            part = upload.body.replace(b'name="file"', b'name="audio_sample"').replace(b'name="model"', b'name="name"')
            with server.http() as client:
                _check(upload, client.post("/v1/audio/voices", headers=upload.headers, content=part))
        server.expect_no_uploads()
        assert "Traceback (most" not in server.log.read_text()


@pytest.mark.parametrize("kind", sorted(HUGE_HEADERS))
def test_huge_headers_are_refused_or_ignored(asr: RunningServer, kind: str) -> None:
    with asr.http() as client:
        try:
            status = client.get("/v1/models", headers=HUGE_HEADERS[kind]).status_code
        except httpx2.TransportError:
            # The HTTP parser gives up and closes: that is an answer, too.
            status = 400
        assert status in {200, 400, 431}
        assert client.get("/health").status_code == 200
