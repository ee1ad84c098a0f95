"""XTTS by the library's own code, on a checkpoint of random weights: everything but what it sounds like."""

import hashlib
import logging
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from piper_speech import speak_wav
from pytorch.xtts_weights import MAX_AUDIO_TOKENS, SPEAKERS, make_checkpoint, make_old
from voice_stack.core.errors import InvalidRequestError, ModelLoadError, UnsupportedValueError
from voice_stack.tts.engine.base import EngineVoice, Spoken, VoiceOptions
from voice_stack.tts.engine.coqui import XttsEngine
from voice_stack.tts.models import CAPABILITIES
from voice_stack.tts.torch_models import read_speaker_names
from voice_stack.utils.audio.pcm import Samples

# With the noise of random weights no take of a short text fits it; two retries each would only take time.
ONCE = EngineVoice(options=(("max_retries", 0),))
TEXT = "The kettle is on the stove and the door is open."
LONGEST_S = 0.9 * MAX_AUDIO_TOKENS * 1024 / 22_050  # a few tokens of those are not for sound


def load(model_dir: Path, cache_dir: Path | None = None) -> XttsEngine:
    engine = XttsEngine(model_dir, device="cpu", threads=1)
    engine.cache_dir = cache_dir
    return engine


@pytest.fixture(scope="module")
def engine(xtts_checkpoint: Path) -> XttsEngine:
    return load(xtts_checkpoint)


@pytest.fixture(scope="module")
def whole(engine: XttsEngine) -> Samples:
    """The text by the first speaker, spoken once."""
    return sound(engine, TEXT)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("recordings")
    texts = ("The train to the coast leaves at nine.", "Please do not be late, and bring the big umbrella.")
    files = (folder / "one.wav", folder / "two.wav")
    for file, text in zip(files, texts, strict=True):
        file.write_bytes(speak_wav(text))
    return files


def say(engine: XttsEngine, text: str, options: VoiceOptions) -> list[Spoken]:
    return list(engine.synthesize(text, options))


def sound(engine: XttsEngine, text: str, voice: EngineVoice = ONCE, language: str = "en") -> Samples:
    return np.concatenate([part.samples for part in say(engine, text, VoiceOptions(voice, language))])


def is_sound(samples: Samples) -> bool:
    return samples.dtype == np.float32 and samples.ndim == 1 and bool(np.all(np.abs(samples) <= 1)) and samples.any()


class TestSpeech:
    def test_its_speakers_speak_in_voices_of_their_own(self, engine: XttsEngine, whole: Samples) -> None:
        first, second = (sound(engine, TEXT, replace(ONCE, name=name)) for name in SPEAKERS)
        assert is_sound(whole)
        assert is_sound(second)
        assert engine.sample_rate == 24_000
        assert not np.array_equal(first, second)
        assert np.array_equal(first, whole), "no name means the first speaker, and the same seed the same speech"

    def test_a_seed_of_the_voice_gives_another_speech(self, engine: XttsEngine, whole: Samples) -> None:
        seeded = replace(ONCE, options=(*ONCE.options, ("seed", 5)))
        assert not np.array_equal(sound(engine, TEXT, seeded), whole)

    def test_streamed_it_is_the_same_and_begins_before_it_is_made(self, engine: XttsEngine, whole: Samples) -> None:
        parts = say(engine, TEXT, VoiceOptions(ONCE, "en", is_awaited=True))
        streamed = np.concatenate([part.samples for part in parts])
        assert len(parts) >= 3
        assert parts[0].samples.size < whole.size / 2
        assert [part.goes_on for part in parts] == [True] * (len(parts) - 1) + [False]
        assert streamed.size == whole.size
        # Not bit for bit: the model hears the clause once more when it makes it whole, and pieces are cross-faded.
        assert np.corrcoef(streamed, whole)[0, 1] > 0.98

    def test_speed_shortens_it(self, engine: XttsEngine, whole: Samples) -> None:
        (fast,) = say(engine, TEXT, VoiceOptions(ONCE, "en", speed=1.25))
        assert fast.samples.size / whole.size == pytest.approx(1 / 1.25, rel=0.05)

    def test_every_language_of_its_capabilities_is_spoken(self, engine: XttsEngine) -> None:
        texts = {"ar": "مرحبا", "hi": "नमस्ते", "ja": "日本語です。", "ko": "안녕하세요", "ru": "Привет", "zh": "你好。"}
        languages = CAPABILITIES["xtts"].languages
        assert len(languages) == 17
        for language in languages:
            assert is_sound(sound(engine, texts.get(language, "In 7."), language=language)), language

    def test_other_languages_and_speakers_are_refused_with_those_there_are(self, engine: XttsEngine) -> None:
        with pytest.raises(UnsupportedValueError, match=r"'sv' is not one of .*en"):
            sound(engine, TEXT, language="sv")
        with pytest.raises(UnsupportedValueError, match=rf"'Nobody' is not one of {SPEAKERS[0]}"):
            sound(engine, TEXT, EngineVoice(name="Nobody"))

    def test_a_failure_leaves_the_engine_usable(self, engine: XttsEngine) -> None:
        parts = engine.synthesize(TEXT, VoiceOptions(ONCE, "en", is_awaited=True))
        next(parts)
        parts.close()  # type: ignore[attr-defined]  # what a cancelled request does
        with pytest.raises(UnsupportedValueError, match="max_retries"):
            sound(engine, TEXT, EngineVoice(options=(("nonsense", 1),)))
        assert is_sound(sound(engine, TEXT))


