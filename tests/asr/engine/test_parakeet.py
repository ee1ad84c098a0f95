"""What is Parakeet's own: words from tokens, the language from the text, its files, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import openai
import pytest

from conftest import StartServer
from piper_speech import speak, speak_wav
from tiny_parakeet import ENGLISH, GERMAN, ITALIAN, make_parakeet
from voice_stack.asr.engine.parakeet import ParakeetEngine
from voice_stack.asr.engine.words import TimedToken, join_words, split_sentences
from voice_stack.asr.request import DecodeOptions, EngineOptions
from voice_stack.core.errors import ModelLoadError

SPEECH = "The train to the coast leaves at nine. Please do not be late."


def tokens(*parts: tuple[str, float]) -> list[TimedToken]:
    return [TimedToken(number, text, start_s, -0.5) for number, (text, start_s) in enumerate(parts)]


def test_tokens_become_words_and_sentences() -> None:
    heard = tokens((" I", 0.08), (" run", 0.4), ("ning", 0.56), (".", 0.72), (" Why", 2.0), ("?", 2.08))
    words = join_words(heard, 2.2)
    times = [(word.word.text, round(word.word.start_s, 2), round(word.word.end_s, 2)) for word in words]
    # A word ends where the next begins, or one longest token after its last token, or with the window.
    assert times == [("I", 0.08, 0.4), ("running.", 0.4, 1.04), ("Why?", 2.0, 2.2)]
    assert [len(sentence) for sentence in split_sentences(words)] == [2, 1]
    assert words[0].word.probability == pytest.approx(np.exp(-0.5))


def test_no_tokens_are_no_words() -> None:
    assert join_words([], 1.0) == []


@pytest.mark.parametrize(("words", "language"), [(GERMAN, "de"), (ITALIAN, "it")])
def test_the_language_shows_in_the_text(tmp_path: Path, words: tuple[str, ...], language: str) -> None:
    engine = ParakeetEngine(make_parakeet(tmp_path, words, multilingual=True), EngineOptions(device="cpu"))
    assert len(engine.capabilities.languages) == 25
    window = speak(SPEECH)
    found = engine.detect_language(window)
    assert next(iter(found)) == language
    assert found[language] > 0.5
    # The text that was heard for it is the one that is decoded.
    (result,) = engine.decode([window], DecodeOptions(language=language))
    (again,) = engine.decode([window], DecodeOptions(language=language))
    assert result == again
    assert {word.strip(".,?").lower() for word in result.segments[0].text.split()} <= set(_spellings(words))


def _spellings(words: tuple[str, ...]) -> set[str]:
    stems = {word[1:].lower() for word in words if word.startswith("▁")}
    ends = [word for word in words if not word.startswith("▁") and word.isalpha()]
    spellings = set(stems)
    for _ in range(12):
        spellings |= {stem + end for stem in spellings for end in ends if len(stem) < 60}
    return spellings


def test_a_text_without_language_counts_as_english(tmp_path: Path) -> None:
    engine = ParakeetEngine(make_parakeet(tmp_path, ("▁1", "▁2", "."), multilingual=True), EngineOptions(device="cpu"))
    found = engine.detect_language(speak(SPEECH))
    assert next(iter(found)) == "en"
    assert found["en"] < 0.5


def test_int8_files_are_taken_on_a_cpu_where_they_are(tmp_path: Path) -> None:
    window = speak(SPEECH)
    make_parakeet(tmp_path, ENGLISH, suffix=".int8")
    alone = ParakeetEngine(tmp_path, EngineOptions(device="cpu")).decode([window], DecodeOptions("en"))
    assert alone[0].segments
    with pytest.raises(ModelLoadError, match="'float32': the folder has int8"):
        ParakeetEngine(tmp_path, EngineOptions(device="cpu", compute_type="float32"))


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("config.json", json.dumps({"model_type": "whisper"}), "'whisper' in config.json is not one of nemo-conformer"),
        ("config.json", "{}", "model_type"),
        ("vocab.txt", "no number", "vocab|number"),
        ("encoder-model.onnx", "not a model", "does not load"),
        ("vocab.txt", None, "vocab.txt"),
        ("decoder_joint-model.onnx", None, "decoder_joint"),
    ],
)
def test_a_damaged_model_does_not_load(tmp_path: Path, file: str, content: str | None, reason: str) -> None:
    path = make_parakeet(tmp_path, ENGLISH) / file
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(ModelLoadError, match=reason):
        ParakeetEngine(tmp_path, EngineOptions(device="cpu"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (EngineOptions(device="tpu"), "'tpu' is not one of auto, cpu, cuda"),
        (EngineOptions(device="cuda:x"), "'cuda:x' is not one of"),
        (EngineOptions(device="cpu", compute_type="int4"), "'int4': the folder has float32"),
    ],
)
def test_what_it_cannot_run_on_is_refused(tmp_path: Path, options: EngineOptions, reason: str) -> None:
    with pytest.raises(ModelLoadError, match=reason):
        ParakeetEngine(make_parakeet(tmp_path, ENGLISH), options)


def test_a_server_with_parakeet_transcribes_and_refuses_what_it_cannot(
    start_server: StartServer, tmp_path: Path
) -> None:
    model = make_parakeet(tmp_path / "model", ENGLISH)
    file = ("speech.wav", speak_wav(SPEECH))
    with start_server("asr", ASR_ENGINE="parakeet", ASR_MODEL=str(model)) as server:
        audio = server.openai().audio
        heard = audio.transcriptions.create(
            model="whisper-1", file=file, response_format="verbose_json", timestamp_granularities=["word", "segment"]
        )
        assert heard.language == "english"
        assert heard.words
        assert heard.segments
        assert "".join(segment.text for segment in heard.segments).strip() == heard.text
        # An empty prompt, which some clients always send, asks for nothing.
        assert audio.transcriptions.create(model="whisper-1", file=file, prompt="").text == heard.text
        with pytest.raises(openai.BadRequestError, match=r"engine parakeet\) takes no prompt.*faster-whisper") as error:
            audio.transcriptions.create(model="whisper-1", file=file, prompt="Names: Smythe.")
        assert error.value.param == "prompt"
        with pytest.raises(openai.BadRequestError, match=r"cannot translate.*faster-whisper"):
            audio.translations.create(model="whisper-1", file=file)
        with pytest.raises(openai.BadRequestError, match=r"'ja'; it understands en.*99 languages"):
            audio.transcriptions.create(model="whisper-1", file=file, language="ja")
        with server.http() as client:
            answer = client.post("/asr?task=translate", files={"audio_file": file})
            aligned = client.post("/v1/audio/alignments", data={"text": heard.text}, files={"file": file})
        assert aligned.headers["x-fallback"] == "alignment"
        assert any(word["start"] is not None for word in aligned.json()["words"])
        told = answer.json()["error"]
        assert (answer.status_code, told["param"], told["code"]) == (400, "task", "unsupported_value")
        assert "No other model on this machine can" in told["message"]


def test_it_needs_no_library_of_another_engine() -> None:
    code = (
        "import sys; sys.modules |= dict.fromkeys(('faster_whisper', 'ctranslate2', 'whisper', 'torch'));"
        "import voice_stack.asr.engine.parakeet, voice_stack.asr.engine.fake, voice_stack.asr.listening.workload"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
