"""A server that has the engines on PyTorch beside Piper, through OpenAI's SDK; their models have random weights."""

import io
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import BadRequestError, OpenAI, PermissionDeniedError

from conftest import StartServer
from piper_speech import speak_wav
from pytorch.xtts_weights import SPEAKERS
from running_server import RunningServer
from voice_stack.tts.engine_factory import open_store
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.voices.shelf import Shelf
from voice_stack.tts.voices.sources import ClonedVoices

TEXT = "The kettle is on the stove."
POCKET = "pocket-tts-english-cloning"


@pytest.fixture(scope="module")
def models(
    xtts_checkpoint: Path,
    pocket_model: Path,
    qwen_custom: Path,
    qwen_base: Path,
    qwen_design: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder of models where the operator put them."""
    folder = tmp_path_factory.mktemp("operator")
    qwen = {folder.name: folder for folder in (qwen_custom, qwen_base, qwen_design)}
    for name, model in {"xtts_v2": xtts_checkpoint, POCKET: pocket_model, **qwen}.items():
        (folder / name).mkdir()
        for file in model.iterdir():
            (folder / name / file.name).symlink_to(file)
    return folder


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of voices with one recording, of another voice's speech."""
    folder = tmp_path_factory.mktemp("voices")
    recording = (
        "The train to the coast leaves at nine, and the one to the mountains leaves at ten. Please be there early."
    )
    (folder / "grandma.wav").write_bytes(speak_wav(recording))
    return folder


@pytest.fixture(scope="module")
def server(start_server: StartServer, models: Path, voices: Path) -> Iterator[RunningServer]:
    environment = {"MODEL_DIR": str(models), "TTS_VOICE_DIR": str(voices), "TTS_ACCEPT_CPML": "true"}
    with start_server("tts", TTS_THREADS="1", **environment) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> OpenAI:
    return server.openai()


def length_s(wav: bytes) -> float:
    with wave.open(io.BytesIO(wav)) as file:
        return file.getnframes() / file.getframerate()


def speak(client: OpenAI, voice: str, model: str = "xtts_v2", **extra: object) -> bytes:
    answer = client.audio.speech.create(
        model=model, voice=voice, input=TEXT, response_format="wav", extra_body={"stream": False, **extra}
    )
    return answer.content


def test_its_speakers_are_voices_of_17_languages(server: RunningServer) -> None:
    with server.http() as http:
        voices = {voice["id"]: voice for voice in http.get("/v1/audio/voices").json()["voices"]}
    speaker = voices[SPEAKERS[1]]
    assert (speaker["engine"], speaker["model"], speaker["licence"]) == ("xtts", "xtts_v2", "CPML")
    assert len(speaker["languages"]) == 17
    assert speaker["available"] is True
    own = {name: voice["kind"] for name, voice in voices.items() if voice["engine"] == "xtts"}
    assert own == {**dict.fromkeys(SPEAKERS, "built-in"), "grandma": "cloned"}


def test_the_model_in_the_request_chooses_the_engine(client: OpenAI) -> None:
    first, second, piper = speak(client, SPEAKERS[0]), speak(client, SPEAKERS[1]), speak(client, "alloy", "tts-1")
    assert len({first, second, piper}) == 3
    # Noise of random weights lasts as long as it is let; a voice does not.
    assert 0.5 < length_s(first) < 3.0
    assert 0.8 < length_s(piper) < 3.0
    assert speak(client, SPEAKERS[0].lower(), "xtts") == first


def test_a_recording_in_the_folder_of_voices_is_a_voice(client: OpenAI, models: Path) -> None:
    cloned = speak(client, "grandma")
    assert 0.5 < length_s(cloned) < 3.0
    assert cloned != speak(client, SPEAKERS[0])
    assert len(list((models / ".cache" / "speakers").glob("*.safetensors"))) == 1


def test_the_same_recording_is_a_voice_of_every_engine_that_clones(client: OpenAI, models: Path) -> None:
    kept = set((models / ".cache" / "speakers").iterdir())
    for model in (POCKET, "qwen3-tts-1.7b-base"):
        assert length_s(speak(client, "grandma", model)) > 0.5
    assert len(set((models / ".cache" / "speakers").iterdir()) - kept) == 2
    with pytest.raises(BadRequestError, match=r"clones no voices: qwen3-tts-1\.7b-base does"):
        speak(client, "grandma", "qwen3-tts-1.7b-customvoice")


def test_an_engine_clones_whose_model_is_here(models: Path, voices: Path, tmp_path: Path) -> None:
    (tmp_path / POCKET).symlink_to(models / POCKET)
    settings = TtsSettings.read(model_dir=tmp_path, voice_dir=voices, offline=True)
    (voice,) = ClonedVoices(settings, open_store(settings), Shelf(voices)).list()
    assert (voice.engine, voice.model, voice.languages) == ("pocket", POCKET, ("en",))


def test_the_voices_of_a_folder_are_listed(server: RunningServer, client: OpenAI) -> None:
    with server.http() as http:
        voices = [voice for voice in http.get("/v1/audio/voices").json()["voices"] if voice["engine"] == "pocket"]
        known = {model["id"] for model in http.get("/v1/models").json()["data"]}
    assert [voice["id"] for voice in voices] == [f"{POCKET}#alba", f"{POCKET}#marius"]
    assert {tuple(voice["languages"]) for voice in voices} == {("en",)}
    assert POCKET in known
    assert speak(client, "alloy", POCKET) == speak(client, f"{POCKET}#alba", "pocket")


def test_qwens_nine_voices_speak_ten_languages_their_own_first(server: RunningServer, client: OpenAI) -> None:
    with server.http() as http:
        voices = {voice["id"]: voice for voice in http.get("/v1/audio/voices").json()["voices"]}
    own = {name: voice["language"] for name, voice in voices.items() if voice["model"] == "qwen3-tts-1.7b-customvoice"}
    assert own == {"Vivian": "zh", "Serena": "zh", "Uncle_Fu": "zh", "Dylan": "zh", "Eric": "zh", "Ryan": "en",
                   "Aiden": "en", "Ono_Anna": "ja", "Sohee": "ko"}  # fmt: skip
    assert len(voices["Ryan"]["languages"]) == 10
    assert speak(client, "onyx", "qwen3") == speak(client, "Ryan", "qwen3")
    assert voices["qwen3-tts-1.7b-voicedesign"]["engine"] == "qwen3"


def test_instructions_are_heard_or_named_among_the_ignored(server: RunningServer) -> None:
    def ask(model: str, voice: str, instructions: str, **mood: object) -> tuple[bytes, str | None, str]:
        body = {"model": model, "voice": voice, "input": TEXT, "instructions": instructions, "response_format": "wav"}
        answer = http.post("/v1/audio/speech", json={**body, "stream": False, **mood})
        assert answer.status_code == 200, answer.text
        return answer.content, answer.headers.get("x-ignored-fields"), answer.headers["x-cache"]

    with server.http() as http:
        happy, ignored, _ = ask("tts-1", "Ryan", "Very happy.")
        sad, _, cache = ask("tts-1", "Ryan", "Very sad.")
        assert happy != sad
        assert (ignored, cache) == (None, "miss")
        assert ask("tts-1", "Ryan", "Very happy.") == (happy, None, "hit")
        told = ask("tts-1", "Ryan", "Softly. Sound very happy.")
        assert ask("tts-1", "Ryan", "Softly.", emotion="happy", emotion_strength=0.9) == (*told[:2], "hit")
        assert ask("tts-1", "en_US-joe-medium", "Very happy.", emotion="sad")[1] == "instructions, emotion"
        assert ask(POCKET, "alloy", "Very happy.")[1] == "instructions"
        old = ask("qwen3-tts-1.7b-voicedesign", "alloy", "A calm old man.")
        assert old[1] is None
        for said, reason in (("", "makes the voice from them"), ("x" * 4097, "4096")):
            body = {"model": "qwen3-tts-1.7b-voicedesign", "input": TEXT, "instructions": said}
            refused = http.post("/v1/audio/speech", json=body)
            assert refused.status_code == 400
            assert reason in refused.json()["error"]["message"]
            assert refused.json()["error"]["param"] == "instructions"


def test_openais_names_are_speakers_of_xtts_too(client: OpenAI) -> None:
    assert length_s(speak(client, "shimmer")) > 0.5


def test_a_long_text_is_streamed(client: OpenAI) -> None:
    text = "The kettle is on the stove and the door is wide open. Please close it."
    with client.audio.speech.with_streaming_response.create(
        model="xtts_v2", voice=SPEAKERS[0], input=text, response_format="pcm"
    ) as answer:
        sizes = [len(piece) for piece in answer.iter_bytes()]
    assert len(sizes) >= 3
    assert sum(sizes) / 48_000 > 2.0


@pytest.mark.parametrize(
    ("voice", "extra", "reason"),
    [
        ("Nobody", {}, "voice 'Nobody' does not exist"),
        (SPEAKERS[0], {"language": "sv"}, "language 'sv'"),
        ("en_US-joe-medium", {}, "speaks through piper, not xtts"),
    ],
)
def test_what_it_cannot_do_is_a_400(client: OpenAI, voice: str, extra: dict[str, object], reason: str) -> None:
    with pytest.raises(BadRequestError, match=reason):
        speak(client, voice, **extra)


def test_until_the_licence_is_accepted_it_is_a_403(start_server: StartServer, models: Path) -> None:
    with start_server("tts", MODEL_DIR=str(models), TTS_ACCEPT_CPML="false") as running:
        with pytest.raises(PermissionDeniedError, match="TTS_ACCEPT_CPML=true") as refused:
            speak(running.openai(), SPEAKERS[0])
        assert refused.value.code == "licence_not_accepted"
        assert running.engines() == []
        with running.http() as http:
            voices = {voice["id"]: voice for voice in http.get("/v1/audio/voices").json()["voices"]}
    assert voices[SPEAKERS[0]]["available"] is False
    assert "licence" in voices[SPEAKERS[0]]["unavailable_reason"]
