"""Kokoro: 82 million parameters, 54 voices in one model, on ONNX Runtime."""

import threading
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.core.system.cpus import yield_cpu
from voice_stack.core.system.files import digest_file
from voice_stack.tts.engine.base import EngineVoice, Spoken, TtsEngine, VoiceOptions
from voice_stack.tts.engine.english import EnglishReader
from voice_stack.tts.engine.kokoro_asian import ChineseReader, JapaneseReader
from voice_stack.tts.engine.onnx import expose_tensor, open_sessions
from voice_stack.tts.engine.onnx_convolutions import unroll_convolutions
from voice_stack.tts.engine.phonemes import (
    NUMBERS,
    LanguageReader,
    cut_phonemes,
    join_pieces,
    keep_known,
    share_phonemes,
)
from voice_stack.tts.models import ESPEAK_LANGUAGES, LANGUAGES, SPOKEN_LANGUAGES
from voice_stack.utils.audio.word_alignment import TimedPhoneme, cut_words, end_at_pauses, time_words
from voice_stack.utils.onnx import CPU_PROVIDER, ONNX_ERRORS, choose_providers

if TYPE_CHECKING:
    from voice_stack.tts.engine.kokoro_espeak import EspeakPhonemizer

SAMPLE_RATE = 24_000
KEEPING_NICENESS = 5
"""How far everything else goes before the keeping of an improved graph."""
STYLE_SIZE = 256
FRAME_SAMPLES = 600
DEFAULT_VOICE = "af_heart"
LENGTHS = "/encoder/Div_output_0"
"""The tensor with the length of each token in frames at the speed asked for, before the graph rounds it."""

Style = NDArray[np.float32]
"""A voice, shape (510, 1, 256): one style vector for each number of phonemes."""


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
        self._session = _load(models[0], device, threads, cache_dir)
        names = {tensor.name for tensor in self._session.get_inputs()}
        self._tokens_name = "input_ids" if "input_ids" in names else "tokens"
        self._style = lru_cache(maxsize=None)(self._read_style)
        self._open_reader = lru_cache(maxsize=None)(self._load_reader)
        self._open_phonemizer = cache(_load_phonemizer)

    def synthesize(self, text: str, options: VoiceOptions) -> Iterator[Spoken]:
        words, style = cut_words(text), self._mix(options.voice)
        whole, alone = self._pronounce(text, words, options)
        sounds, phonemes, paces = [np.zeros(0, np.float32)], list[TimedPhoneme](), list[float]()
        for batch in cut_phonemes(whole):
            samples, lengths = self._run(batch, style, options.speed)
            sounds.append(samples)
            if lengths is not None:
                phonemes += _time_phonemes(batch, _round_frames(lengths))
                paces.append(_round_frames(lengths * options.speed).sum() / _round_frames(lengths).sum())
        sound = np.concatenate(sounds)
        times = end_at_pauses(time_words(words, alone, phonemes, SAMPLE_RATE), sound, SAMPLE_RATE)
        yield Spoken(sound, times, float(np.mean(paces)) if paces else None)

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

    def _run(self, phonemes: str, style: Style, speed: float) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
        """The sound, and the length of each token in frames; None if the model does not say."""
        tokens = [NUMBERS[symbol] for symbol in phonemes]
        inputs = {
            self._tokens_name: np.array([[0, *tokens, 0]], np.int64),
            "style": style[min(len(tokens), len(style)) - 1],
            "speed": np.array([speed], np.float32),
        }
        try:
            sound, *lengths = self._session.run(None, inputs)
        except (*ONNX_ERRORS, RuntimeError) as error:
            raise EngineError(f"Kokoro failed on {phonemes[:80]!r}: {error}") from error
        return np.asarray(sound, np.float32).ravel(), np.asarray(lengths[0], np.float64).ravel() if lengths else None

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


def _load(model: Path, device: str, threads: int, cache_dir: Path | None) -> onnxruntime.InferenceSession:
    is_on_cpu = choose_providers(device) == [CPU_PROVIDER]

    def improve(content: bytes) -> list[bytes]:
        content = expose_tensor(content, lambda _operation, output: output == LENGTHS)
        return [unroll_convolutions(content) if is_on_cpu else content]

    folder = cache_dir and cache_dir / "graphs"
    try:
        sessions = open_sessions(model, improve, device=device, threads=[threads], cache_dir=folder)
        (session,) = next(sessions)
    except (*ONNX_ERRORS, OSError, RuntimeError, ValueError) as error:
        raise ModelLoadError(f"{model.name} does not load: {type(error).__name__}: {error}") from error
    # What was improved is kept for the next start, which nobody waits for.
    threading.Thread(target=_go_on, args=(sessions,), name="kept graph").start()
    return session


def _go_on(sessions: Iterator[list[onnxruntime.InferenceSession]]) -> None:
    yield_cpu(KEEPING_NICENESS)
    for _ in sessions:
        pass


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


def _time_phonemes(phonemes: str, frames: NDArray[np.float64]) -> list[TimedPhoneme]:
    """The phonemes of a batch, between the two pads that the model speaks as silence."""
    samples = (frames * FRAME_SAMPLES).astype(int).tolist()
    return [TimedPhoneme(symbol, count) for symbol, count in zip(f" {phonemes} ", samples, strict=True)]
