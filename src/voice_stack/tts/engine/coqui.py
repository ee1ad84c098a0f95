"""XTTS-v2 by Coqui: 17 languages, any voice from a few seconds of it. The weights have a licence of their own."""

import pickle
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from voice_stack.core.errors import EngineError, ModelLoadError, UnsupportedValueError
from voice_stack.core.system.cpus import available_cpus
from voice_stack.core.system.device import choose_device
from voice_stack.tts.engine.base import EngineVoice, Spoken, TtsEngine, VoiceOptions
from voice_stack.tts.engine.faithfulness import Expectation, Paces, StreamGuard, best_take
from voice_stack.tts.engine.speaker_latents import LatentStore
from voice_stack.tts.engine.xtts_input import MODEL_CODES, XttsOptions, fit_text, read_options
from voice_stack.tts.engine.xtts_model import SpeakerLatents, load_model
from voice_stack.utils.audio.pcm import Samples
from voice_stack.utils.audio.word_alignment import find_speech

STREAM_MIN_S = 2.0
"""A shorter clause is two pieces of a stream at most: made whole, it can be checked and begins hardly later."""
STREAM_CHUNK_TOKENS = 20
"""Length of a streamed piece, about a second; each piece decodes all before it again, so shorter ones cost more."""
_USUAL_MAX_CHARS = 250  # of a language that only a checkpoint of one's own knows; the library has the same
_SPARE_TOKENS = 6
"""A clause may get so much longer than allowed before it is stopped, or nothing would be seen to be too long."""


@dataclass(frozen=True, slots=True)
class _XttsClause:
    """A text that the model can take, and how to say it."""

    text: str
    options: VoiceOptions
    latents: SpeakerLatents
    drawing: XttsOptions
    expectation: Expectation


