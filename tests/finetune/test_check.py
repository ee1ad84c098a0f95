"""What is found out about clips before a model is trained on them."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from finetune.recordings import RATE, write_wav
from piper_speech import speak
from voice_stack.asr.models import ASR_CATALOGUE
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.models.store import ModelStore
from voice_stack.finetune.check import CheckedClips, check_clips, divide
from voice_stack.finetune.folders import read_clips

TEXT = "Where is the Zyrtolex?"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = ModelStore(ASR_CATALOGUE, tmp_path_factory.mktemp("models"), offline=True).resolve("tiny.en")
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def add(folder: Path, name: str, text: str = TEXT, samples: np.ndarray | None = None) -> None:
    """A clip that differs from others by its level, so that none is another's double."""
    level = 0.2 + 0.01 * len(list(folder.iterdir())) if folder.exists() else 0.2
    write_wav(folder / f"{name}.wav", level * speak(TEXT) if samples is None else samples)
    (folder / f"{name}.txt").write_text(text)


def check(folder: Path, tokenizer: Tokenizer | None = None) -> CheckedClips:
    return check_clips(read_clips(folder), "asr", tokenizer, lambda _done, _of: None)


def by_place(checked: CheckedClips, *, is_left_out: bool) -> dict[str, str]:
    chosen = [one for one in checked.findings if one.is_left_out is is_left_out]
    return {place: finding.message for finding in chosen for place in finding.places}


def test_clips_that_cannot_be_used_are_left_out_with_the_reason(tmp_path: Path, tokenizer: Tokenizer) -> None:
    speech, noise = speak(TEXT), np.random.default_rng(1).normal(0, 0.05, 3 * RATE).astype(np.float32)
    add(tmp_path, "good")
    add(tmp_path, "silent", samples=np.zeros(RATE, np.float32))
    add(tmp_path, "noise", samples=noise)
    add(tmp_path, "long", samples=np.tile(speech, 40)[: 31 * RATE])
    add(tmp_path, "short", samples=speech[: RATE // 5])
    add(tmp_path, "marks", text="<|en|> Where is it?")
    add(tmp_path, "twice", samples=0.2 * speech)
    add(tmp_path, "essay", text="a b c d e f g h i j " * 45)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    (tmp_path / "broken.txt").write_text(TEXT)
    checked = check(tmp_path, tokenizer)
    assert [clip.path.name for clip in checked.clips] == ["good.wav"]
    reasons = by_place(checked, is_left_out=True)
    assert {place: reason.partition(":")[0] for place, reason in reasons.items() if place != "broken.wav"} == {
        "silent.wav": "silent",
        "noise.wav": "no speech in it",
        "long.wav": "longer than 30 s",
        "short.wav": "shorter than 0.3 s",
        "marks.wav": "its text holds marks of the model's own, as <|en|>",
        "twice.wav": "the same sound and text as another clip",
        "essay.wav": "its text has more than 400 tokens",
    }
    assert "could not be decoded" in reasons["broken.wav"]


def test_what_to_look_at(tmp_path: Path, tokenizer: Tokenizer) -> None:
    add(tmp_path, "a")
    add(tmp_path, "b", text="It is here. " * 10)
    add(tmp_path, "c", samples=np.clip(9 * speak(TEXT), -0.5, 0.5))
    found = by_place(check(tmp_path, tokenizer), is_left_out=False)
    assert found["b.wav"] == "too much text for its speech: is it that clip's?"
    assert found["c.wav"] == "clipped: recorded too loud"
    assert "Zyrtolex = Z|yr|to|lex" in found
    assert not any(place.startswith("Where") for place in found if " = " in place)
    assert any(message == "little to learn from" for message in found.values())


def test_texts_in_capitals_are_told(tmp_path: Path, tokenizer: Tokenizer) -> None:
    add(tmp_path, "a", text="WHERE IS IT")
    add(tmp_path, "b", text="THERE IT IS")
    messages = [one.message for one in check(tmp_path, tokenizer).findings]
    assert "in capitals: the model learns to write so" in messages
    assert "without a mark at its end: the model learns to write none" in messages


def test_nothing_is_measured_with_what_is_trained_on(tmp_path: Path) -> None:
    for number in range(4):
        add(tmp_path / "train", f"{number}", text=f"Text {'abcd'[number]}.")
    add(tmp_path / "test", "same text", text="text A", samples=0.4 * speak(TEXT))
    add(tmp_path / "test", "new", text="Another text.", samples=0.5 * speak(TEXT))
    add(tmp_path / "test", "same sound", text="A third text.", samples=0.2 * speak(TEXT))
    material = divide(check(tmp_path / "train"), check(tmp_path / "test"))
    assert [clip.path.name for clip in material.held_out] == ["new.wav"]
    assert len(material.train) == 4
    (finding,) = material.findings
    assert {*finding.places} == {"same text.wav", "same sound.wav"}
    assert finding.is_left_out


def test_a_clip_alone_is_too_little(tmp_path: Path) -> None:
    add(tmp_path, "alone")
    with pytest.raises(InvalidRequestError, match=r"1 clips to learn from and 0 to measure with.*--held-out"):
        divide(check(tmp_path), None)


def test_data_are_known_again_wherever_they_lie(tmp_path: Path) -> None:
    for folder, names in (("one", "ab"), ("two", "cd")):
        for level, name, text in zip((0.2, 0.3), names, ("One.", "Two."), strict=True):
            add(tmp_path / folder, name, text, level * speak(TEXT))
    digests = {divide(check(tmp_path / folder), None).digest for folder in ("one", "two")}
    assert len(digests) == 1
    (tmp_path / "two" / "d.txt").write_text("Two!")
    assert divide(check(tmp_path / "two"), None).digest not in digests
