"""Settings: where they come from, how they are refused, and that their documentation is theirs."""

from pathlib import Path

import pytest

from voice_stack.asr.settings import AsrSettings
from voice_stack.chat.settings import ChatSettings
from voice_stack.cli.settings_docs import env_example, setting_groups, settings_markdown
from voice_stack.core.errors import ConfigurationError
from voice_stack.core.settings import ServerSettings, unknown_variables
from voice_stack.tts.settings import TtsSettings

ROOT = Path(__file__).parents[2]
CLASSES = (AsrSettings, TtsSettings, ChatSettings)
PROMISED = [
    "PROJECT_NAME",
    "API_V1_STR",
    "CORS_ORIGINS",
    "LOG_LEVEL",
    "DEBUGPY_ENABLE",
    "DEBUGPY_HOST",
    "DEBUGPY_PORT",
    "DEBUGPY_WAIT",
    "ASR_ENGINE",
    "ASR_MODEL",
    "ASR_DEVICE",
    "ASR_PORT",
    "ASR_VAD_ENABLED",
    "TTS_ENGINE",
    "TTS_MODEL",
    "TTS_DEVICE",
    "TTS_PORT",
    "TTS_VOICE_DIR",
    "TTS_AUTO_LANG",
    "CHAT_PORT",
    "CHAT_ASR_URL",
    "CHAT_TTS_URL",
    "CHAT_LLM_URL",
    "CHAT_LLM_KEY",
    "CHAT_LLM_MODEL",
    "CHAT_DB",
]


