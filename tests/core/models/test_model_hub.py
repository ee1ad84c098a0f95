"""Downloads, against a server that speaks the hub's HTTP API."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub_stand_in import COMMIT, HubFile, HubStandIn, lfs_file, serve_hub
from voice_stack.asr.models import ASR_CATALOGUE
from voice_stack.core.errors import ModelLoadError, ModelNotFoundError
from voice_stack.core.models.store import ModelStore
from voice_stack.tts.models import TTS_CATALOGUE

SMALL = "Systran/faster-whisper-small"
WEIGHTS = bytes(range(256)) * 800
CONFIG = b'{"alignment_heads": []}'
AMY = "en_US-amy-low"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    amy = f"en/en_US/amy/low/{AMY}"
    content = {
        SMALL: {
            "README.md": HubFile(b"# not a part of the model"),
            "config.json": HubFile(CONFIG),
            "model.bin": lfs_file(WEIGHTS),
            "vocabulary.txt": HubFile(b"a\nb\n"),
        },
        "rhasspy/piper-voices": {
            f"{amy}.onnx": lfs_file(WEIGHTS),
            f"{amy}.onnx.json": HubFile(CONFIG),
            "en/en_US/amy/low/samples/speaker_0.mp3": HubFile(b"mp3"),
            "de/de_DE/eva_k/x_low/de_DE-eva_k-x_low.onnx": lfs_file(b"another voice"),
        },
    }
    with serve_hub(HubStandIn(content)) as stand_in:
        monkeypatch.setenv("HF_ENDPOINT", stand_in.url)
        yield stand_in


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_model_is_downloaded_checked_and_kept(hub: HubStandIn, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    store = ModelStore(ASR_CATALOGUE, tmp_path, offline=False)
    folder = store.resolve("small", lambda *step: seen.append(step))
    assert contents(folder) == {"config.json": CONFIG, "model.bin": WEIGHTS, "vocabulary.txt": b"a\nb\n"}
    size = len(CONFIG) + len(WEIGHTS) + 4
    assert seen[-1] == (size, size)
    assert json.loads((folder / "manifest.json").read_text())["source"] == f"hub {SMALL}@{COMMIT}"
    assert visible(tmp_path) == ["small"]
    asked = len(hub.requests)
    assert store.resolve("small") == folder
    assert ModelStore(ASR_CATALOGUE, tmp_path, offline=True).resolve("small") == folder
    assert len(hub.requests) == asked


def test_only_one_voice_is_taken_from_the_voices_repository(hub: HubStandIn, tmp_path: Path) -> None:
    store = ModelStore(TTS_CATALOGUE, tmp_path, offline=False)
    assert contents(store.resolve(AMY)) == {f"{AMY}.onnx": WEIGHTS, f"{AMY}.onnx.json": CONFIG}
    assert not any("eva_k" in request for request in hub.requests)
    assert [one.name for one in store.list() if one.state == "local"] == ["en_US-joe-medium", "hibari-heart", AMY]


def test_kokoro_s_voices_come_with_one_of_its_exports(hub: HubStandIn, tmp_path: Path) -> None:
    names = ("README.md", "onnx/model.onnx", "onnx/model_q4.onnx", "voices/af_heart.bin", "voices/am_adam.bin")
    hub.repos["onnx-community/Kokoro-82M-v1.0-ONNX"] = {name: lfs_file(name.encode()) for name in names}
    folder = ModelStore(TTS_CATALOGUE, tmp_path, offline=False).resolve("kokoro-v1.0")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {"manifest.json", "onnx/model.onnx", "voices/af_heart.bin", "voices/am_adam.bin"}


def test_any_repository_is_kept_under_a_safe_name(hub: HubStandIn, tmp_path: Path) -> None:
    hub.repos["someone/whisper-de"] = hub.repos[SMALL]
    store = ModelStore(ASR_CATALOGUE, tmp_path, offline=False)
    assert store.resolve("someone/whisper-de") == tmp_path / "someone--whisper-de"
    assert store.list()[-1].name == "someone/whisper-de"
    assert store.path(SMALL) == tmp_path / "small"


def test_servers_do_not_list_each_others_models(hub: HubStandIn, tmp_path: Path) -> None:
    ModelStore(TTS_CATALOGUE, tmp_path, offline=False).resolve(AMY)
    assert AMY not in {one.name for one in ModelStore(ASR_CATALOGUE, tmp_path, offline=False).list()}


def test_wrong_lfs_digest_is_refused_and_removed(hub: HubStandIn, tmp_path: Path) -> None:
    hub.repos[SMALL]["model.bin"].listed_sha256 = "f" * 64
    with pytest.raises(ModelLoadError, match=rf"model\.bin from hub {SMALL}@{COMMIT} .* expected SHA-256 f{{64}}"):
        ModelStore(ASR_CATALOGUE, tmp_path, offline=False).resolve("small")
    assert visible(tmp_path) == []


def test_file_that_climbs_out_of_the_folder_is_not_taken(hub: HubStandIn, tmp_path: Path) -> None:
    hub.repos[SMALL]["vocabulary.d/../../../escaped.txt"] = HubFile(b"evil")
    folder = ModelStore(ASR_CATALOGUE, tmp_path / "models", offline=False).resolve("small")
    assert sorted(contents(folder)) == ["config.json", "model.bin", "vocabulary.txt"]
    assert not any("escaped" in request for request in hub.requests)
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_repository_without_the_needed_files(hub: HubStandIn, tmp_path: Path) -> None:
    del hub.repos[SMALL]["model.bin"]
    with pytest.raises(
        ModelNotFoundError, match=rf"{SMALL} has no model\.bin; engine faster-whisper needs config\.json, model"
    ):
        ModelStore(ASR_CATALOGUE, tmp_path, offline=False).resolve("small")
    assert not any("resolve" in request for request in hub.requests)


def test_repository_that_does_not_exist(hub: HubStandIn, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=rf"faster-whisper-medium at {hub.url} does not exist, or is private"):
        ModelStore(ASR_CATALOGUE, tmp_path, offline=False).resolve("medium")
    assert visible(tmp_path) == []


def test_voice_that_does_not_exist(hub: HubStandIn, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="has no folder 'fr/fr_FR/nobody/low'"):
        ModelStore(TTS_CATALOGUE, tmp_path, offline=False).resolve("fr_FR-nobody-low")


def test_gated_repository(hub: HubStandIn, tmp_path: Path) -> None:
    hub.gated.add(SMALL)
    with pytest.raises(ModelLoadError, match=r"is gated: accept its terms on its page, then set HF_TOKEN"):
        ModelStore(ASR_CATALOGUE, tmp_path, offline=False).resolve("small")


def test_hub_that_fails(hub: HubStandIn, tmp_path: Path) -> None:
    hub.failing_status = 500
    with pytest.raises(ModelLoadError, match="answered 500"):
        ModelStore(ASR_CATALOGUE, tmp_path, offline=False).resolve("small")
    assert visible(tmp_path) == []


def test_hub_that_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_hub(HubStandIn()) as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.url)
    with pytest.raises(ModelLoadError, match=rf"{gone.url} cannot be reached"):
        ModelStore(ASR_CATALOGUE, tmp_path, offline=False).resolve("small")
    assert visible(tmp_path) == []


def test_offline_never_asks(hub: HubStandIn, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"OFFLINE=true.* voice-stack models pull small"):
        ModelStore(ASR_CATALOGUE, tmp_path, offline=True).resolve("small")
    assert hub.requests == []
