"""What is done in the second-best way, and said: without VAD, in an assumed language, with another model."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import numpy as np

from e2e.sound import wrap_pcm
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]
BELOW_ZERO = wrap_pcm(np.full(32_000, -8000, "<i2").tobytes(), 16_000)
"""Two seconds of which the fake engine cannot tell the language."""


def _transcribe(server: RunningServer, **fields: str) -> httpx2.Response:
    with server.http() as client:
        form = {"model": "whisper-1", "response_format": "verbose_json", **fields}
        return client.post("/v1/audio/transcriptions", data=form, files={"file": ("a.wav", BELOW_ZERO)})


def _damage_vad(folder: Path) -> str:
    """A package in the place of faster-whisper whose file of the VAD network is damaged; returns the search path."""
    assets = folder / "faster_whisper" / "assets"
    assets.mkdir(parents=True)
    (assets.parent / "__init__.py").touch()
    (assets / "silero_vad_v6.onnx").write_bytes(b"damaged")
    return str(folder)


def test_transcription_goes_on_with_what_is_left(start_server: StartServer, tmp_path: Path) -> None:
    paths = os.pathsep.join(filter(None, [_damage_vad(tmp_path), os.environ.get("PYTHONPATH")]))
    settings = {
        "ASR_ENGINE": "fake",
        "ASR_MODEL": "broken",
        "ASR_FALLBACK_MODEL": "fake",
        "ASR_FALLBACK_LANGUAGE": "fr",
    }
    with start_server("asr", PYTHONPATH=paths, **settings) as server:
        answer = _transcribe(server)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["language"], answer.json()["duration"]) == ("french", 2.0)
        assert answer.json()["text"] == "window 2.0 s."
        assert answer.headers["x-fallback"] == "vad, language"
        assert answer.headers["x-fallback-model"] == "fake"
        streamed = _transcribe(server, stream="true", response_format="json")
        assert (streamed.headers["x-fallback"], streamed.headers["x-fallback-model"]) == ("vad, language", "fake")
        with server.http() as client:
            metrics = client.get("/metrics").text
        for kind in ("vad", "language", "model"):
            assert f'voice_stack_fallbacks_total{{kind="{kind}"}} 2.0' in metrics
        unknown = _transcribe(server, model="no-such-model")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
        with server.http() as client:
            # Bazarr gets it, and the right model is asked again when it comes back.
            heard = [client.post("/asr?output=txt", files={"audio_file": ("a.wav", BELOW_ZERO)}) for _ in range(2)]
            assert [answer.text.strip() for answer in heard] == ["window 2.0 s."] * 2
            assert client.get("/status").json()["cache"] == {"hits": 0, "joined": 0, "misses": 2}
        assert "the fake model is broken" in server.log.read_text()


def test_another_voice_speaks_and_is_not_kept_as_the_one_asked_for(start_server: StartServer, tmp_path: Path) -> None:
    settings = {"TTS_ENGINE": "fake", "TTS_MODEL": "broken", "TTS_FALLBACK_MODEL": "fake", "MODEL_DIR": str(tmp_path)}
    body = {"model": "tts-1", "voice": "alloy", "input": "Hello there.", "response_format": "wav"}
    with start_server("tts", **settings) as server, server.http() as client:
        answers = [client.post("/v1/audio/speech", json=body) for _ in range(2)]
        (tmp_path / "repaired").touch()
        answers += [client.post("/v1/audio/speech", json=body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert [answer.headers.get("x-fallback-model") for answer in answers] == ["fake", "fake", None, None]
    assert [answer.headers["x-cache"] for answer in answers] == ["miss", "miss", "miss", "hit"]
    assert ["etag" in answer.headers for answer in answers] == [False, False, True, True]
