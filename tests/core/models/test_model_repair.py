"""A model whose files are damaged is found out when it does not load, and fetched again where that can be done."""

import os
from pathlib import Path

import pytest

from core.models.test_model_store import small_catalogue
from voice_stack.core.errors import ModelLoadError
from voice_stack.core.models.repair import VERIFY_VARIABLE, load_model, require_models
from voice_stack.core.models.store import ModelStore

NAME = "small-voice"


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(small_catalogue(), tmp_path / "models", offline=True)


def damage(path: Path) -> bytes:
    """Change a file as a failing disk does: size and time stay. Returns what it was."""
    before, status = path.read_bytes(), path.stat()
    path.write_bytes(b"\x00" * len(before))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return before


def load(folder: Path) -> str:
    """A loader that wants what the file really holds."""
    try:
        return (folder / "voice.json").read_text()[:1].replace("\x00", "") or _refuse()
    except FileNotFoundError:
        return _refuse()


def _refuse() -> str:
    raise ModelLoadError("the weights make no sense")


def test_damaged_files_are_put_together_again(store: ModelStore, caplog: pytest.LogCaptureFixture) -> None:
    folder = store.resolve(NAME)
    before = damage(folder / "voice.json")
    assert load_model(store, NAME, load) == "{"
    assert (folder / "voice.json").read_bytes() == before
    damaged = next(record for record in caplog.records if "damaged" in record.getMessage())
    assert damaged.fields["files"] == "voice.json"  # type: ignore[attr-defined]


def test_a_file_that_resolve_finds_changed_is_put_together_again(store: ModelStore) -> None:
    folder = store.resolve(NAME)
    (folder / "voice.json").write_text("x")
    assert load_model(store, NAME, load) == "{"


def test_after_a_death_files_are_checked_before_they_are_loaded(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VERIFY_VARIABLE, "1")
    damage(store.resolve(NAME) / "voice.json")
    seen = load_model(store, NAME, lambda folder: (folder / "voice.json").read_bytes()[:1])
    assert seen == b"{"


def test_what_cannot_be_fetched_again_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "models" / NAME
    folder.mkdir(parents=True)
    (folder / "voice.json").write_text("{}")
    store = ModelStore(small_catalogue(), tmp_path / "models", offline=True)
    assert load_model(store, NAME, load) == "{"
    damage(folder / "voice.json")
    with pytest.raises(ModelLoadError, match=r"damaged files: voice\.json") as caught:
        load_model(store, NAME, load)
    assert str(folder) in caught.value.message
    assert (folder / "voice.json").read_bytes() == b"\x00\x00"


def test_a_model_that_is_whole_and_does_not_load_says_why(store: ModelStore) -> None:
    calls: list[Path] = []

    def fail(folder: Path) -> None:
        calls.append(folder)
        raise ModelLoadError("no such layer")

    with pytest.raises(ModelLoadError, match="no such layer"):
        load_model(store, NAME, fail)
    assert len(calls) == 1


def test_a_server_starts_with_its_fallback_model_alone(store: ModelStore) -> None:
    require_models(store, "small-voice", "")
    require_models(store, "en_US-nobody-low", "small-voice")
