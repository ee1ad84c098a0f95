"""Form fields as different clients spell them, and what they mean for the VAD and for bare samples."""

from dataclasses import fields
from pathlib import Path

import pytest

from voice_stack.asr.form import TranscriptionForm
from voice_stack.asr.rendering import RenderOptions
from voice_stack.asr.request import DecodeOptions, EngineOptions, PcmFormat, VadChoice
from voice_stack.asr.schemas import Checked, check_form, pcm_format
from voice_stack.asr.settings import AsrSettings
from voice_stack.core.errors import InvalidAudioError, InvalidRequestError
from voice_stack.core.http.form import Form, ignored_fields_header
from voice_stack.core.http.spool import SpooledFile

SETTINGS = AsrSettings(beam_size=7)
FILE = SpooledFile(Path("sound"), "a.wav", "audio/wav", 1)


def check(**given: str | list[str]) -> Checked:
    """Fields by name; `__` stands for the brackets of `name[]`, a list for repeated parts."""
    sent = {name.replace("__", "[]"): [value] if isinstance(value, str) else value for name, value in given.items()}
    return check_form(Form({"model": ["whisper-1"], **sent}, FILE), "transcribe", SETTINGS)


def check_sent(sent: dict[str, list[str]]) -> Checked:
    return check_form(Form({"model": ["whisper-1"], **sent}, FILE), "transcribe", SETTINGS)


@pytest.mark.parametrize(
    "sent",
    [
        {"languages[]": ["de", "English"]},
        {"languages": ["de", "en"]},
        {"languages": ['["de", "eng"]']},
        {"languages[0]": ["de"], "languages[1]": ["en"]},
        {"languages[]": ["de", "", "en", "de"]},
    ],
)
def test_lists_in_every_spelling(sent: dict[str, list[str]]) -> None:
    assert check_sent(sent).request.candidate_languages == ("de", "en")


def test_hotwords_and_keywords_come_together() -> None:
    assert check(hotwords="Zyx", keywords__=["Foo", "Bar"]).request.decode.hotwords == "Zyx, Foo, Bar"
    assert check(keywords='["Foo"]').request.decode.hotwords == "Foo"
    assert check(keywords="").request.decode.hotwords is None


@pytest.mark.parametrize(
    "sent",
    [
        {
            "chunking_strategy[type]": ["server_vad"],
            "chunking_strategy[threshold]": ["0.7"],
            "chunking_strategy[prefix_padding_ms]": ["150"],
            "chunking_strategy[silence_duration_ms]": ["900"],
        },
        {
            "chunking_strategy": [
                '{"type":"server_vad","threshold":0.7,"prefix_padding_ms":150,"silence_duration_ms":900}'
            ]
        },
    ],
)
def test_chunking_strategy_in_both_forms(sent: dict[str, list[str]]) -> None:
    assert check_sent(sent).request.vad == VadChoice(
        enabled=True, threshold=0.7, min_silence_duration_ms=900, speech_pad_ms=150
    )


@pytest.mark.parametrize("spelling", ["auto", '"auto"', '{"type": "auto"}'])
def test_chunking_strategy_auto_is_the_server_s_own(spelling: str) -> None:
    assert check(chunking_strategy=spelling).request.vad == VadChoice()


def test_vad_fields_before_parameters_before_strategy() -> None:
    found = check(
        vad_filter="false",
        vad_threshold="0.2",
        vad_parameters='{"threshold": 0.3, "min_silence_duration_ms": 400, "min_speech_duration_ms": 10}',
        chunking_strategy='{"type":"server_vad","threshold":0.4,"silence_duration_ms":500,"prefix_padding_ms":60}',
    ).request.vad
    assert found == VadChoice(False, 0.2, None, 10, 400, 60)