class TestLimits:
    def test_a_text_beyond_them_is_spoken_in_pieces(self, engine: XttsEngine) -> None:
        # 300 characters, where 250 are the limit of English.
        assert sound(engine, "word " * 60).size / 24_000 > 1.8 * LONGEST_S

    def test_numbers_of_more_tokens_than_it_takes_are_spoken_in_pieces(self, engine: XttsEngine) -> None:
        text = "777777777 " * 6
        assert len(engine._model.tokenizer.encode(text, "en")) > 402
        assert sound(engine, text).size / 24_000 > 1.8 * LONGEST_S

    def test_a_number_without_a_name_is_spoken(self, engine: XttsEngine) -> None:
        # Turkish has no words from ten to the power of 21 on.
        assert is_sound(sound(engine, "7" * 23, language="tr"))

    def test_its_clauses_stay_below_the_lengths_the_library_warns_of(self, engine: XttsEngine) -> None:
        limits = engine._model.tokenizer.char_limits
        assert dict(CAPABILITIES["xtts"].language_max_chars) == limits


class TestFaithfulness:
    def test_noise_instead_of_a_word_is_spoken_again_and_cut(
        self, engine: XttsEngine, caplog: pytest.LogCaptureFixture
    ) -> None:
        samples = sound(engine, "Yes.", EngineVoice(options=(("max_retries", 1),)))
        (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
        fields = warning.__dict__["fields"]
        assert "what was too much is cut" in warning.getMessage()
        assert fields["retries"] == 1
        assert fields["spoken_s"] > 1.0
        assert fields["kept_s"] == pytest.approx(samples.size / 24_000, abs=0.01)
        assert samples.size / 24_000 < 1.5
        assert "Yes" not in caplog.text

    def test_a_swallowed_text_is_told(self, engine: XttsEngine, caplog: pytest.LogCaptureFixture) -> None:
        assert is_sound(sound(engine, "x" * 240))
        assert "some of it may be missing" in caplog.text


class TestCloning:
    def test_a_recording_makes_a_voice_and_a_second_one_changes_it(
        self, engine: XttsEngine, whole: Samples, recordings: tuple[Path, Path]
    ) -> None:
        one = sound(engine, TEXT, replace(ONCE, recordings=recordings[:1]))
        both = sound(engine, TEXT, replace(ONCE, recordings=recordings))
        assert is_sound(one)
        assert not np.array_equal(whole, one)
        assert not np.array_equal(one, both)

    def test_what_it_heard_is_kept_by_content(
        self, xtts_checkpoint: Path, recordings: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        cache, voice = tmp_path / "cache", replace(ONCE, recordings=recordings[:1])
        before = sound(load(xtts_checkpoint, cache), TEXT, voice)
        (file,) = (cache / "speakers").iterdir()
        written = file.stat().st_ino
        assert [r.getMessage() for r in caplog.records].count("speaker latents computed") == 1

        caplog.clear()
        renamed = shutil.copy(recordings[0], tmp_path / "renamed.wav")
        again = load(xtts_checkpoint, cache)
        assert np.array_equal(sound(again, TEXT, replace(ONCE, recordings=(Path(renamed),))), before)
        assert [r.getMessage() for r in caplog.records] == ["speaker latents read"]
        assert [path.stat().st_ino for path in (cache / "speakers").iterdir()] == [written]

        caplog.clear()
        sound(again, TEXT, replace(ONCE, recordings=recordings[1:]))
        assert len(list((cache / "speakers").iterdir())) == 2
        assert "speaker latents computed" in caplog.text

    def test_a_damaged_file_is_made_anew(
        self, xtts_checkpoint: Path, recordings: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        voice = replace(ONCE, recordings=recordings[:1])
        before = sound(load(xtts_checkpoint, tmp_path), TEXT, voice)
        (file,) = (tmp_path / "speakers").iterdir()
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        assert np.array_equal(sound(load(xtts_checkpoint, tmp_path), TEXT, voice), before)
        assert "damaged speaker latents are computed again" in caplog.text
        assert file.read_bytes() == whole

    def test_without_a_place_to_keep_it_the_voice_speaks(
        self, xtts_checkpoint: Path, recordings: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "speakers").write_text("a file where the folder should be")
        assert is_sound(sound(load(xtts_checkpoint, tmp_path), TEXT, replace(ONCE, recordings=recordings[:1])))
        assert "speaker latents not kept" in caplog.text

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"no sound at all", "broken.wav: .*decoded"),
            (speak_wav("Hm.")[:10_000], r"0\.2\d s; 0\.34 s are the least"),
        ],
        ids=["no sound", "too short"],
    )
    def test_recordings_it_cannot_use_are_the_requests_fault(
        self, engine: XttsEngine, tmp_path: Path, content: bytes, reason: str
    ) -> None:
        file = tmp_path / "broken.wav"
        file.write_bytes(content)
        with pytest.raises(InvalidRequestError, match=reason) as refused:
            sound(engine, TEXT, EngineVoice(recordings=(file,)))
        assert refused.value.param == "voice"


