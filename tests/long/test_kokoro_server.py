"""Kokoro behind the HTTP API."""

import os
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

import pytest
from openai import BadRequestError, OpenAI

from conftest import StartServer
from e2e.sound import duration_s
from kokoro_speech import say, to_wav
from long.test_japanese_chinese import JAPANESE, character_error_rate
from long.test_spanish import transcribe, word_error_rate
from running_server import RunningServer
from voice_stack.tts.engine.kokoro import KokoroEngine
from voice_stack.tts.models import VOICE_NAMES

SENTENCE = "Please water the plants in the kitchen."


@pytest.fixture(scope="module")
def server(start_server: StartServer, kokoro_dir: Path) -> Iterator[RunningServer]:
    """Kokoro by default, Piper beside it."""
    with start_server("tts", TTS_ENGINE="kokoro", TTS_MODEL="kokoro-v1.0-int8", MODEL_DIR=str(kokoro_dir)) as running:
        yield running


@pytest.fixture(scope="module")
def tts(server: RunningServer) -> Iterator[OpenAI]:
    with server.openai() as client:
        yield client


def speak(tts: OpenAI, text: str, voice: str, model: str = "tts-1", **extra: object) -> bytes:
    answer = tts.audio.speech.create(
        model=model, voice=voice, input=text, response_format="wav", extra_body={"stream": False, **extra}
    )
    return answer.content


def test_all_voices_are_listed_with_their_language_and_sex(server: RunningServer) -> None:
    with server.http() as client:
        voices = {voice["id"]: voice for voice in client.get("/v1/audio/voices").json()["voices"]}
    assert set(VOICE_NAMES) < set(voices)
    assert voices["af_heart"]["description"] == "American English, female"
    assert voices["bm_george"]["description"] == "British English, male"
    first_languages = {name: voices[name]["language"] for name in ("ef_dora", "ff_siwis", "jm_kumo", "zf_xiaobei")}
    assert first_languages == {"ef_dora": "es", "ff_siwis": "fr", "jm_kumo": "ja", "zf_xiaobei": "zh"}
    assert {"ja", "zh"} < set(voices["af_heart"]["languages"])
    names = ("alloy", "echo", "fable", "nova", "onyx")
    own = [voices[name]["alias_of"] for name in names]
    assert own == ["af_alloy", "am_echo", "bm_fable", "af_nova", "am_onyx"]
    others = ("ash", "ballad", "cedar", "coral", "marin", "sage", "shimmer", "verse")
    assert len({*own, *(voices[name]["alias_of"] for name in others)}) == 13


def test_speech_is_understood_and_its_blend_too(asr_server: RunningServer, tts: OpenAI) -> None:
    for voice in ("nova", "af_heart*0.7+am_adam*0.3"):
        heard = transcribe(asr_server, speak(tts, SENTENCE, voice))
        assert heard["language"] == "english"
        assert word_error_rate(SENTENCE, heard["text"]) <= 0.15, (voice, heard["text"])


def test_engines_speak_side_by_side(server: RunningServer, tts: OpenAI) -> None:
    models = [model.id for model in tts.models.list()]
    assert len(models) == len(set(models))
    for name in ("kokoro", "kokoro-v1.0-int8", "piper"):
        assert name in models
        assert tts.models.retrieve(name).id == name
    assert {"kokoro", "kokoro-v1.0-int8", "en_US-joe-medium"} <= set(models)
    for model in ("en_US-joe-medium", "kokoro", "piper"):
        assert 1 < duration_s(speak(tts, SENTENCE, "alloy", model)) < 6
    names = {str(engine["engine"]) for engine in server.engines()}
    assert names == {"piper/en_US-joe-medium", "kokoro/kokoro-v1.0-int8"}


def test_text_is_read_in_its_own_language(asr_server: RunningServer, tts: OpenAI) -> None:
    text = "Los niños llegarán mañana por la mañana a la escuela nueva."
    heard = transcribe(asr_server, speak(tts, text, "ef_dora"))
    assert heard["language"] == "spanish"
    assert word_error_rate(text, heard["text"]) <= 0.2, heard["text"]
    for chosen in ("jf_alpha", "nova"):
        heard = transcribe(asr_server, speak(tts, JAPANESE, chosen))
        assert heard["language"] == "japanese"
        assert character_error_rate(JAPANESE, heard["text"]) <= 0.2, heard["text"]


