"""What a name stands for, the errors for names that stand for nothing, and the tables of known models."""

import base64
import importlib.metadata
from dataclasses import replace
from pathlib import Path

import pytest

from voice_stack.asr.models import ASR_CATALOGUE, ASR_MODELS
from voice_stack.core.errors import InvalidRequestError, ModelNotFoundError
from voice_stack.core.models.files import Catalogue, ModelPack, ModelSpec, PackFile
from voice_stack.core.models.store import ModelStore
from voice_stack.tts.models import TTS_CATALOGUE, TTS_MODELS


@pytest.mark.parametrize("name", ["../x", "/etc", "..", ".", "", "a/../b", "a/b/c", "~", "base/", "org\\name"])
def test_names_of_requests_are_never_paths(name: str, tmp_path: Path) -> None:
    store = ModelStore(ASR_CATALOGUE, tmp_path, offline=False)
    assert store.find(name) is None
    with pytest.raises(ModelNotFoundError):
        store.resolve(name)


def test_path_of_the_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.bin").write_bytes(b"mine")
    store = ModelStore(ASR_CATALOGUE, tmp_path / "models", offline=True, paths=("./base", "base", "/no/such"))
    assert store.resolve("./base") == tmp_path / "base"
    assert [(check.name, check.expected) for check in store.verify("./base")] == [("model.bin", None)]
    assert store.path("base") == tmp_path / "models" / "base"
    with pytest.raises(ModelNotFoundError, match="no such path"):
        store.require("/no/such")
    with pytest.raises(InvalidRequestError, match="only models in there are removed"):
        store.remove("./base")
    assert (tmp_path / "base" / "model.bin").read_bytes() == b"mine"


def test_unknown_name_lists_the_nearest_first(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError) as unknown:
        ModelStore(ASR_CATALOGUE, tmp_path, offline=True).require("larg-v3")
    assert unknown.value.message.startswith("model 'larg-v3' is not known; valid names, nearest first: large-v3, ")
    assert "tiny.en" in unknown.value.message


def test_missing_package_is_named_with_the_command(tmp_path: Path) -> None:
    spec = ModelSpec(
        name="far", engine="piper", pack=ModelPack(("no-pack==2.0",), (PackFile("x", (("no_pack", "x"),)),))
    )
    store = ModelStore(Catalogue((spec,), TTS_CATALOGUE.unlisted), tmp_path, offline=True)
    assert not store.is_local("far")
    with pytest.raises(ModelNotFoundError) as missing:
        store.require("far")
    assert f"folder {tmp_path / 'far'}: not there; packages no-pack==2.0: not installed" in missing.value.message
    assert "pip install no-pack==2.0" in missing.value.message


def test_offline_error_names_hub_and_command(tmp_path: Path) -> None:
    store = ModelStore(ASR_CATALOGUE, tmp_path, offline=True)
    with pytest.raises(ModelNotFoundError) as missing:
        store.require("large")
    message = missing.value.message
    assert "model 'large-v3' is not on this machine" in message
    assert "Systran/faster-whisper-large-v3: OFFLINE=true" in message
    assert "voice-stack models pull large-v3" in message
    assert "On this machine: tiny.en, base;" in message
    assert ModelStore(ASR_CATALOGUE, tmp_path, offline=False).require("large").name == "large-v3"


def test_whisper_names_are_those_of_the_library() -> None:
    from faster_whisper import utils

    names = utils.available_models()
    assert len(names) > 15
    found = {name: ASR_CATALOGUE.find(name) for name in names}
    assert {name: spec and spec.hub_repo for name, spec in found.items()} == utils._MODELS


def test_piper_voice_names_follow_the_rule() -> None:
    spec = TTS_CATALOGUE.find("de_DE-thorsten_emotional-x_low")
    assert spec is not None
    assert (spec.hub_folder, spec.languages) == ("de/de_DE/thorsten_emotional/x_low", ("de",))
    assert TTS_CATALOGUE.find("de_DE-thorsten-huge") is None
    assert TTS_CATALOGUE.find("rhasspy/piper-voices") is None


def test_model_names_that_are_no_folder_names_are_refused() -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        replace(TTS_CATALOGUE.unlisted, name="../up")


def test_every_pack_digest_is_the_one_its_wheel_records() -> None:
    recorded = {
        str(entry): base64.urlsafe_b64decode(entry.hash.value + "=").hex()
        for spec in (*ASR_MODELS, *TTS_MODELS)
        for package in (spec.pack.packages if spec.pack else ())
        for entry in importlib.metadata.files(package.partition("==")[0]) or ()
        if entry.hash is not None
    }
    files = [file for spec in (*ASR_MODELS, *TTS_MODELS) if spec.pack for file in spec.pack.files]
    single = [file for file in files if len(file.parts) == 1]
    # Whisper `base` and Kokoro are each one large file in parts.
    assert len(single) == len(files) - 2 == 10
    for file in single:
        assert file.sha256 == recorded["/".join(file.parts[0])], file.name