@pytest.fixture(autouse=True)
def _bare_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` and no variable of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for cls in CLASSES:
        for field in cls.model_fields:
            monkeypatch.delenv(cls.env_name(field), raising=False)


def _documented() -> list[str]:
    return [setting.variable for _, settings in setting_groups() for setting in settings]


@pytest.mark.parametrize(("path", "text"), [(".env.example", env_example()), ("docs/settings.md", settings_markdown())])
def test_committed_files_are_what_the_settings_say(path: str, text: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == text


def test_every_promised_variable_is_documented() -> None:
    assert set(PROMISED) <= set(_documented())


def test_every_field_is_documented_once() -> None:
    fields = {cls.env_name(field) for cls in CLASSES for field in cls.model_fields}
    assert sorted(_documented()) == sorted(fields)


def test_no_path_of_this_machine_is_documented() -> None:
    assert str(Path.home()) + "/" not in env_example() + settings_markdown()


def test_env_example_uncommented_gives_the_defaults(tmp_path: Path) -> None:
    defaults = [cls.read() for cls in CLASSES]
    lines = [line.removeprefix("# ") for line in env_example().splitlines()]
    variables = set(_documented())
    Path(".env").write_text("\n".join(line for line in lines if line.split("=")[0] in variables), encoding="utf-8")
    assert Path(".env").read_text(encoding="utf-8").count("\n") + 1 == len(variables)
    for default, read in zip(defaults, [cls.read() for cls in CLASSES], strict=True):
        of_this_machine = {"api_keys_file", "cache_dir", "db", "jobs_dir", "model_dir"}
        assert read.model_dump(exclude=of_this_machine) == default.model_dump(exclude=of_this_machine)


@pytest.mark.parametrize(
    ("variable", "field", "values"),
    [("ASR_PORT", "port", (1, 2, 3, 5001)), ("LOG_LEVEL", "log_level", ("DEBUG", "ERROR", "WARNING", "INFO"))],
)
def test_flags_before_environment_before_file_before_default(
    variable: str, field: str, values: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    flag, environment, file, default = values
    assert getattr(AsrSettings.read(), field) == default
    Path(".env").write_text(f"{variable}={file}\n", encoding="utf-8")
    assert getattr(AsrSettings.read(), field) == file
    monkeypatch.setenv(variable, str(environment))
    assert getattr(AsrSettings.read(), field) == environment
    assert getattr(AsrSettings.read(**{field: flag}), field) == flag


@pytest.mark.parametrize(
    ("given", "model"),
    [
        ({}, "hibari-heart"),
        ({"engine": "piper"}, "en_US-joe-medium"),
        ({"engine": "kokoro"}, "kokoro-v1.0-int8"),
        ({"engine": "kokoro", "model": "kokoro"}, "kokoro-v1.0-int8"),
        ({"engine": "kokoro", "model": "kokoro-v1.0"}, "kokoro-v1.0"),
        ({"engine": "xtts"}, "xtts_v2"),
        ({"model": "de_DE-thorsten-low"}, "de_DE-thorsten-low"),
        ({"model": "./my/voice.onnx"}, "./my/voice.onnx"),
    ],
)
def test_each_engine_has_a_model_of_its_own(given: dict[str, str], model: str) -> None:
    assert TtsSettings.read(**given).model == model


@pytest.mark.parametrize(
    ("model", "engine"),
    [("", "hibari"), ("en_US-joe-medium", "piper"), ("de_DE-thorsten-low", "piper"), ("./my/voice.onnx", "piper"),
     ("kokoro", "kokoro"), ("hibari-emma", "hibari")],
)  # fmt: skip
def test_a_model_brings_its_engine(model: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_MODEL", model)
    assert TtsSettings.read().engine == engine


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ASR_PORT", "99999"), ("ASR_VAD_ENABLED", "perhaps"), ("LOG_LEVEL", "LOUD"), ("REPLICA", "pod_3")],
)
def test_bad_value_is_one_line_that_names_it(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        AsrSettings.read()
    assert caught.value.message.startswith(f"{variable}={value!r}: ")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("variable", ["SHARED_URL", "API_KEYS"])
def test_bad_value_with_a_password_is_not_repeated(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "http://:pass word@redis:6379/0")
    with pytest.raises(ConfigurationError) as caught:
        AsrSettings.read()
    assert caught.value.message.startswith(f"{variable}=***: ")
    assert "word" not in caught.value.message


@pytest.mark.parametrize(
    "url",
    ["redis://h", "rediss://u:p@h:6380/1?ssl_cert_reqs=none", "valkey://[::1]:6379", "valkeys://h/0", "unix:///s"],
)
def test_what_is_shared_is_in_redis_or_valkey(url: str) -> None:
    assert AsrSettings.read(shared_url=url).shared_url.get_secret_value() == url
    for bad in ("redis:", "redis:///0", "unix://", "redis://h/first", "h:6379"):
        with pytest.raises(ConfigurationError, match=r"SHARED_URL=\*\*\*: "):
            AsrSettings.read(shared_url=bad)


def test_bad_secret_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        AsrSettings.read(webhook_secret=["the-secret-of-the-hooks"])
    assert caught.value.message.startswith("ASR_WEBHOOK_SECRET=***: ")
    assert "the-secret-of-the-hooks" not in caught.value.message


@pytest.mark.parametrize(
    ("variable", "advice"),
    [
        ("TTS_AUTOLANG", "did you mean TTS_AUTO_LANG?"),
        ("TTS_MODLE", "did you mean TTS_MODEL?"),
        ("TTS_LOG_LEVEL", "did you mean LOG_LEVEL?"),
        ("TTS_TYPO", "`voice-stack tts --help` lists all"),
    ],
)
def test_unknown_variable_is_told_with_the_name_that_was_meant(
    variable: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "true")
    monkeypatch.setenv("TTS_PORT", "5002")
    assert unknown_variables(TtsSettings) == [f"unknown setting {variable}: {advice}"]


@pytest.mark.parametrize("cls", [AsrSettings, TtsSettings])
def test_a_setting_that_was_is_told_with_what_became_of_it(
    cls: type[ServerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrading = (ROOT / "docs/upgrading.md").read_text(encoding="utf-8")
    for field, reason in cls.retired.items():
        variable = cls.env_name("port").replace("PORT", field.upper())
        assert field not in cls.model_fields
        assert any(f"`{variable}`" in line and f"| {reason} |" in line for line in upgrading.splitlines())
        monkeypatch.setenv(variable, "1")
        assert unknown_variables(cls) == [f"setting {variable} is no more and does nothing: {reason}"]
        monkeypatch.delenv(variable)


def test_there_are_no_more_settings_than_somebody_reads() -> None:
    assert len({field for cls in (AsrSettings, TtsSettings) for field in cls.model_fields}) <= 100
