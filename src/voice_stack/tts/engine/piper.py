"""Piper: small, fast voices on ONNX Runtime. GPL-3.0-or-later, with espeak-ng inside.

piper-tts sets it for every text, and the pronunciation of each word is a text of its own. Setting it takes 1.3 KB each
time that are never given back (piper-tts 1.8.0): a voice that speaks all day would grow by hundreds of MiB.

Every Piper voice rounds the predicted length of each phoneme up to whole frames, with the one `Ceil` operation of its
graph.

The second half, HiFi-GAN's generator, takes three quarters of the time and looks only a few frames around: it is run on
a stretch at a time, so that a clause begins to sound long before all of it is made. The sound is the same to the last
bit as from one run.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from piper import AudioChunk, PiperVoice, SynthesisConfig, espeakbridge
from piper.config import PhonemeType, PiperConfig

from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.core.system.cpus import available_cpus, yield_cpu
from voice_stack.core.system.files import digest_file
from voice_stack.tts.engine.base import Spoken, TtsEngine, VoiceOptions
from voice_stack.tts.engine.onnx import cut_model, expose_tensor, open_sessions
from voice_stack.tts.models import parse_facts
from voice_stack.utils.audio.word_alignment import TimedPhoneme, WordTime, cut_words, time_words
from voice_stack.utils.onnx import ONNX_ERRORS


@cache
def set_voices_once() -> None:
    """From now on piper-tts, which does so under a lock of its own, sets a voice that is set already at no cost."""
    set_voice, initialize = lru_cache(maxsize=1)(espeakbridge.set_voice), espeakbridge.initialize

    def initialize_anew(data_dir: str) -> None:
        initialize(data_dir)
        # A voice that was set points into the data of before, which are freed.
        set_voice.cache_clear()

    espeakbridge.set_voice, espeakbridge.initialize = set_voice, initialize_anew


def estimate_pace(frames: NDArray[np.float64], speed: float) -> float:
    """How much faster a clause is than at speed 1.

    Rounding up to whole frames makes a Piper voice slower than it is asked to be: asked for 1.5 it has 1.33, for 4
    never more than 2. Here half a frame is taken for what rounding adds on average, at speed 1 too, and 2 % for the
    many phonemes of a single frame that cannot get shorter; it is right to within 4 % for speeds up to 1.8.

    Args:
        frames: Of each phoneme.
        speed: What the model was asked for.
    """
    natural = float(((frames - 0.5) * speed + 0.5).sum()) / 1.02
    return natural / float(frames.sum())


def is_durations(operation: str, _output: str) -> bool:
    """Whether a tensor of a voice's model is the lengths of its phonemes; for `expose_tensor`."""
    return operation == "Ceil"


_FIRST_LAYER = "dec.conv_pre.weight"
"""Weights of the generator's first operation, by the name they have in every voice."""
CONTEXT_FRAMES = 16
"""How far the generator looks: 11 frames in `low` and `medium` voices, 14 in `high` ones, as the sizes of its filters,
their dilations and its steps in rate amount to."""
FIRST_FRAMES = 32
"""The first stretch: some 0.4 s, of which about 0.1 s are the silence before the voice."""
GROWTH = 4
"""Each stretch is so much longer than the one before: it is made while that one sounds."""


@dataclass(frozen=True, slots=True, eq=False)
class Latent:
    """A sentence before it is sound.

    Attributes:
        frames: float32 of shape (1, channels, frames); for a model that is not cut, its sound, (1, 1, samples).
        speaker: The speaker's number as the model takes it, or nothing.
    """

    frames: NDArray[np.float32]
    speaker: dict[str, NDArray[np.int64]]

    @property
    def length(self) -> int:
        """Number of frames."""
        return int(self.frames.shape[-1])


def stretches(length: int) -> Iterator[tuple[int, int]]:
    """Where a sentence of so many frames is cut to be heard early: stretches that grow, from frame to frame.

    All together take little more time than one run.
    """
    start, size = 0, FIRST_FRAMES
    while start < length:
        # A rest that is shorter than what is computed around it is not worth a stretch.
        end = start + size if length - start - size > 2 * CONTEXT_FRAMES else length
        yield start, end
        start, size = end, size * GROWTH


class _Encoded(threading.local):
    """What a thread has encoded and not taken yet."""

    def __init__(self) -> None:
        self.latents: list[Latent] = []


class PiperModel:
    """The sessions of a voice; PiperVoice takes it for its own session, and gets durations without a sound from it.

    Args:
        sessions: Of the two halves, or of a model that cannot be cut.

    Attributes:
        is_cut: Whether sound can be made a stretch at a time.
    """

    def __init__(self, sessions: Sequence[InferenceSession]) -> None:
        self._encoder = sessions[0]
        self._decoder = sessions[1] if len(sessions) > 1 else None
        self._latent_name = self._encoder.get_outputs()[0].name
        self._decoder_inputs = {value.name for value in self._decoder.get_inputs()} if self._decoder else set()
        self._encoded = _Encoded()
        self.is_cut = self._decoder is not None

    def run(self, _outputs: Sequence[str] | None, inputs: dict[str, NDArray[np.int64]]) -> list[NDArray[np.float32]]:
        """Encode a sentence; what PiperVoice calls. The sound it gets is empty; `take` has what becomes it."""
        latent, *others = self._encoder.run(None, inputs)
        speaker = {name: value for name, value in inputs.items() if name in self._decoder_inputs}
        self._encoded.latents.append(Latent(latent, speaker))
        return [np.zeros(1, np.float32), *others]

    def take(self) -> list[Latent]:
        """What this thread encoded since the last call."""
        encoded, self._encoded.latents = self._encoded.latents, []
        return encoded

    def decode(self, latent: Latent, start: int, end: int) -> NDArray[np.float32]:
        """The sound of some frames of a sentence, float32 of shape (samples,); any copy of the model can do that."""
        if self._decoder is None:
            return np.clip(latent.frames.reshape(-1), -1, 1)
        first, last = max(start - CONTEXT_FRAMES, 0), min(end + CONTEXT_FRAMES, latent.length)
        inputs = {self._latent_name: latent.frames[:, :, first:last], **latent.speaker}
        (samples,) = self._decoder.run(None, inputs)
        per_frame = samples.size // (last - first)
        sound: NDArray[np.float32] = samples.reshape(-1)[(start - first) * per_frame : (end - first) * per_frame]
        return np.clip(sound, -1, 1)


