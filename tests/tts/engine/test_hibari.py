"""hibari's voice as it is in its package: what it says, when, and that it says it again; other voices from a hub."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import hibari
import numpy as np
import pytest
from numpy.typing import NDArray

from hub_stand_in import HubStandIn, lfs_file, serve_hub
from voice_stack.core.errors import ModelLoadError
from voice_stack.core.models.files import Catalogue, ModelSpec
from voice_stack.core.models.store import ModelStore
from voice_stack.tts.engine.base import Spoken, VoiceOptions
from voice_stack.tts.engine.hibari import HibariEngine
from voice_stack.tts.models import HIBARI_MODELS, TTS_CATALOGUE
from voice_stack.utils.audio.word_alignment import find_pauses, find_speech

HEART = Path(hibari.__file__).parent / "assets" / "hibari.onnx"
TEXT = "The museum opens at ten in the morning, and closes at half past five."
EMMA = next(spec for spec in HIBARI_MODELS if spec.name == "hibari-emma")


@pytest.fixture(scope="module")
def heart(tmp_path_factory: pytest.TempPathFactory) -> HibariEngine:
    return HibariEngine(HEART, device="cpu", threads=2, cache_dir=tmp_path_factory.mktemp("cache"))


def speak(engine: HibariEngine, text: str, speed: float = 1.0, *, is_awaited: bool = False) -> list[Spoken]:
    return list(engine.synthesize(text, VoiceOptions(language="en", speed=speed, is_awaited=is_awaited)))


def samples_of(engine: HibariEngine, text: str, speed: float = 1.0) -> NDArray[np.float32]:
    return np.concatenate([part.samples for part in speak(engine, text, speed)])


def test_words_are_where_they_sound(heart: HibariEngine) -> None:
    (spoken,) = speak(heart, TEXT)
    assert " ".join(word.text for word in spoken.words) == TEXT
    sound = find_speech(spoken.samples, heart.sample_rate)
    assert spoken.words[0].start_s == pytest.approx(sound.start / heart.sample_rate, abs=0.1)
    assert spoken.words[-1].end_s == pytest.approx(sound.end / heart.sample_rate, abs=0.1)
    (pause,) = [pause for pause in find_pauses(spoken.samples, heart.sample_rate) if pause[1] - pause[0] > 0.1][1:-1]
    morning, following = spoken.words[7:9]
    assert (morning.text, following.text) == ("morning,", "and")
    assert (morning.end_s, following.start_s) == pytest.approx(pause, abs=0.1)


def test_a_clause_that_is_awaited_comes_in_pieces_and_is_the_same_sound(heart: HibariEngine, tmp_path: Path) -> None:
    whole, pieces = speak(heart, TEXT), speak(heart, TEXT, is_awaited=True)
    assert [piece.goes_on for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert pieces[0].samples.size < heart.sample_rate
    assert pieces[0].words == whole[0].words
    joined = np.concatenate([piece.samples for piece in pieces])
    assert np.array_equal(joined, whole[0].samples)
    # Another copy, beside others in all its lanes.
    other = HibariEngine(HEART, device="cpu", threads=2, cache_dir=tmp_path)
    with ThreadPoolExecutor(other.lanes) as lanes:
        for samples in lanes.map(lambda text: samples_of(other, text), [TEXT] * 4):
            assert np.array_equal(samples, joined)


def test_it_speaks_with_no_network_and_fetches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_address: object) -> None:
        raise AssertionError("something was asked of the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    store = ModelStore(TTS_CATALOGUE, tmp_path / "models", offline=True)
    engine = HibariEngine(store.resolve("hibari"), device="cpu", threads=1)
    assert samples_of(engine, "Hello there, Frobnicator.").size > engine.sample_rate
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.5, 2.0])
def test_it_knows_how_fast_it_spoke(heart: HibariEngine, speed: float) -> None:
    (spoken,) = speak(heart, TEXT, speed)
    assert spoken.pace == pytest.approx(samples_of(heart, TEXT).size / spoken.samples.size, rel=0.01)
    assert spoken.pace == pytest.approx(speed, rel=0.12)


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ("Pneumonoultramicroscopicsilicovolcanoconiosis", "Pneumonoultramicroscopic"),
        ("the word שלום again", "the word again"),
        ("the word 你好 again", "the word again"),
        ("See [here](/nɑt ə wɜɹd/).", "See here."),
        ("2718281845 " * 30, "2718281845 " * 10),
    ],
    ids=["long word", "Hebrew", "Chinese", "brackets", "digits"],
)
def test_nothing_is_left_out(heart: HibariEngine, more: str, less: str) -> None:
    assert samples_of(heart, more).size > 1.2 * samples_of(heart, less).size


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Simply say no.", "Simply say know."),
        ("Philip Coombs spoke.", "Fillip Coombs spoke."),
        ("Mount St. Elias", "Mount Saint Elias"),
        ("At ten A M.", "At ten eh M."),
        ("user_prefs", "user prefs"),
        ("We saw the Sun.", "We saw the sun."),
    ],
)
def test_what_was_read_already_is_not_read_anew(heart: HibariEngine, written: str, said: str) -> None:
    assert samples_of(heart, written).size == pytest.approx(samples_of(heart, said).size, rel=0.1)


def test_what_cannot_be_said_is_no_sound(heart: HibariEngine) -> None:
    assert samples_of(heart, "|").size == 0


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    """The weights of another voice under the name of a British one: that is what tells how its text is read."""
    files = {f"voices/{EMMA.hub_files[0]}": lfs_file(HEART.read_bytes())}
    with serve_hub(HubStandIn(repos={str(EMMA.hub_repo): files})) as stand_in:
        monkeypatch.setenv("HF_ENDPOINT", stand_in.url)
        yield stand_in


def pull(spec: ModelSpec, folder: Path) -> Path:
    store = ModelStore(Catalogue((spec,), unlisted=spec), folder, offline=False)
    return store.resolve(spec.name)


def test_another_voice_is_fetched_if_it_is_the_one_it_must_be(
    hub: HubStandIn, heart: HibariEngine, tmp_path: Path
) -> None:
    with pytest.raises(ModelLoadError, match=r"bf_emma\.int8\.onnx .*is damaged or altered: expected SHA-256 f709f0"):
        pull(EMMA, tmp_path)
    assert not (tmp_path / EMMA.folder).exists()
    digest = hub.repos[str(EMMA.hub_repo)][f"voices/{EMMA.hub_files[0]}"].listed_sha256
    folder = pull(replace(EMMA, hub_sha256=(str(digest),)), tmp_path)
    british = HibariEngine(folder, device="cpu", threads=1)
    assert not np.array_equal(samples_of(british, "A tomato."), samples_of(heart, "A tomato."))


@pytest.mark.parametrize("content", [b"", b"no model at all"])
def test_a_file_that_is_no_voice(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.onnx").write_bytes(content)
    with pytest.raises(ModelLoadError, match=r"broken\.onnx does not load"):
        HibariEngine(tmp_path, device="cpu", threads=1)
    with pytest.raises(ModelLoadError, match=r"no \.onnx file"):
        HibariEngine(tmp_path / "nowhere", device="cpu", threads=1)
