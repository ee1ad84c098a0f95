"""Piper: small, fast voices on ONNX Runtime. GPL-3.0-or-later, with espeak-ng inside."""

import json
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import numpy as np
from piper import AudioChunk, PiperVoice, SynthesisConfig
from piper.config import PhonemeType, PiperConfig

from voice_stack.core.cpus import available_cpus
from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.tts.engine.base import Spoken, TtsEngine, VoiceOptions, WordTime
from voice_stack.tts.engine.espeak_voice import set_voices_once
from voice_stack.tts.engine.piper_durations import estimate_pace
from voice_stack.tts.engine.piper_model import PiperModel, stretches
from voice_stack.tts.engine.word_times import TimedPhoneme, time_words
from voice_stack.tts.piper_config import parse_facts
from voice_stack.utils.audio.word_alignment import cut_words
from voice_stack.utils.onnx_errors import ONNX_ERRORS

_PHONEME_EXTRAS = {"pinyin": ("g2pw", "zh"), "japanese": ("pyopenjtalk", "ja"), "thai": ("tltk", "th")}
"""Kinds of phonemes that espeak-ng does not make: the package that does, and the extra of piper-tts that brings it."""
_PHONEMES_OF_WORDS = {PhonemeType.ESPEAK, PhonemeType.TEXT}
"""Where a word spoken alone has about the phonemes it has in a sentence, at no cost."""

_G2PW = "g2pW"
"""The folder beside a voice into which piper-tts puts what it fetches for Chinese."""

MAX_LANES = 8


class PiperEngine(TtsEngine):
    """One Piper voice, with one speaker or many."""

    is_quick = True

    def __init__(self, model_dir: Path, *, device: str, threads: int) -> None:
        super().__init__(model_dir, device=device, threads=threads)
        model = model_dir if model_dir.suffix == ".onnx" else next(iter(sorted(model_dir.glob("*.onnx"))), None)
        if model is None:
            raise ModelLoadError(f"no .onnx file in {model_dir}")
        try:
            content = json.loads(Path(f"{model}.json").read_text("utf-8"))
            self._facts = parse_facts(content)
            config = PiperConfig.from_dict(content)
            weights = model.read_bytes()
            cores = threads or available_cpus()
            models = [PiperModel(weights, device=device, threads=count) for count in sorted({cores, 1})]
        except (*ONNX_ERRORS, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ModelLoadError(f"voice {model.name} does not load: {type(error).__name__}: {error}") from error
        _require_phonemizer(model.name, config)
        set_voices_once()
        # Two cores take a tenth longer for two clauses one after the other than for both at once, with a thread each:
        # one copy of the model is for a clause that is alone, one for those that are spoken side by side.
        self._model, self._alone_model = models[0], models[-1]
        self._voice, self._alone_voice = (_open_voice(part, config, model.parent) for part in (models[0], models[-1]))
        self.lanes = min(cores, MAX_LANES)
        self.sample_rate = config.sample_rate

    def require_resources(self, *, offline: bool) -> None:
        """See `TtsEngine.require_resources`: at the first Chinese text piper-tts fetches a model of its own."""
        needs_g2pw = self._voice.config.phoneme_type is PhonemeType.PINYIN
        resources = self._voice.download_dir / _G2PW
        if offline and needs_g2pw and not (resources / "g2pw.onnx").exists():
            raise ModelLoadError(
                f"this voice reads its text by way of the model g2pW, which is not in {resources} and is not fetched "
                "with OFFLINE=true: start once with OFFLINE=false and let the voice speak"
            )

    def synthesize(self, text: str, options: VoiceOptions) -> Iterator[Spoken]:
        config = SynthesisConfig(
            speaker_id=self._facts.find_speaker(options.voice.name) if options.voice.name else None,
            length_scale=self._voice.config.length_scale / options.speed,
            normalize_audio=False,
        )
        voice, model = (self._alone_voice, self._alone_model) if options.is_alone else (self._voice, self._model)
        model.take()  # what a failure left
        try:
            chunks = list(voice.synthesize(_no_phonemes(text), config, include_alignments=True))
            latents = model.take()
            words, pace = self._time_words(text, chunks), self._pace(chunks, options.speed)
            if not options.is_awaited or len(latents) != 1 or not model.is_cut:
                sounds = [model.decode(latent, 0, latent.length) for latent in latents]
                yield Spoken(np.concatenate([np.zeros(0, np.float32), *sounds]), words, pace)
                return
            for start, end in stretches(latents[0].length):
                samples = model.decode(latents[0], start, end)
                yield Spoken(samples, words, pace, goes_on=end < latents[0].length)
                # From here on it is heard: others are spoken beside it.
                model, words = self._model, ()
        except (*ONNX_ERRORS, RuntimeError, ValueError) as error:
            raise EngineError(f"Piper failed on {text[:80]!r}: {error}") from error

    def _time_words(self, text: str, chunks: Sequence[AudioChunk]) -> tuple[WordTime, ...]:
        phonemes: list[TimedPhoneme] = []
        for chunk in chunks:
            if chunk.phoneme_alignments is None:
                return ()
            phonemes += [TimedPhoneme(part.phoneme, int(part.num_samples)) for part in chunk.phoneme_alignments]
        config = self._voice.config
        # Arabic text is first given its vowels by a model, which would cost as much for each word.
        if config.phoneme_type not in _PHONEMES_OF_WORDS or config.espeak_voice == "ar":
            return ()
        words = cut_words(text)
        pronunciations = [list(chain.from_iterable(self._voice.phonemize(_no_phonemes(word)))) for word in words]
        return time_words(words, pronunciations, phonemes, self.sample_rate)

    def _pace(self, chunks: Sequence[AudioChunk], speed: float) -> float | None:
        durations = [chunk.phoneme_id_samples for chunk in chunks if chunk.phoneme_id_samples is not None]
        if speed == 1 or not durations:
            return None
        return estimate_pace(np.concatenate(durations) / self._voice.config.hop_length, speed)


def _open_voice(model: PiperModel, config: PiperConfig, folder: Path) -> PiperVoice:
    return PiperVoice(session=model, config=config, download_dir=folder)


def _no_phonemes(text: str) -> str:
    """Between double brackets Piper expects phonemes; in a text they are a link of a wiki."""
    return text.replace("[[", "[ [")


def _require_phonemizer(name: str, config: PiperConfig) -> None:
    package, extra = _PHONEME_EXTRAS.get(config.phoneme_type.value, ("piper", ""))
    if find_spec(package) is None:
        raise ModelLoadError(
            f"voice {name} reads its text by way of {package}, which is missing: pip install 'piper-tts[{extra}]'"
        )
