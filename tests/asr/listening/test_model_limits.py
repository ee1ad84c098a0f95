"""What a model cannot do is refused, in words that help; and each engine's models go by its own names."""

from dataclasses import replace
from pathlib import Path

import pytest

from voice_stack.asr.engine.base import EngineCapabilities
from voice_stack.asr.listening.workload import check_limits
from voice_stack.asr.models import ASR_CATALOGUES, find_catalogue, list_catalogue
from voice_stack.asr.request import TranscriptionRequest
from voice_stack.core.errors import UnsupportedValueError

REQUEST = TranscriptionRequest(Path("speech.wav"))
NOTHING = EngineCapabilities(("en",), translate=False, words=False, prompt=False, language_detection=False)
ALL = EngineCapabilities(("en", "de"), translate=True, words=True, prompt=True, language_detection=True)


@pytest.mark.parametrize(
    ("request_", "param", "reason"),
    [
        (replace(REQUEST, language="de"), "language", "does not understand language 'de'; it understands en;"),
        (replace(REQUEST, task="translate"), "model", "cannot translate;"),
        (replace(REQUEST, prompt="Smythe"), "prompt", "takes no prompt;"),
        (replace(REQUEST, word_timestamps=True), "timestamp_granularities", "gives no word times;"),
    ],
)
def test_each_limit_is_said_with_an_engine_that_has_it_not(
    request_: TranscriptionRequest, param: str, reason: str
) -> None:
    with pytest.raises(UnsupportedValueError) as error:
        check_limits(request_, NOTHING, model="little", engine="small")
    assert error.value.param == param
    assert error.value.message.startswith(f"model little (engine small) {reason}")
    assert "faster-whisper" in error.value.message
    check_limits(request_, ALL, model="little", engine="small")


@pytest.mark.parametrize("prompt", [None, "", "  \n"])
def test_what_is_not_asked_is_not_refused(prompt: str | None) -> None:
    check_limits(replace(REQUEST, language="en", prompt=prompt), NOTHING, model="little", engine="small")


@pytest.mark.parametrize(
    ("engine", "name", "found"),
    [
        ("faster-whisper", "base", "base"),
        ("whisper", "base", "openai/whisper-base"),
        ("whisper", "large", "openai/whisper-large-v3"),
        ("whisper", "openai/whisper-large", "openai/whisper-large"),
        ("whisper", "someone/whisper-welsh", "someone/whisper-welsh"),
        ("parakeet", "nemo-parakeet-tdt-0.6b-v3-int8", "nemo-parakeet-tdt-0.6b-v3-int8"),
        ("parakeet", "base", None),
    ],
)
def test_a_name_means_a_model_of_the_engine(engine: str, name: str, found: str | None) -> None:
    spec = find_catalogue(engine).find(name)
    assert (spec.name if spec else None) == found
    assert spec is None or spec.engine == engine


def test_no_two_models_share_a_folder() -> None:
    models = list_catalogue("faster-whisper").models
    assert len({spec.folder for spec in models}) == len(models) == sum(len(c.models) for c in ASR_CATALOGUES.values())


def test_a_short_name_means_the_engines_own_model_in_the_list_of_all() -> None:
    names = {engine: list_catalogue(engine).find("tiny") for engine in ("faster-whisper", "whisper")}
    assert {engine: spec.engine for engine, spec in names.items() if spec} == {engine: engine for engine in names}