def open_models(
    voice: Path, *, device: str, threads: Sequence[int], cache_dir: Path | None = None
) -> Iterator[PiperModel]:
    """Load a voice, a copy for each number of threads; each when it is asked for.

    Raises:
        ValueError: The device is not there, or the file is no protobuf message.
        OSError: The file cannot be read.
        Exception: One of `ONNX_ERRORS`: the file is damaged.
    """
    sessions = open_sessions(voice, _halve, device=device, threads=threads, spins=False, cache_dir=cache_dir)
    return map(PiperModel, sessions)


def _halve(weights: bytes) -> Sequence[bytes]:
    model = expose_tensor(weights, is_durations)
    return cut_model(model, lambda operation, inputs: operation == "Conv" and _FIRST_LAYER in inputs) or [model]


_PHONEME_EXTRAS = {"pinyin": ("g2pw", "zh"), "japanese": ("pyopenjtalk", "ja"), "thai": ("tltk", "th")}
"""Kinds of phonemes that espeak-ng does not make: the package that does, and the extra of piper-tts that brings it."""
_PHONEMES_OF_WORDS = {PhonemeType.ESPEAK, PhonemeType.TEXT}
"""Where a word spoken alone has about the phonemes it has in a sentence, at no cost."""

_G2PW = "g2pW"
"""The folder beside a voice into which piper-tts puts what it fetches for Chinese."""

MAX_LANES = 8
SECOND_COPY_NICENESS = 5
"""How far the first words go before the loading of a second copy."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """A model, and what makes phonemes for it."""

    voice: PiperVoice
    model: PiperModel


class PiperEngine(TtsEngine):
    """One Piper voice, with one speaker or many."""

    is_quick = True

    @staticmethod
    def stand_by(model_dir: Path) -> None:
        """See `TtsEngine.stand_by`: the voice's digest is known then, and need not be read again."""
        for file in [model_dir] if model_dir.is_file() else model_dir.glob("*.onnx"):
            digest_file(file)

    def __init__(self, model_dir: Path, *, device: str, threads: int, cache_dir: Path | None = None) -> None:
        super().__init__(model_dir, device=device, threads=threads, cache_dir=cache_dir)
        model = model_dir if model_dir.suffix == ".onnx" else next(iter(sorted(model_dir.glob("*.onnx"))), None)
        if model is None:
            raise ModelLoadError(f"no .onnx file in {model_dir}")
        try:
            content = json.loads(Path(f"{model}.json").read_text("utf-8"))
            self._facts = parse_facts(content)
            config = PiperConfig.from_dict(content)
            cores = threads or available_cpus()
            folder = cache_dir and cache_dir / "graphs"
            models = open_models(model, device=device, threads=sorted({cores, 1}, reverse=True), cache_dir=folder)
            first = next(models)
        except (*ONNX_ERRORS, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ModelLoadError(f"voice {model.name} does not load: {type(error).__name__}: {error}") from error
        _require_phonemizer(model.name, config)
        set_voices_once()
        # Two cores take a tenth longer for two clauses one after the other than for both at once, with a thread each:
        # one copy of the model is for a clause that is alone, one for those that are spoken side by side.
        self._alone = self._shared = _Copy(PiperVoice(session=first, config=config, download_dir=model.parent), first)
        self._voice = self._alone.voice
        # Nobody waits for the second copy: until it is there the first can do its work.
        threading.Thread(target=self._open_second, args=(models,), name="second copy").start()
        self.lanes = min(cores, MAX_LANES)
        self.sample_rate = config.sample_rate

    def _open_second(self, models: Iterator[PiperModel]) -> None:
        yield_cpu(SECOND_COPY_NICENESS)
        for model in models:
            self._shared = _Copy(replace(self._voice, session=model), model)

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
        copy = self._alone if options.is_alone else self._shared
        voice, model = copy.voice, copy.model
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
                model, words = self._shared.model, ()
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


def _no_phonemes(text: str) -> str:
    """Between double brackets Piper expects phonemes; in a text they are a link of a wiki."""
    return text.replace("[[", "[ [")


def _require_phonemizer(name: str, config: PiperConfig) -> None:
    package, extra = _PHONEME_EXTRAS.get(config.phoneme_type.value, ("piper", ""))
    if find_spec(package) is None:
        raise ModelLoadError(
            f"voice {name} reads its text by way of {package}, which is missing: pip install 'piper-tts[{extra}]'"
        )