@pytest.mark.parametrize(
    ("voice", "text", "language"),
    [
        ("jf_alpha", "東京都庁舎", "ja"),
        ("zf_xiaobei", "東京都庁舎", "zh"),
        ("jf_alpha", "我们去公园", "zh"),
        ("bm_george", "5/3/24", "en-GB"),
        ("af_heart", "5/3/24", "en-US"),
    ],
)
def test_what_may_be_read_in_several_ways_is_read_as_the_people_of_the_voice_do(
    server: RunningServer, voice: str, text: str, language: str
) -> None:
    body = {"model": "tts-1", "voice": voice, "input": text}
    with server.http() as client:
        found, named = (client.post("/v1/audio/speech", json=body | more) for more in ({}, {"language": language}))
    # One tag is one reading: the language is part of it.
    assert (found.status_code, named.status_code) == (200, 200)
    assert found.headers["etag"] == named.headers["etag"]
    assert named.headers["x-cache"] == "hit"


def test_languages_without_their_package_are_refused_with_its_name(
    start_server: StartServer, kokoro_dir: Path, tmp_path: Path
) -> None:
    # Python's own way to say that a module is not there, in the server's process.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['haqumei'] = sys.modules['rjieba'] = None\n")
    settings = {"TTS_ENGINE": "kokoro", "MODEL_DIR": str(kokoro_dir)}
    paths = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    with start_server("tts", **settings, PYTHONPATH=paths) as server, server.openai() as tts:
        for voice, language in (("jf_alpha", "ja"), ("af_heart", "zh")):
            with pytest.raises(BadRequestError, match=rf"pip install 'voice-stack\[kokoro-{language}\]'") as caught:
                speak(tts, SENTENCE, voice, language=language)
            assert caught.value.param == "language"
        with server.http() as client:
            voices = client.get("/v1/audio/voices").json()["voices"]
        assert not {"ja", "zh"} & {language for voice in voices for language in voice["languages"]}


@pytest.mark.parametrize(
    ("voice", "extra", "param", "reason"),
    [
        ("af_heart+af_nobody", {}, "voice", "'af_nobody' is not one of af_heart"),
        ("af_heart*2+", {}, "voice", "neither NAME nor NAME*0.5"),
        ("jf_alpha", {"language": "de"}, "language", "voice 'jf_alpha' speaks ja, en, es, fr, hi, it, pt, zh"),
        ("af_heart+am_adam", {"model": "en_US-joe-medium"}, "voice", "speaks through kokoro, not piper"),
    ],
)
def test_what_it_cannot_do_is_refused(tts: OpenAI, voice: str, extra: dict[str, str], param: str, reason: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        speak(tts, SENTENCE, voice, **extra)
    body = caught.value.body
    assert isinstance(body, dict)
    assert body["param"] == param
    assert reason in body["message"]


def test_times_of_words_are_those_that_recognition_hears(asr_server: RunningServer, kokoro: KokoroEngine) -> None:
    spoken = say(kokoro, "The captain wrote a letter to his daughter, and then he went home.", "af_heart", "en")
    body = transcribe(asr_server, to_wav(spoken.samples), **{"timestamp_granularities[]": "word"})
    heard = body["words"]
    assert isinstance(heard, list)
    ours = [word.text.lower().strip(".,") for word in spoken.words]
    pairs = SequenceMatcher(None, ours, [word["word"].lower().strip(".,") for word in heard])
    same = [(block.a + i, block.b + i) for block in pairs.get_matching_blocks() for i in range(block.size)]
    assert len(same) >= 11
    for word, other in ((spoken.words[i], heard[j]) for i, j in same):
        assert other["start"] - 0.25 < (word.start_s + word.end_s) / 2 < other["end"] + 0.25, (word, other)
