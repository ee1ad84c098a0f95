"""Kokoro's voices in the voice library."""

from functools import partial
from pathlib import Path

import pytest

from voice_stack.core.models.store import ModelStore
from voice_stack.tts.models import TTS_CATALOGUE, VOICE_NAMES
from voice_stack.tts.schemas import SpeechBody
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.setup import create_service
from voice_stack.tts.voices.builtin import KOKORO_OPENAI_NAMES, find_kokoro_blend, kokoro_voices
from voice_stack.tts.voices.voice import OPENAI_VOICES, Voice, VoiceLibrary
from voice_stack.utils.language import find_language


def open_library(model_dir: Path, engine: str = "piper") -> VoiceLibrary:
    settings, store = TtsSettings.read(engine=engine), ModelStore(TTS_CATALOGUE, model_dir, offline=True)
    resolver = partial(find_kokoro_blend, settings, store)
    return VoiceLibrary([partial(kokoro_voices, settings, store)], [resolver], {"kokoro": KOKORO_OPENAI_NAMES})


@pytest.fixture
def library(kokoro_dir: Path) -> VoiceLibrary:
    return open_library(kokoro_dir)


def test_every_name_of_openai_s_has_a_voice_of_its_own(library: VoiceLibrary) -> None:
    assert set(KOKORO_OPENAI_NAMES) == set(OPENAI_VOICES)
    assert set(KOKORO_OPENAI_NAMES.values()) <= set(VOICE_NAMES)
    assert [library.find(name).alias_of for name in OPENAI_VOICES] == [KOKORO_OPENAI_NAMES[n] for n in OPENAI_VOICES]


@pytest.mark.parametrize(
    ("name", "language", "speaker"),
    [
        ("nova", "en", "af_nova"),
        ("nova", "es", "ef_dora"),
        ("fable", "it", "if_sara"),
        ("nova", "ja", "jf_alpha"),
        ("nova", "zh", "zf_xiaobei"),
        ("af_nova", "es", "af_nova"),
        ("AF_Nova", None, "af_nova"),
    ],
)
def test_names_of_openai_s_go_to_people_of_the_language(
    library: VoiceLibrary, name: str, language: str | None, speaker: str
) -> None:
    assert library.find(name, language=language).engine_voice.name == speaker


def test_beside_another_default_a_native_speaks_before_a_foreigner(kokoro_dir: Path) -> None:
    joe = Voice(id="joe", engine="piper", model="en_US-joe-medium", languages=("en",))
    store = ModelStore(TTS_CATALOGUE, kokoro_dir, offline=True)
    library = VoiceLibrary([lambda: [joe], partial(kokoro_voices, TtsSettings.read(), store)])
    # Each of Kokoro's voices can say French; the first one is an American.
    for language, speaker in (("en", "joe"), ("fr", "ff_siwis"), ("es", "ef_dora")):
        voice = library.find("alloy", language=language)
        assert (voice.alias_of or voice.id) == speaker


def test_a_blend_speaks_what_its_first_voice_speaks(library: VoiceLibrary) -> None:
    blend = library.find("if_sara*3+am_adam")
    assert blend.languages == library.find("if_sara").languages
    assert blend.languages[0] == "it"
    assert blend.engine_voice.blend == (("if_sara", 0.75), ("am_adam", 0.25))
    assert blend.description == "mixed of 75% if_sara, 25% am_adam"


def test_everybody_speaks_the_language_of_their_people_first(tmp_path: Path) -> None:
    for voice in open_library(tmp_path, "kokoro").own_voices().values():
        people = find_language(voice.description.partition(",")[0].split()[-1])
        assert people, voice.description
        assert voice.languages[0] == people.code, voice.id


def test_voices_are_listed_before_a_default_model_is_fetched_and_not_for_one_nobody_asked_for(tmp_path: Path) -> None:
    assert list(open_library(tmp_path, "kokoro").own_voices()) == list(VOICE_NAMES)
    assert open_library(tmp_path).own_voices() == {}


def test_a_voice_that_is_dropped_in_is_listed(tmp_path: Path) -> None:
    voices = tmp_path / "kokoro-v1.0-int8" / "voices"
    voices.mkdir(parents=True)
    for name in ("am_adam", "af_heart", "af_own"):
        (voices / f"{name}.bin").touch()
    assert list(open_library(tmp_path).own_voices()) == ["af_heart", "am_adam", "af_own"]


async def test_another_engine_speaks_in_place_of_a_british_voice(kokoro_dir: Path) -> None:
    settings = TtsSettings.read(
        engine="kokoro", model="kokoro-v1.0-int8", fallback_model="en_US-joe-medium", model_dir=kokoro_dir, offline=True
    )
    body = SpeechBody(model="tts-1", voice="bm_george", input="See you on 5/3/24.")
    (turn,) = await create_service(settings).plan(body)
    assert turn.request.passages[0].options.language == "en-GB"
    assert turn.substitute is not None
    assert [spec.name for spec in turn.substitute.replicas] == ["piper/en_US-joe-medium"]