class XttsEngine(TtsEngine):
    """One XTTS checkpoint.

    The model keeps what it is saying in itself, so one clause is made at a time, to the end of its iterator. A clause
    that is awaited is streamed, others are made whole and checked before anything of them leaves: see `faithfulness`.
    """

    def __init__(self, model_dir: Path, *, device: str, threads: int, cache_dir: Path | None = None) -> None:
        super().__init__(model_dir, device=device, threads=threads, cache_dir=cache_dir)
        try:
            torch.set_num_threads(threads or available_cpus())
            self._model = load_model(model_dir, str(choose_device(device, torch.cuda.device_count())))
        except (RuntimeError, ValueError, KeyError, TypeError, OSError, EOFError, pickle.UnpicklingError) as error:
            raise ModelLoadError(f"The model in {model_dir} does not load: {error}.") from error
        self.sample_rate = int(self._model.args.output_sample_rate)
        self._speakers = self._model.speakers()
        self._max_tokens = int(self._model.args.gpt_max_text_tokens) - 1  # the library asserts that there are fewer
        self._token_s = self._model.args.gpt_code_stride_len / self._model.args.input_sample_rate
        self._paces = Paces()
        self._clones: LatentStore | None = None
        self._lock = threading.Lock()

    def synthesize(self, text: str, options: VoiceOptions) -> Iterator[Spoken]:
        """See `TtsEngine.synthesize`.

        Raises:
            UnsupportedValueError: The checkpoint has no such speaker or option, or does not speak the language.
            InvalidRequestError: The text or a recording cannot be used.
            EngineError: The model failed.
        """
        drawing = read_options(options.voice.options, self._model.config)
        language = self._model_language(options.language)
        with self._lock:
            try:
                latents = self._find_latents(options.voice)
                for piece in self._fit(text, options.language, language):
                    expectation = self._paces.expect(options.voice, piece, options.language, options.speed)
                    yield from self._say(_XttsClause(piece, options, latents, drawing, expectation))
            except RuntimeError as error:
                raise EngineError(f"XTTS failed on a clause of {len(text)} characters: {error}") from error

    def _model_language(self, language: str) -> str:
        code = MODEL_CODES.get(language, language or "en")
        if code not in self._model.config.languages:
            there = ", ".join(self._model.config.languages)
            raise UnsupportedValueError(f"language {language!r} is not one of {there}", param="language")
        return code

    def _fit(self, text: str, language: str, model_language: str) -> list[str]:
        tokenizer = self._model.tokenizer
        max_chars = tokenizer.char_limits.get(model_language.split("-")[0], _USUAL_MAX_CHARS)

        def fits(part: str) -> bool:
            # The tokenizer is not asked about what is too long anyway: it would say so in the log, with the text.
            is_short = len(part) <= max_chars
            return is_short and len(tokenizer.encode(part.lower(), lang=model_language)) <= self._max_tokens

        return fit_text(text, language, fits)

    def _find_latents(self, voice: EngineVoice) -> SpeakerLatents:
        if voice.recordings:
            return self._clone(voice.recordings)
        if not self._speakers:
            raise UnsupportedValueError(
                "this checkpoint has no voices of its own: choose one with a recording", param="voice"
            )
        name = voice.name or next(iter(self._speakers))
        if name not in self._speakers:
            raise UnsupportedValueError(f"speaker {name!r} is not one of {', '.join(self._speakers)}", param="voice")
        return self._speakers[name]

    def _clone(self, recordings: tuple[Path, ...]) -> SpeakerLatents:
        if self._clones is None:
            folder = None if self.cache_dir is None else self.cache_dir / "speakers"
            self._clones = LatentStore(folder, self._model.latents_key(), self._model.clone)
        return SpeakerLatents(**self._clones.get(recordings))

    def _say(self, line: _XttsClause) -> Iterator[Spoken]:
        if line.options.is_awaited and line.expectation.expected_s >= STREAM_MIN_S:
            yield from self._stream(line)
            return
        samples, fits = best_take(
            lambda number: self._make(line, number), self.sample_rate, line.expectation, line.drawing.max_retries
        )
        if fits:
            self._learn(line, find_speech(samples, self.sample_rate).end / self.sample_rate)
        yield Spoken(samples)

    def _learn(self, line: _XttsClause, spoken_s: float) -> None:
        options = line.options
        self._paces.learn(options.voice, line.text, options.language, spoken_s, options.speed)

    def _make(self, line: _XttsClause, number: int) -> Samples:
        """The whole clause; other numbers give other takes."""
        torch.manual_seed(line.drawing.seed + number)
        longest_s = line.expectation.longest_s * line.options.speed
        # What babbles on is stopped where nothing of it could be kept any more.
        max_tokens = min(int(longest_s / self._token_s) + _SPARE_TOKENS, int(self._model.gpt.max_gen_mel_tokens))
        return self._model.make(max_tokens, **self._arguments(line))

    def _stream(self, line: _XttsClause) -> Iterator[Spoken]:
        torch.manual_seed(line.drawing.seed)
        guard = StreamGuard(self.sample_rate, line.expectation)
        with closing(self._model.stream(STREAM_CHUNK_TOKENS, **self._arguments(line))) as pieces:
            for piece in pieces:
                ready = guard.push(piece)
                if ready.size or guard.is_cut:
                    yield Spoken(ready, goes_on=not guard.is_cut)
                if guard.is_cut:
                    return
        spoken_s = guard.spoken_s
        rest, fits = guard.finish()
        if fits:
            self._learn(line, spoken_s)
        yield Spoken(rest)

    def _arguments(self, line: _XttsClause) -> dict[str, object]:
        own = {"seed", "max_retries"}
        return {
            "text": line.text,
            "language": self._model_language(line.options.language),
            "gpt_cond_latent": line.latents.gpt_cond_latent,
            "speaker_embedding": line.latents.speaker_embedding,
            "speed": line.options.speed,
            **{name: value for name, value in asdict(line.drawing).items() if name not in own},
        }
