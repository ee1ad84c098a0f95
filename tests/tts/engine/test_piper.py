"""Piper's names, speakers and failures, on a small voice with three speakers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tiny_piper import RATE, TONES_HZ, make_piper_voice
from voice_stack.core.errors import EngineError, ModelLoadError, UnsupportedValueError
from voice_stack.tts.engine.base import EngineVoice, VoiceOptions
from voice_stack.tts.engine.piper import PiperEngine
from voice_stack.tts.engine_factory import open_store
from voice_stack.tts.models import TTS_CATALOGUE, read_facts
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.voices.builtin import find_piper_speaker, piper_voices

TEXT = "Hello there."
CATALOGUE = (
    "ar_JO-kareem-low", "ca_ES-upc_ona-x_low", "cs_CZ-jirka-medium", "cy_GB-gwryw_gogleddol-medium",
    "de_DE-thorsten_emotional-medium", "el_GR-rapunzelina-low", "en_GB-southern_english_female-low",
    "en_US-hfc_female-medium", "en_US-l2arctic-medium", "en_US-libritts_r-medium", "en_US-ljspeech-high",
    "es_AR-daniela-high", "es_ES-mls_10246-low", "fr_FR-mls_1840-low", "is_IS-salka-medium", "it_IT-riccardo-x_low",
    "ka_GE-natia-medium", "kk_KZ-issai-high", "lb_LU-marylux-medium", "ne_NP-google-x_low", "nl_BE-rdh-x_low",
    "no_NO-talesyntese-medium", "pl_PL-mc_speech-medium", "pt_BR-cadu-medium", "pt_PT-tugão-medium",
    "sr_RS-serbski_institut-medium", "sw_CD-lanfrica-medium", "uk_UA-ukrainian_tts-medium",
    "vi_VN-25hours_single-low", "vi_VN-vais1000-medium", "zh_CN-huayan-medium", "zh_CN-huayan-x_low",
)  # fmt: skip
"""Names of every shape in the hub's voices.json."""


@pytest.fixture(scope="module")
def chorus(tmp_path_factory: pytest.TempPathFactory) -> PiperEngine:
    path = make_piper_voice(tmp_path_factory.mktemp("voice"), "chorus")
    return PiperEngine(path, device="cpu", threads=1)


def speak(engine: PiperEngine, speaker: str = "", text: str = TEXT, speed: float = 1) -> NDArray[np.float32]:
    options = VoiceOptions(EngineVoice(speaker), "en", speed)
    return np.concatenate([part.samples for part in engine.synthesize(text, options)])


def pitch_hz(samples: NDArray[np.float32]) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * RATE / samples.size)


def open_settings(folder: Path, **changes: object) -> TtsSettings:
    return TtsSettings.read(voice_dir=folder, model_dir=folder / "models", offline=True, **changes)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_shape_of_name_has_its_place_on_the_hub(name: str) -> None:
    spec = TTS_CATALOGUE.find(name)
    assert spec is not None
    locale, speaker, quality = name.split("-")
    assert spec.hub_folder == f"{locale.split('_')[0]}/{locale}/{speaker}/{quality}"
    assert spec.hub_files == (f"{name}.onnx", f"{name}.onnx.json")
    assert spec.folder == name


def test_a_letter_and_its_accent_are_one() -> None:
    spec = TTS_CATALOGUE.find("pt_PT-tuga\u0303o-medium")
    assert spec is not None
    assert spec.name == "pt_PT-tugão-medium"


@pytest.mark.parametrize(
    "name", ["en_US-joe-ultra", "en_US-joe", "en-joe-medium", "en_US-../x-medium", "en_US-jo e-low", "EN_us-joe-low"]
)
def test_other_names_are_no_voices(name: str) -> None:
    assert TTS_CATALOGUE.find(name) is None


@pytest.mark.parametrize(("speaker", "tone"), [("", 0), ("alice", 0), ("0", 0), ("3922", 1), ("1", 2), ("2", 2)])
def test_each_speaker_has_a_voice(chorus: PiperEngine, speaker: str, tone: int) -> None:
    assert pitch_hz(speak(chorus, speaker)) == pytest.approx(TONES_HZ[tone], abs=5)


@pytest.mark.parametrize("speaker", ["3", "-1", "bob", "Alice", "9" * 5000, "²", " 1", "1.0"])
def test_a_speaker_that_is_not_there(chorus: PiperEngine, speaker: str) -> None:
    names = r"a number from 0 to 2 or one of the names alice, 3922, 1"
    with pytest.raises(UnsupportedValueError, match=names) as error:
        speak(chorus, speaker)
    assert error.value.param == "voice"


def test_speed(chorus: PiperEngine) -> None:
    usual = speak(chorus).size
    assert speak(chorus, speed=2).size == pytest.approx(usual / 2, rel=0.01)
    assert speak(chorus, speed=0.5).size == pytest.approx(usual * 2, rel=0.01)


def test_brackets_are_text(chorus: PiperEngine) -> None:
    # Taken as phonemes, the letters would be fewer than the sounds of the words.
    assert speak(chorus, text="See [[xxxxxx]].").size == speak(chorus, text="See [ [xxxxxx]].").size


@pytest.mark.parametrize(("promised", "speaker"), [(1, ""), (5, "4")], ids=["no speaker given", "one beyond the last"])
def test_a_model_that_fails_at_work_is_an_engine_error(tmp_path: Path, promised: int, speaker: str) -> None:
    # The file beside it promises other speakers than the model has.
    path = make_piper_voice(tmp_path, "broken", num_speakers=promised, speaker_id_map={})
    with pytest.raises(EngineError, match="Piper failed on 'Hello there"):
        speak(PiperEngine(path, device="cpu", threads=1), speaker)


