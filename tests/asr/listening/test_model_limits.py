"""What a model cannot do is refused, in words that help; and each engine's models go by its own names."""

from dataclasses import replace
from pathlib import Path

import pytest

from voice_stack.asr.models import (
    ASR_CATALOGUES,
    SMART_TURN_CATALOGUE,
    SPEAKER_CATALOGUE,
    AsrCapabilities,
    capabilities_of,
    check_limits,
    find_catalogue,
    list_catalogue,
)
from voice_stack.asr.request import AudioFile, DecodeOptions, TranscriptionRequest
from voice_stack.core.errors import UnsupportedValueError

NOTHING = AsrCapabilities(("en",), translate=False, words=False, prompt=False, token_logprobs=False)
ALL = AsrCapabilities(("en", "de"))


def _request(**options: object) -> TranscriptionRequest:
    return TranscriptionRequest(AudioFile(Path("speech.wav")), DecodeOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "param", "reason"),
    [
        (_request(language="de"), "language", "does not understand language 'de'; it understands en;"),
        (_request(task="translate"), "model", "cannot translate;"),
        (_request(prompt="Smythe"), "prompt", "takes no prompt;"),
        (_request(token_logprobs=True), "include", "gives no log-probabilities of tokens;"),
        (replace(_request(), candidate_languages=("de", "en")), "languages", "does not understand all of"),
        (_request(word_timestamps=True), "timestamp_granularities", "gives no word times;"),
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


def test_the_place_of_a_model_is_not_told() -> None:
    with pytest.raises(UnsupportedValueError, match=r"^model little \(engine small\)"):
        check_limits(_request(prompt="Smythe"), NOTHING, model="/home/operator/little", engine="small")


@pytest.mark.parametrize("prompt", [None, "", "  \n"])
def test_what_is_not_asked_is_not_refused(prompt: str | None) -> None:
    check_limits(_request(language="en", prompt=prompt), NOTHING, model="little", engine="small")


@pytest.mark.parametrize(
    ("engine", "name", "language_count", "translates"),
    [
        ("faster-whisper", "base", 99, True),
        ("faster-whisper", "large-v3", 100, True),
        ("faster-whisper", "turbo", 100, False),
        ("faster-whisper", "tiny.en", 1, False),
        ("faster-whisper", "distil-small.en", 1, False),
        ("faster-whisper", "distil-large-v2", 1, False),
        ("faster-whisper", "distil-large-v3.5", 1, False),
        ("faster-whisper", "Systran/faster-distil-whisper-large-v3", 1, False),
        ("faster-whisper", "someone/whisper-welsh", 100, True),
        ("faster-whisper", "no such model", 100, True),
        ("whisper", "turbo", 100, False),
        ("whisper", "base.en", 1, False),
        ("parakeet", "nemo-parakeet-tdt-0.6b-v3", 25, False),
        ("parakeet", "nemo-parakeet-tdt-0.6b-v2", 1, False),
        ("fake", "base", 99, True),
    ],
)
def test_what_a_model_can_do_is_known_without_loading_it(
    engine: str, name: str, language_count: int, translates: bool
) -> None:
    can = capabilities_of(engine, find_catalogue(engine).find(name))
    assert (len(can.languages), can.translate) == (language_count, translates)
    assert can.language_detection is (language_count > 1)
    assert can.prompt is (engine != "parakeet")
    assert can.token_logprobs is (engine in {"faster-whisper", "fake"})


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
    assert len({spec.folder for spec in models}) == len(models)
    assert len(models) == sum(
        len(c.models) for c in (*ASR_CATALOGUES.values(), SMART_TURN_CATALOGUE, SPEAKER_CATALOGUE)
    )


def test_a_short_name_means_the_engines_own_model_in_the_list_of_all() -> None:
    names = {engine: list_catalogue(engine).find("tiny") for engine in ("faster-whisper", "whisper")}
    assert {engine: spec.engine for engine, spec in names.items() if spec} == {engine: engine for engine in names}
