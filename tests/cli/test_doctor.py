"""`voice-stack doctor`."""

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from cli.commands import doctor
from object_storage import ObjectStorage
from voice_stack.chat.settings import ChatSettings
from voice_stack.cli.asking import (
    Check,
    check_language_model,
    check_object_stores,
    check_providers,
    check_speech_servers,
)
from voice_stack.cli.doctor import check_own_models
from voice_stack.core.system.objects import ObjectStore
from voice_stack.tts.settings import TtsSettings


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


def test_doctor_tries_the_store_that_replicas_share(
    object_storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(bucket: str) -> list[Check]:
        return list(check_object_stores(TtsSettings.read(cache_url=f"s3://{bucket}/a", voice_url=f"s3://{bucket}/b")))

    rows = look(object_storage.bucket)
    assert [(row.name.partition("=")[0], row.status) for row in rows] == [
        ("TTS_CACHE_URL", "OK"),
        ("TTS_VOICE_URL", "OK"),
    ]
    assert list(ObjectStore.open(object_storage.at("a")).list()) == []
    missing = look("no-such-bucket")
    assert [(row.status, "there is no such bucket" in row.detail) for row in missing] == [("WARN", True)] * 2
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert [row.status for row in look(object_storage.bucket)] == ["WARN", "WARN"]
    assert list(check_object_stores(TtsSettings.read())) == []


@pytest.fixture
def model_server() -> Iterator[str]:
    """The address of a language model that wants a key."""

    class Models(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            may = self.headers["authorization"] == "Bearer right"
            self.send_response(200 if may and self.path == "/v1/models" else 401 if not may else 404)
            self.end_headers()
            self.wfile.write(json.dumps({"object": "list", "data": [{"id": "qwen3:4b"}]}).encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Models) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def test_doctor_asks_the_language_model_and_the_sisters(model_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice_stack.cli.asking.USUAL_MODELS", {"Ollama": 1})

    def ask(**settings: str) -> Check:
        return check_language_model(ChatSettings.read(**settings))

    assert (ask().status, ask().remedy.endswith("http://127.0.0.1:1/v1 (Ollama)")) == ("WARN", True)
    assert ask(llm_url=model_server).remedy == "CHAT_LLM_KEY=..."
    assert ask(llm_url=model_server, llm_key="right").detail == "answers; the model is qwen3:4b, of qwen3:4b"
    assert "it has qwen3:4b" in ask(llm_url=model_server, llm_key="right", llm_model="llama").detail
    assert ask(llm_url=model_server.removesuffix("/v1"), llm_key="right").status == "OK"
    assert "answers 404" in ask(llm_url=f"{model_server}/v1", llm_key="right").detail
    assert "does not answer" in ask(llm_url="http://127.0.0.1:1/v1").detail
    settings = ChatSettings.read(asr_url=model_server.removesuffix("/v1"), tts_url="http://127.0.0.1:1")
    assert [check.status for check in check_speech_servers(settings)] == ["OK", "WARN"]


def test_doctor_asks_providers_whether_they_know_the_key(model_server: str) -> None:
    def ask(**settings: object) -> list[tuple[str, str]]:
        own = {"providers": ["openai/tts-1"], "provider_openai_url": model_server, **settings}
        return [(check.status, check.remedy) for check in check_providers(TtsSettings.read(**own))]

    assert ask(provider_openai_key="right") == [("OK", "")]
    assert ask(provider_openai_key="wrong") == [("WARN", "PROVIDER_OPENAI_KEY=...")]
    assert ask(provider_openai_url=f"{model_server}/v1")[0][1].startswith("PROVIDER_OPENAI_")
    assert ask(providers=["google/x"])[0][0] == "FAIL"
    assert ask(providers=[]) == []


def test_doctor_says_what_is_wrong_with_models_that_were_trained_here(tmp_path: Path) -> None:
    (tmp_path / "finetuned" / "half").mkdir(parents=True)
    (tmp_path / "finetuned" / ".runs" / "shop-en").mkdir(parents=True)
    damaged, runs = check_own_models(tmp_path)
    assert (damaged.status, damaged.name) == ("WARN", "model half")
    assert "finetune rm half" in damaged.remedy
    assert (runs.status, "shop-en" in runs.detail) == ("OK", True)
    assert list(check_own_models(tmp_path / "none")) == []