@pytest.mark.parametrize(
    ("onnx", "config", "told"),
    [
        (b"no model at all", None, "broken.onnx does not load"),
        (None, b"", "JSONDecodeError"),
        (None, b"[1, 2]", "an object was expected, not list"),
        (None, b"{}", "does not load: KeyError"),
        (None, b'{"audio": 3, "num_symbols": 1, "num_speakers": 1}', "does not load"),
        (None, b'{"num_speakers": "many"}', "num_speakers 'many'"),
    ],
    ids=["model", "empty", "list", "object", "types", "speakers"],
)
def test_files_that_are_no_voice(tmp_path: Path, onnx: bytes | None, config: bytes | None, told: str) -> None:
    path = make_piper_voice(tmp_path, "broken")
    if onnx is not None:
        path.write_bytes(onnx)
    if config is not None:
        Path(f"{path}.json").write_bytes(config)
    with pytest.raises(ModelLoadError, match=told):
        PiperEngine(path, device="cpu", threads=1)


def test_a_voice_that_needs_more_packages_says_which(tmp_path: Path) -> None:
    path = make_piper_voice(tmp_path, "kaiwa", phoneme_type="japanese")
    with pytest.raises(ModelLoadError, match=r"pip install 'piper-tts\[ja\]'"):
        PiperEngine(path, device="cpu", threads=1)


def test_a_chinese_voice_fetches_nothing_while_offline(tmp_path: Path) -> None:
    """In a process of its own: with a package `g2pw` that can be found, as after `pip install piper-tts[zh]`."""
    path = make_piper_voice(tmp_path / "voices", "huayan", phoneme_type="pinyin")
    (tmp_path / "packages" / "g2pw").mkdir(parents=True)
    (tmp_path / "packages" / "g2pw" / "__init__.py").touch()
    code = f"""
import os, sys
sys.path.append({str(tmp_path / "packages")!r})
from voice_stack.core.errors import ModelLoadError
from voice_stack.tts.engine_factory import engine_spec, load_engine
from voice_stack.tts.settings import TtsSettings
settings = TtsSettings.read(offline=True, model={str(path)!r}, model_dir={str(tmp_path)!r})
try:
    load_engine(engine_spec(settings, "piper", settings.model).config)
except ModelLoadError as error:
    print(error.message)
print(os.environ["HF_HUB_OFFLINE"])
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "g2pW" in told
    assert "OFFLINE=true" in told
    assert told.endswith("\n1\n")
    assert sorted(file.name for file in path.parent.iterdir()) == ["huayan.onnx", "huayan.onnx.json"]


def test_the_library_knows_speakers_and_languages(tmp_path: Path) -> None:
    make_piper_voice(tmp_path, "chorus")
    make_piper_voice(tmp_path, "solo", num_speakers=1, speaker_id_map={}, language={"family": "pt"})
    settings = open_settings(tmp_path)
    voices = {voice.id: voice for voice in piper_voices(settings, open_store(settings))}
    assert voices["chorus"].languages == ("en",)
    assert "3 speakers" in voices["chorus"].description
    assert voices["solo"].languages == ("pt",)
    assert "speakers" not in voices["solo"].description


def test_speakers_are_voices_by_name(tmp_path: Path) -> None:
    make_piper_voice(tmp_path, "chorus")
    make_piper_voice(tmp_path, "solo", num_speakers=1, speaker_id_map={})
    settings = open_settings(tmp_path)
    store = open_store(settings)
    voice = find_piper_speaker(settings, store, "Chorus#3922")
    assert voice is not None
    assert (voice.id, voice.engine_voice.name, voice.languages) == ("chorus#3922", "3922", ("en",))
    with pytest.raises(UnsupportedValueError, match="a number from 0 to 2"):
        find_piper_speaker(settings, store, "chorus#3")
    with pytest.raises(UnsupportedValueError, match="one speaker"):
        find_piper_speaker(settings, store, "solo#1")
    assert find_piper_speaker(settings, store, "nobody#1") is None
    assert find_piper_speaker(settings, store, "../chorus#1") is None


def test_voices_of_the_catalogue_only_where_they_are_allowed(tmp_path: Path) -> None:
    name = "de_DE-mls-medium#2422"
    offline = open_settings(tmp_path, allowed_models="*")
    assert find_piper_speaker(offline, open_store(offline), name) is None
    closed = TtsSettings.read(voice_dir=tmp_path, model_dir=tmp_path / "models", allowed_models="fr_*")
    assert find_piper_speaker(closed, open_store(closed), name) is None
    open_to_german = TtsSettings.read(voice_dir=tmp_path, model_dir=tmp_path / "models", allowed_models="de_*")
    voice = find_piper_speaker(open_to_german, open_store(open_to_german), name)
    assert voice is not None
    assert (voice.model, voice.engine_voice.name, voice.languages) == ("de_DE-mls-medium", "2422", ("de",))


def test_the_file_of_a_voice_is_read_again_when_it_changes(tmp_path: Path) -> None:
    config = Path(f"{make_piper_voice(tmp_path, 'chorus')}.json")
    facts = read_facts(config)
    assert facts is not None
    assert facts.speaker_count == 3
    make_piper_voice(tmp_path, "chorus", num_speakers=2, speaker_id_map={})
    os.utime(config, ns=(1, 1))
    changed = read_facts(config)
    assert changed is not None
    assert changed.speaker_count == 2
    config.write_text("{")
    assert read_facts(config) is None
