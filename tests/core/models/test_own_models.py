"""Models that were trained here: known by name, listed, and left out with the reason where something is wrong."""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from voice_stack.asr.models import ASR_CATALOGUE, ENGINE, TORCH_ENGINE, capabilities_of, find_catalogue
from voice_stack.core.errors import ModelLoadError, ModelNotFoundError
from voice_stack.core.models.files import ModelSpec
from voice_stack.core.models.own import RECORD
from voice_stack.core.models.repair import load_model, remove_partial_models
from voice_stack.core.models.store import ModelNames, ModelStore

FILES = {"config.json": "{}", "model.bin": "weights", "tokenizer.json": "{}", "vocabulary.txt": "a"}


def keep(store: ModelStore, name: str, base: str = "tiny.en", languages: tuple[str, ...] = ("en",)) -> Path:
    made = store.model_dir / ".runs" / name
    made.mkdir(parents=True)
    record = {"engine": ENGINE, "base": base, "languages": languages}
    for file, content in {**FILES, RECORD: json.dumps(record)}.items():
        (made / file).write_text(content)
    return store.keep(ModelSpec(name=name, engine=ENGINE, base=base), made, "trained here")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(ASR_CATALOGUE, tmp_path, offline=True)


def test_own_model_is_known_by_its_name(store: ModelStore) -> None:
    folder = keep(store, "shop-en")
    names = ModelNames(store, "base", ("whisper-1",))
    assert names.resolve("shop-en") == "shop-en"
    assert "shop-en" in names.names()
    assert store.resolve("shop-en") == folder == store.model_dir / "finetuned" / "shop-en"
    assert {check.name: check.intact for check in store.verify("shop-en")} == dict.fromkeys((*FILES, RECORD), True)
    (status,) = [status for status in store.list() if status.name == "shop-en"]
    assert (status.state, status.source, status.path) == ("local", "trained here", folder)
    with pytest.raises(ModelNotFoundError, match="nearest first: shop-en"):
        store.require("shop-de")
    # Other engines cannot load it; a server whose operator names the models has it only where he names it.
    assert ModelStore(find_catalogue(TORCH_ENGINE), store.model_dir, offline=True).find("shop-en") is None
    with pytest.raises(ModelNotFoundError):
        ModelNames(store, "base", (), allowed=["base"]).resolve("shop-en")
    store.remove("shop-en")
    assert not folder.exists()
    assert store.find("shop-en") is None


def test_own_model_can_what_its_base_can(store: ModelStore) -> None:
    keep(store, "shop-en")
    keep(store, "shop", base="large-v3-turbo", languages=("en", "de"))
    assert capabilities_of(ENGINE, store.find("shop-en")).languages == ("en",)
    of_turbo = capabilities_of(ENGINE, store.find("shop"))
    assert (of_turbo.languages, of_turbo.translate) == (("en", "de"), False)
    spec = store.find("shop")
    assert spec is not None
    assert capabilities_of(ENGINE, replace(spec, base="large-v3")).translate


def _half(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _no_record(folder: Path) -> None:
    (folder / RECORD).unlink()


def _pipe(folder: Path) -> None:
    (folder / RECORD).unlink()
    os.mkfifo(folder / RECORD)


def _deep(folder: Path) -> None:
    (folder / RECORD).write_text("[" * 100_000)


def _list(folder: Path) -> None:
    (folder / RECORD).write_text('["faster-whisper"]')


@pytest.mark.parametrize("spoil", [_half, _no_record, _pipe, _deep, _list])
def test_damaged_folder_hides_no_other_model(
    spoil: Callable[[Path], None], store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(keep(store, "bad"))
    keep(store, "good")
    names = ModelNames(store, "base", ())
    with caplog.at_level(logging.WARNING):
        assert {"bad", "good"} & {*names.names()} == {"good"}
    assert "model 'bad': " in caplog.text
    assert store.find("bad") is None
    # Whoever asks for it by the settings is told what is wrong with it.
    with pytest.raises(ModelLoadError, match=r"model 'bad': .*finetuned/bad"):
        store.require("bad")


def test_altered_weights_are_refused_and_not_taken_for_another_model_s(store: ModelStore) -> None:
    folder = keep(store, "shop-en")
    (folder / "model.bin").write_text("poisoned")
    with pytest.raises(ModelLoadError, match=r"'shop-en': damaged files: model.bin .*cannot be fetched again"):
        load_model(store, "shop-en", lambda folder: folder)


@pytest.mark.parametrize("name", ["../finetuned/shop-en", "..", ".hidden", "shop-en/.", "", "x" * 65, "a\0"])
def test_no_name_leads_out_of_the_folder(name: str, store: ModelStore) -> None:
    keep(store, "shop-en")
    assert store.find(name) is None


def test_half_kept_model_goes_at_the_next_start(store: ModelStore) -> None:
    keep(store, "shop-en")
    half = store.model_dir / "finetuned" / ".other.partial"
    half.mkdir()
    remove_partial_models(store.model_dir)
    assert not half.exists()
    assert store.find("shop-en")
