"""How a request shapes what the engine process does: the VAD, the language, the text before a window."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_stack.asr.engine.fasterwhisper import previous_tokens
from voice_stack.asr.engine_factory import engine_specs
from voice_stack.asr.listening.results import among_candidates
from voice_stack.asr.listening.windows import choose_vad
from voice_stack.asr.request import AsrWorkerConfig, DecodeOptions, VadChoice
from voice_stack.asr.settings import AsrSettings
from voice_stack.utils.audio.vad import VadOptions


@pytest.fixture
def config(tmp_path: Path) -> AsrWorkerConfig:
    made = engine_specs(AsrSettings.read(model_dir=tmp_path), "base")[0].config
    assert isinstance(made, AsrWorkerConfig)
    return made


def test_the_request_overrules_the_settings(config: AsrWorkerConfig) -> None:
    silent = replace(config, vad_enabled=False)
    assert choose_vad(config, VadChoice()) == VadOptions()
    assert choose_vad(config, VadChoice(enabled=False)) is None
    assert choose_vad(silent, VadChoice(threshold=0.2)) is None
    assert choose_vad(silent, VadChoice(enabled=True, speech_pad_ms=50)) == VadOptions(speech_pad_ms=50)


def test_an_end_above_the_beginning_is_lowered(config: AsrWorkerConfig) -> None:
    assert choose_vad(config, VadChoice(neg_threshold=0.9)) == VadOptions(neg_threshold=VadOptions().threshold)


def test_candidates_share_all_of_the_probability() -> None:
    heard = {"en": 0.6, "de": 0.3, "fr": 0.1}
    assert among_candidates(heard, ()) == heard
    assert among_candidates(heard, ("de", "fr")) == pytest.approx({"de": 0.75, "fr": 0.25})
    assert among_candidates(heard, ("ja",)) == {"ja": 0.0}


@given(st.text("abc", max_size=40), st.text("xyz", max_size=40), st.integers(2, 30))
def test_hotwords_and_prompt_share_the_room(hotwords: str, prompt: str, room: int) -> None:
    options = DecodeOptions("en", prompt=prompt, hotwords=hotwords)
    heard = "".join(map(chr, previous_tokens(lambda text: list(map(ord, text)), options, room)))
    words, sample = (f" {text}" if text else "" for text in (hotwords, prompt))
    assert len(heard) == min(room, len(words) + len(sample))
    assert not words or heard[: min(len(words), room // 2)] == words[: room // 2]
    assert not sample or heard.endswith(sample[-min(len(sample), room // 2) :])