class TestLoading:
    def test_a_checkpoint_of_2023_speaks_and_stays_as_it_is(
        self, whole: Samples, xtts_checkpoint: Path, tmp_path: Path
    ) -> None:
        old = make_old(xtts_checkpoint, tmp_path / "old")
        before = hashlib.sha256((old / "model.pth").read_bytes()).digest()
        assert np.array_equal(sound(load(old), TEXT), whole)
        assert hashlib.sha256((old / "model.pth").read_bytes()).digest() == before

    def test_a_checkpoint_without_speakers_only_clones(self, recordings: tuple[Path, Path], tmp_path: Path) -> None:
        bare = load(make_checkpoint(tmp_path / "bare", speakers=False))
        with pytest.raises(UnsupportedValueError, match="no voices of its own: choose one with a recording"):
            sound(bare, TEXT)
        assert is_sound(sound(bare, TEXT, replace(ONCE, recordings=recordings[:1])))

    @pytest.mark.parametrize("missing", ["config.json", "model.pth", "vocab.json"])
    def test_a_folder_that_lacks_a_file_does_not_load(
        self, xtts_checkpoint: Path, tmp_path: Path, missing: str
    ) -> None:
        for file in xtts_checkpoint.iterdir():
            if file.name != missing:
                (tmp_path / file.name).symlink_to(file)
        with pytest.raises(ModelLoadError, match=missing):
            load(tmp_path)

    def test_a_file_that_holds_code_is_not_run(self, xtts_checkpoint: Path, tmp_path: Path) -> None:
        marker = tmp_path / "was-run"
        for name in ("config.json", "vocab.json"):
            (tmp_path / name).symlink_to(xtts_checkpoint / name)
        (tmp_path / "model.pth").write_bytes(pickle.dumps(Touch(marker)))
        with pytest.raises(ModelLoadError, match="does not load"):
            load(tmp_path)
        assert not marker.exists()

    def test_a_device_that_does_not_exist_is_refused(self, xtts_checkpoint: Path) -> None:
        with pytest.raises(ModelLoadError, match="'tpu' is not one of auto, cpu, cuda"):
            XttsEngine(xtts_checkpoint, device="tpu", threads=1)


class TestSpeakerNames:
    def test_they_are_read_without_the_model(self, xtts_checkpoint: Path) -> None:
        assert read_speaker_names(xtts_checkpoint / "speakers_xtts.pth") == SPEAKERS

    def test_a_file_that_is_none_of_speakers_has_none(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        file = tmp_path / "speakers_xtts.pth"
        file.write_bytes(pickle.dumps(Touch(tmp_path / "was-run")))
        assert read_speaker_names(file) == ()
        assert "cannot be read" in caplog.text
        assert not (tmp_path / "was-run").exists()


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)
