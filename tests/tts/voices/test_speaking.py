"""Who speaks: dropped-in voices at once, none without an engine that clones, names as the operator set them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import httpx2
import pytest

from running_server import RunningServer
from tts.voices.conftest import CLONING
from tts.voices.sounds import BIRCH, CLOVER, add_noise, pitch_hz, speech, wav
from voice_stack.core.errors import ConfigurationError
from voice_stack.tts.engine.fake import OWN_PITCH_HZ, cloned_pitch_hz
from voice_stack.tts.settings import TtsSettings

URL = "/v1/audio/voices"
StartServer = Callable[..., AbstractContextManager[RunningServer]]


def speak(http: httpx2.Client, voice: object, model: str = "tts-1", **fields: object) -> httpx2.Response:
    body = {"model": model, "voice": voice, "input": "All is well.", "response_format": "pcm"}
    return http.post("/v1/audio/speech", json=body | fields)


def pitch_of(http: httpx2.Client, voice: object) -> float:
    answer = speak(http, voice)
    assert answer.status_code == 200, answer.text
    return pitch_hz(answer.content)


def refusal(answer: httpx2.Response, status: int = 400) -> str:
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, "voice"), answer.text
    message: str = error["message"]
    return message


def listed(http: httpx2.Client) -> dict[str, dict[str, object]]:
    return {voice["id"]: voice for voice in http.get(URL).json()["voices"]}


@pytest.fixture
def anna(voice_dir: Path) -> Iterator[Path]:
    """Where a voice is dropped in; it goes with the test."""
    voice_dir.mkdir(parents=True, exist_ok=True)
    yield voice_dir / "anna.flac"
    for path in voice_dir.glob("anna.*"):
        path.unlink()


def test_dropped_in_voices_speak_without_a_restart(http: httpx2.Client, anna: Path) -> None:
    assert "does not exist" in refusal(speak(http, "anna"))
    anna.write_bytes(BIRCH.read_bytes())
    assert pitch_of(http, "anna") == pytest.approx(cloned_pitch_hz([BIRCH]), abs=2)
    anna.write_bytes(CLOVER.read_bytes())
    assert pitch_of(http, "anna") == pytest.approx(cloned_pitch_hz([CLOVER]), abs=2)
    anna.with_suffix(".toml").write_text('name = "Anna"\nlanguage = "de"\nlicence = "CC0-1.0"', "utf-8")
    assert listed(http)["anna"].items() >= {"name": "Anna", "language": "de", "licence": "CC0-1.0"}.items()
    anna.write_bytes(wav(add_noise(speech(), 5)))
    assert "cannot speak: noisy: " in refusal(speak(http, "anna"))
    assert (listed(http)["anna"]["available"], "noisy" in str(listed(http)["anna"])) == (False, True)
    anna.unlink()
    assert "does not exist" in refusal(speak(http, "anna"))


def test_names_that_the_operator_gave(http: httpx2.Client, anna: Path) -> None:
    anna.write_bytes(BIRCH.read_bytes())
    for name in ("nova", "butler", "Nova"):
        assert pitch_of(http, name) == pytest.approx(cloned_pitch_hz([BIRCH]), abs=2)
    assert pitch_of(http, "echo") == pytest.approx(OWN_PITCH_HZ, abs=2)
    assert "'nobody', which does not exist" in refusal(speak(http, "ghost"))
    shown = listed(http)
    assert [shown[name]["alias_of"] for name in ("nova", "butler", "ghost")] == ["anna", "anna", "nobody"]
    assert [shown[name]["available"] for name in ("nova", "butler", "ghost")] == [True, True, False]
    assert http.get(f"{URL}/nova/preview").status_code == 200


def test_without_an_engine_that_clones_nobody_else_speaks(start_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "anna.flac").write_bytes(BIRCH.read_bytes())
    with ExitStack() as stack:
        server = stack.enter_context(start_server("tts", TTS_VOICE_DIR=str(tmp_path), TTS_VOICE_ALIASES="nova=anna"))
        http, sdk = stack.enter_context(server.http()), stack.enter_context(server.openai())
        made = sdk.audio.voices.create(name="Birch", audio_sample=BIRCH, consent="")
        for voice in ("anna", "nova", {"id": made.id}):
            message = refusal(speak(http, voice))
            assert "no engine that clones is installed" in message
            assert "pip install 'voice-stack[xtts]'" in message
        assert "xtts" in refusal(speak(http, "anna", "piper"))
        assert listed(http)["anna"].items() >= {"kind": "cloned", "engine": "xtts", "available": False}.items()
        assert server.engines() == []
        preview = http.get(f"{URL}/anna/preview")
        assert (preview.status_code, preview.headers["content-type"]) == (200, "audio/mpeg")


def test_consent_can_be_required(start_server: StartServer, tmp_path: Path) -> None:
    for name, toml in {"anna": 'consent = "She said yes."', "bert": 'name = "Bert"'}.items():
        (tmp_path / f"{name}.flac").write_bytes(BIRCH.read_bytes())
        (tmp_path / f"{name}.toml").write_text(toml, "utf-8")
    settings = {**CLONING, "TTS_VOICE_DIR": str(tmp_path), "TTS_REQUIRE_CONSENT": "true"}
    with ExitStack() as stack:
        server = stack.enter_context(start_server("tts", **settings))
        http, sdk = stack.enter_context(server.http()), stack.enter_context(server.openai())
        assert speak(http, "anna").status_code == 200
        assert "TTS_REQUIRE_CONSENT" in refusal(speak(http, "bert"))
        recording = {"audio_sample": ("a.flac", BIRCH.read_bytes())}
        refused = http.post(URL, data={"name": "Carl"}, files=recording)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "consent")
        consent = sdk.audio.voice_consents.create(name="Carl agrees", language="en", recording=BIRCH)
        made = sdk.audio.voices.create(name="Carl", audio_sample=BIRCH, consent=consent.id)
        assert speak(http, {"id": made.id}).status_code == 200


def test_wrong_aliases_stop_the_start() -> None:
    with pytest.raises(ConfigurationError, match=r"TTS_VOICE_ALIASES.*'alloy'.*alloy=af_heart"):
        TtsSettings.read(voice_aliases="echo=joe,alloy")


def test_a_mood_is_another_recording_of_the_voice_or_is_told_to_mean_nothing(http: httpx2.Client, anna: Path) -> None:
    anna.write_bytes(BIRCH.read_bytes())
    (anna.parent / "anna.sad.flac").write_bytes(CLOVER.read_bytes())

    def say(emotion: str) -> tuple[float, str | None]:
        wanted = {"emotion": emotion, "emotion_strength": 0.5}
        answer = speak(http, "anna", **wanted)
        assert answer.status_code == 200, answer.text
        return pitch_hz(answer.content), answer.headers.get("x-ignored-fields")

    plain, sad = (pytest.approx(cloned_pitch_hz([recording]), abs=2) for recording in (BIRCH, CLOVER))
    assert say("sad") == (sad, "emotion_strength")
    assert say("Gloomy") == (sad, "emotion_strength")
    assert say("happy") == (plain, "emotion, emotion_strength")
    refused = speak(http, "anna", emotion_strength=2)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "emotion_strength")
