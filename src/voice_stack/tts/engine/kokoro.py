"""Kokoro: 82 million parameters, 54 voices in one model, on ONNX Runtime."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.core.system.files import digest_file
from voice_stack.tts.engine.base import EngineVoice, Spoken, TtsEngine, VoiceOptions
from voice_stack.tts.engine.kokoro_asian import ChineseReader, JapaneseReader
from voice_stack.tts.engine.kokoro_model import FRAME_SAMPLES, SAMPLE_RATE, KokoroModel, Plan, Style
from voice_stack.tts.engine.phonemes import (
    EnglishReader,
    LanguageReader,
    cut_phonemes,
    join_pieces,
    keep_known,
    share_phonemes,
)
from voice_stack.tts.models import ESPEAK_LANGUAGES, LANGUAGES, SPOKEN_LANGUAGES
from voice_stack.utils.audio.word_alignment import TimedPhoneme, cut_words, end_at_pauses, time_words

if TYPE_CHECKING:
    from voice_stack.tts.engine.kokoro_espeak import EspeakPhonemizer

STYLE_SIZE = 256
DEFAULT_VOICE = "af_heart"


class KokoroEngine(TtsEngine):
    """All voices of one Kokoro model."""

    sample_rate = SAMPLE_RATE

    @staticmethod
    def stand_by(model_dir: Path) -> None:
        """See `TtsEngine.stand_by`: the digest of the model is known then, and need not be read again."""
        for file in model_dir.rglob("*.onnx"):
            digest_file(file)

    def __init__(self, model_dir: Path, *, device: str, threads: int, cache_dir: Path | None = None) -> None:
        super().__init__(model_dir, device=device, threads=threads, cache_dir=cache_dir)
        models = sorted(model_dir.rglob("*.onnx"))
        self.voices = {path.stem: path for path in sorted(model_dir.glob("voices/*.bin"))}
        if not models or not self.voices:
            raise ModelLoadError(f"{model_dir} has {len(models)} .onnx files and {len(self.voices)} voices/*.bin files")
        self._model = KokoroModel(models[0], device=device, threads=threads, cache_dir=cache_dir)
        self._style = lru_cache(maxsize=None)(self._read_style)
        self._open_reader = lru_cache(maxsize=None)(self._load_reader)
        self._open_phonemizer = cache(_load_phonemizer)

    def synthesize(self, text: str, options: VoiceOptions) -> Iterator[Spoken]:
        words, style = cut_words(text), self._mix(options.voice)
        whole, alone = self._pronounce(text, words, options)
        plans = [self._model.plan(batch, style, options.speed) for batch in cut_phonemes(whole)]
        phonemes, pace = _time_phonemes(plans), _pace(plans, options.speed)
        beginning = self._model.begin(plans[0]) if options.is_awaited and len(plans) == 1 else None
        if beginning is not None:
            yield Spoken(beginning.samples, (), pace, goes_on=True)
        sound = np.concatenate([np.zeros(0, np.float32), *map(self._model.speak, plans)])
        times = end_at_pauses(time_words(words, alone, phonemes, SAMPLE_RATE), sound, SAMPLE_RATE)
        if beginning is not None:
            heard_s = beginning.samples.size / SAMPLE_RATE
            # Words have times from the stretch that tells them; where they end is seen in the sound of the whole.
            times = tuple(replace(word, start_s=word.start_s - heard_s, end_s=word.end_s - heard_s) for word in times)
            sound = beginning.go_on(sound)
        yield Spoken(sound, times, pace)

    def _pronounce(self, text: str, words: list[str], options: VoiceOptions) -> tuple[str, list[list[str]]]:
        """The phonemes of the whole text, and those of each word."""
        language = _choose_language(options)
        if language in ESPEAK_LANGUAGES:
            whole, *alone = map(keep_known, self._open_phonemizer().phonemize([text, *words], language))
            return whole, [list(word) for word in alone]
        is_british = language == "en" and _first_name(options.voice).startswith("b")
        pieces = self._open_reader("en-GB" if is_british else language).read(text)
        return keep_known(join_pieces(pieces)), share_phonemes(text, words, pieces)

    def _load_reader(self, language: str) -> LanguageReader:
        """It takes half a second and 100 MB: only where its language is spoken."""
        match language:
            case "ja":
                return JapaneseReader()
            case "zh":
                return ChineseReader(lambda word: join_pieces(self._open_reader("en").read(word)))
            case _:
                return EnglishReader(is_british=language == "en-GB")

    def _mix(self, voice: EngineVoice) -> Style:
        parts = voice.blend or ((voice.name or DEFAULT_VOICE, 1.0),)
        mixed: Style = np.sum([self._style(name) * np.float32(share) for name, share in parts], axis=0)
        return mixed

    def _read_style(self, name: str) -> Style:
        if name not in self.voices:
            raise EngineError(f"Kokoro has no voice {name!r}; there are {', '.join(self.voices)}")
        style = np.fromfile(self.voices[name], np.float32)
        if style.size == 0 or style.size % STYLE_SIZE or not np.isfinite(style).all():
            raise EngineError(f"{self.voices[name]} is no voice: float32 of shape (n, {STYLE_SIZE}) is expected")
        return style.reshape(-1, 1, STYLE_SIZE)


def _load_phonemizer() -> "EspeakPhonemizer":
    from voice_stack.tts.engine.kokoro_espeak import EspeakPhonemizer

    return EspeakPhonemizer()


def _first_name(voice: EngineVoice) -> str:
    return voice.blend[0][0] if voice.blend else voice.name


def _choose_language(options: VoiceOptions) -> str:
    own = LANGUAGES.get(_first_name(options.voice)[:1], "en")
    language = options.language or (own if own in SPOKEN_LANGUAGES else "en")
    if language not in SPOKEN_LANGUAGES:
        raise EngineError(f"Kokoro does not speak {language!r}, but {', '.join(sorted(SPOKEN_LANGUAGES))}")
    return language


def _round_frames(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole frames, at least one, as the graph rounds them."""
    return np.maximum(np.round(lengths), 1.0)


def _time_phonemes(plans: Sequence[Plan]) -> list[TimedPhoneme]:
    """The phonemes of each batch, between the two pads that the model speaks as silence."""
    return [
        TimedPhoneme(symbol, int(frames * FRAME_SAMPLES))
        for plan in plans
        if plan.lengths is not None
        for symbol, frames in zip(f" {plan.phonemes} ", _round_frames(plan.lengths), strict=True)
    ]


def _pace(plans: Sequence[Plan], speed: float) -> float | None:
    lengths = [plan.lengths for plan in plans if plan.lengths is not None]
    paces = [_round_frames(own * speed).sum() / _round_frames(own).sum() for own in lengths]
    return float(np.mean(paces)) if paces else None
