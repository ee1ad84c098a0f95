"""`voice-stack finetune` and the records that it shows."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finetune.recordings import write_wav
from piper_speech import speak
from voice_stack.asr.models import ASR_CATALOGUE, ASR_MODELS, DEFAULT_MODEL_NAMES, ENGINE
from voice_stack.cli.finetune import finetune
from voice_stack.core.errors import ConfigurationError, InvalidRequestError, ModelLoadError, VoiceStackError
from voice_stack.core.models.store import ModelStore
from voice_stack.finetune.record import (
    ADAPTER,
    Record,
    alone_in,
    check_model_name,
    find_licence,
    hash_base,
    read_record,
    register,
    run_folder,
)
from voice_stack.tts.models import TTS_CATALOGUE

RECORD = Record(
    name="shop-en",
    engine=ENGINE,
    base="tiny.en",
    base_sha256="0" * 64,
    licence="MIT",
    languages=("en",),
    data_sha256="1" * 64,
    clips=27,
    held_out_clips=3,
    minutes=1.1,
)
DONE = RECORD.completed({"steps": 60}, {"wer_before": 0.35, "wer_after": 0.0}, None)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("OFFLINE", "true")
    return ModelStore(ASR_CATALOGUE, tmp_path / "models", offline=True)


def keep(store: ModelStore, record: Record = DONE) -> Path:
    made = store.model_dir.parent / "made"
    (made / ADAPTER).mkdir(parents=True, exist_ok=True)
    (made / ADAPTER / "adapter_model.safetensors").write_text("matrices")
    (made / "model.bin").write_text("weights")
    return register(store, record, made)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(finetune, [str(argument) for argument in arguments])


def told(result: Result) -> str:
    """The line that `voice-stack` would end with."""
    assert isinstance(result.exception, VoiceStackError), result.exception
    return result.exception.message


def test_check_as_json(tmp_path: Path, store: ModelStore) -> None:
    for number in range(3):
        write_wav(tmp_path / "data" / f"{number}.wav", (0.2 + 0.1 * number) * speak("Where is the Zyrtolex?"))
        (tmp_path / "data" / f"{number}.txt").write_text(f"Where is the Zyrtolex {number}?")
    result = run("check", "asr", "--data", tmp_path / "data", "--json")
    assert result.exit_code == 0
    shown = json.loads(result.stdout)
    assert (shown["clips"], shown["train"], shown["held_out"], shown["split_by"]) == (3, 2, 1, "clip")
    assert shown["different_words"] == 4
    (tmp_path / "data" / "0.txt").unlink()
    (tmp_path / "data" / "1.txt").unlink()
    result = run("check", "--data", tmp_path / "data", "--json")
    assert result.exit_code == 1
    assert "1 clips to learn from" in json.loads(result.stdout)["problem"]
    assert "--held-out" in told(run("check", "--data", tmp_path / "data"))
    (tmp_path / "empty").mkdir()
    assert "no clip in" in told(run("check", "--data", tmp_path / "empty"))


def test_models_and_runs_are_listed_passed_on_and_removed(store: ModelStore, tmp_path: Path) -> None:
    folder = keep(store)
    assert keep(store) == folder  # one of that name is replaced
    RECORD.save(run_folder(store.model_dir, "half"))
    refused = RECORD.completed({}, {"wer_before": 0.1, "wer_after": 0.2}, "It got worse.")
    refused.save(run_folder(store.model_dir, "worse"))
    (run_folder(store.model_dir, "spoilt")).mkdir()
    states = {row["name"]: row["state"] for row in json.loads(run("list", "--json").stdout)}
    assert states["shop-en"].startswith("faster-whisper, from tiny.en, ")
    assert states["shop-en"].endswith("; wer 0.35 -> 0.0; licence MIT")
    assert (states["half"], states["worse"]) == ("interrupted: go on with --resume", "refused: It got worse.")
    assert states["spoilt"].startswith("damaged: ")

    result = run("export", "shop-en", "-o", tmp_path / "carried")
    assert result.exit_code == 0
    other = ModelStore(ASR_CATALOGUE, tmp_path / "other", offline=True)
    (tmp_path / "other" / "finetuned").mkdir(parents=True)
    (tmp_path / "carried").rename(tmp_path / "other" / "finetuned" / "shop-en")
    assert other.resolve("shop-en").name == "shop-en"
    run("export", "shop-en", "--to", "adapter", "-o", tmp_path / "adapter")
    assert (tmp_path / "adapter" / "adapter_model.safetensors").read_text() == "matrices"
    assert "is there already" in told(run("export", "shop-en", "-o", tmp_path / "adapter"))

    assert run("rm", "shop-en").exit_code == 0
    assert not folder.exists()
    assert store.find("shop-en") is None
    for name in ("shop-en", "..", "../../base", ".runs"):
        assert "there are half, spoilt, worse" in told(run("remove", name))


def test_record_says_what_a_model_is_made_of(store: ModelStore) -> None:
    record = read_record(keep(store))
    assert record == DONE
    assert record.versions["voice-stack"]
    assert record.created_at.endswith("Z")
    (status,) = [status for status in store.list() if status.name == "shop-en"]
    assert status.source == f"trained here from tiny.en, {record.created_at[:10]}"
    for content in ("", "[]", '{"name": "shop-en"}', json.dumps({"clips": "many"})):
        (store.path("shop-en") / "finetune.json").write_text(content)
        with pytest.raises(ModelLoadError, match=r"finetune.json is damaged"):
            read_record(store.model_dir / "finetuned" / "shop-en")
        break


@pytest.mark.parametrize(
    "name", ["base", "whisper-1", "large", "de_DE-thorsten-medium", "xtts", "org/x", "..", "", "a b"]
)
def test_name_that_means_something_else_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError):
        check_model_name(name, [ASR_CATALOGUE, TTS_CATALOGUE], DEFAULT_MODEL_NAMES)


def test_licence_is_that_of_the_base_s_base(store: ModelStore) -> None:
    listed = {spec.name: "MIT" for spec in ASR_MODELS}
    base, unknown = store.find("tiny.en"), store.find("somebody/whisper-x")
    assert base is not None
    assert unknown is not None
    assert find_licence(base, listed, store) == "MIT"
    assert find_licence(unknown, listed, store) == "that of the base"
    keep(store, RECORD.completed({}, {}, None))
    own = store.find("shop-en")
    assert own is not None
    assert find_licence(own, {}, store) == "MIT"
    assert hash_base(store.path("shop-en")) == hash_base(store.resolve("shop-en"))


def test_two_processes_do_not_work_on_one_run(tmp_path: Path) -> None:
    with (
        alone_in(tmp_path / "run"),
        pytest.raises(ConfigurationError, match="another process works on run"),
        alone_in(tmp_path / "run"),
    ):
        pass


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {"TTS_ACCEPT_CPML": "false"}, "TTS_ACCEPT_CPML=true accepts it"),
        (["--engine", "piper"], {}, "engine piper cannot be trained yet: .*; xtts can"),
        ([], {}, "--consent is needed"),
        (["--consent", "cons_unknown"], {}, "No voice consent with id 'cons_unknown'"),
        (["--consent", "She agreed."], {"TTS_REQUIRE_CONSENT": "true"}, "No voice consent with id 'She agreed.'"),
    ],
)
def test_nobodys_voice_is_learned_without_a_licence_and_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], environment: dict[str, str], message: str
) -> None:
    for name, value in {"TTS_ACCEPT_CPML": "true", "TTS_VOICE_DIR": str(tmp_path), **environment}.items():
        monkeypatch.setenv(name, value)
    command = ["tts", "--data", str(tmp_path), "--name", "anna", *arguments]

    result = CliRunner().invoke(finetune, command)

    assert isinstance(result.exception, VoiceStackError)
    assert re.search(message, result.exception.message)