@pytest.mark.parametrize(
    ("sent", "param", "told"),
    [
        ({"chunking_strategy": "sometimes"}, "chunking_strategy", "sometimes"),
        ({"chunking_strategy": "{"}, "chunking_strategy", "broken JSON"),
        ({"chunking_strategy": "[1]"}, "chunking_strategy", "no object"),
        ({"chunking_strategy": '{"type":"server_vad","threshold":2}'}, "chunking_strategy", "[threshold]=2"),
        ({"chunking_strategy": '{"threshold":0.2}'}, "chunking_strategy", "[type]"),
        ({"vad_parameters": "server_vad"}, "vad_parameters", "broken JSON"),
        ({"vad_threshold": "1"}, "vad_threshold", "less than 1"),
        ({"vad_filter": "perhaps"}, "vad_filter", "perhaps"),
        ({"languages": '["de", 3]'}, "languages", "strings"),
        ({"languages": "klingon"}, "languages", "klingon"),
        ({"include": "segments"}, "include", "logprobs"),
        ({"include": "logprobs", "response_format": "srt"}, "include", "json"),
        ({"max_lines": "0"}, "max_lines", "greater than or equal to 1"),
        ({"max_line_width": "1000"}, "max_line_width", "200"),
        ({"keywords": ["w"] * 101}, "keywords", "100"),
    ],
)
def test_what_does_not_fit_is_named(sent: dict[str, str | list[str]], param: str, told: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        check(**sent)
    assert refused.value.param == param
    assert told in refused.value.message


def test_unknown_fields_are_named_as_sent() -> None:
    found = check_sent(
        {"best_of": ["5"], "prompt[]": ["x"], "vad_parameters": ['{"max_speech_duration_s": 9}'], "file": ["x"]}
    )
    assert found.ignored == ("best_of", "prompt[]", "vad_parameters[max_speech_duration_s]")
    translated = check_form(Form({"model": ["m"], "language": ["de"], "stream": ["true"]}, FILE), "translate", SETTINGS)
    assert translated.ignored == ("language", "stream")


def test_names_in_a_header_are_harmless() -> None:
    value = ignored_fields_header(["a\r\nset-cookie: b", "größe", "x" * 500, *["y"] * 100])["x-ignored-fields"]
    assert value.startswith("a%0D%0Aset-cookie%3A%20b, gr%C3%B6%C3%9Fe, xxx")
    assert value.isascii()
    assert len(value) < 1000


def test_what_the_form_does_not_say_is_in_the_settings_or_usual() -> None:
    assert check().request.decode == DecodeOptions(beam_size=7)
    assert check(beam_size="2", temperature="0.4").request.decode == DecodeOptions(beam_size=2, temperature=0.4)
    assert check(sdh="true", max_lines="3", response_format="srt").render == RenderOptions(
        granularities=frozenset({"segment"}), max_lines=3, sdh=True
    )


def test_options_have_the_names_of_the_fields_and_of_the_settings() -> None:
    """An option that no field or setting names would silently keep its default."""
    elsewhere = {"task", "token_logprobs", "granularities", "token_usage", "shows_languages", "language_code"}
    elsewhere |= {"is_whole", "is_draft"}  # the engine's own second look, and its first
    options = {field.name for kind in (DecodeOptions, RenderOptions) for field in fields(kind)}
    assert options - elsewhere <= TranscriptionForm.model_fields.keys()
    assert {field.name for field in fields(EngineOptions)} - {
        "is_for_crowd",
        "replica",
        "tuning_dir",
    } <= AsrSettings.model_fields.keys()


@pytest.mark.parametrize("name", ["org%2Fname", "org%2fname", "org/name"])
def test_model_names_with_slashes(name: str) -> None:
    assert check_form(Form({"model": [name]}, FILE), "transcribe", SETTINGS).model == "org/name"


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("audio/wav", None),
        ("", None),
        ("application/octet-stream", None),
        ("audio/pcm", PcmFormat(16_000, 1, False)),
        ("Audio/PCM; Rate=24000; channels=2", PcmFormat(24_000, 2, False)),
        ('audio/L16;rate="44100"', PcmFormat(44_100, 1, True)),
        ("audio/l16; rate=8000; endianness=little-endian", PcmFormat(8_000, 1, False)),
    ],
)
def test_content_types_of_bare_samples(content_type: str, expected: PcmFormat | None) -> None:
    assert pcm_format(content_type) == expected


@pytest.mark.parametrize("parameter", ["rate=0", "rate=-1", "rate=fast", "rate=1e9", "channels=9", "endianness=middle"])
def test_parameters_that_samples_cannot_have(parameter: str) -> None:
    with pytest.raises(InvalidAudioError, match=parameter.partition("=")[2]):
        pcm_format(f"audio/pcm;{parameter}")
