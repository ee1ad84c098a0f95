"""Qwen3-TTS by Alibaba: ten languages, voices of its own, of recordings or as they are described, told how to speak."""

import logging
import queue
import threading
from collections.abc import Generator, Iterator
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from qwen_tts import Qwen3TTSModel
from safetensors import SafetensorError

from voice_stack.core.errors import EngineError, ModelLoadError, UnsupportedValueError
from voice_stack.core.logging import log_event
from voice_stack.core.system.cpus import available_cpus
from voice_stack.core.system.device import choose_device
from voice_stack.tts.engine.base import EngineVoice, Spoken, TtsEngine, VoiceOptions
from voice_stack.tts.engine.faithfulness import Paces
from voice_stack.tts.engine.speaker_latents import Latents, LatentStore, fingerprint, read_beginning
from voice_stack.tts.engine.voice_options import choose_options
from voice_stack.tts.torch_models import find_cloning_model
from voice_stack.utils.audio.pcm import Samples
from voice_stack.utils.language import LANGUAGES
from voice_stack.utils.transformers_log import take_over_log

logger = logging.getLogger(__name__)

HEARD_S = 30.0
"""So much of each of a voice's recordings is heard."""
HEARD_RATE = 24_000
"""Sample rate at which recordings are read, in Hz: that of the model's ear."""
FRAMES_PER_SECOND = 12.5
PIECE_FRAMES, WHOLE_FRAMES = 4, 300
"""Length of a piece of sound that is awaited, a third of a second, and of one that is not, as the library has it."""
_EMBEDDING = "speaker_embedding"


class _StoppedError(Exception):
    """Nobody listens any more."""


class Qwen3Engine(TtsEngine):
    """One Qwen3-TTS model, which either has voices of its own, or clones, or makes a voice from a description.

    The library makes whole clauses and takes addresses for recordings, which it would fetch. So its model is driven
    directly: frames are taken as they are drawn, and recordings are given as samples. One clause is made at a time, to
    the end of its iterator.
    """

    def __init__(self, model_dir: Path, *, device: str, threads: int, cache_dir: Path | None = None) -> None:
        super().__init__(model_dir, device=device, threads=threads, cache_dir=cache_dir)
        take_over_log()
        try:
            torch.set_num_threads(threads or available_cpus())
            place = choose_device(device, torch.cuda.device_count())
            dtype = torch.float32 if place.kind == "cpu" else torch.bfloat16
            self._library = Qwen3TTSModel.from_pretrained(
                str(model_dir), device_map=str(place), dtype=dtype, local_files_only=True
            )
        except (RuntimeError, ValueError, KeyError, TypeError, OSError, SafetensorError) as error:
            raise ModelLoadError(f"The model in {model_dir} does not load: {error}.") from error
        self._model = self._library.model
        _compute_rotations(self._model, self._model.speech_tokenizer.model)
        self._kind = str(self._model.tts_model_type)
        self._decoder = self._model.speech_tokenizer.model.decoder
        # A piece is decoded with all that the decoder looks back at; it never looks ahead.
        self._context_frames = int(self._decoder.config.sliding_window)
        self.sample_rate = int(self._model.speech_tokenizer.get_output_sample_rate())
        self._cloning_model = find_cloning_model(model_dir.name)
        self._speakers = tuple(self._library.get_supported_speakers() or ())
        self._paces = Paces()
        self._clones: LatentStore | None = None
        self._lock = threading.Lock()

    def synthesize(self, text: str, options: VoiceOptions) -> Iterator[Spoken]:
        """See `TtsEngine.synthesize`.

        Raises:
            UnsupportedValueError: The model has no such voice or option, does not speak the language, or lacks what it
                makes a voice of.
            InvalidRequestError: A recording cannot be used.
            EngineError: The model failed.
        """
        with self._lock:
            request = self._voice(options.voice, options.instructions) | {
                "input_ids": self._tokens(self._library._build_assistant_text(_disarm(text))),
                "languages": [self._language(options.language)],
                "non_streaming_mode": True,
                **self._drawing(text, options),
            }
            try:
                pieces = self._sound(self._draw(request), PIECE_FRAMES if options.is_awaited else WHOLE_FRAMES)
                if options.is_awaited:
                    yield from (Spoken(piece, goes_on=True) for piece in pieces)
                    yield Spoken(np.zeros(0, np.float32))
                else:
                    yield Spoken(np.concatenate([*pieces]))
            except (RuntimeError, ValueError) as error:
                raise EngineError(f"Qwen3-TTS failed on a clause of {len(text)} characters: {error}") from error

    def _drawing(self, text: str, options: VoiceOptions) -> dict[str, object]:
        """How the clause is drawn by lot; sets the seed."""
        usual = self._library._merge_generate_kwargs()
        names = ("temperature", "top_k", "top_p", "repetition_penalty")
        own = {name: usual[name] for name in names} | {"seed": 0}
        chosen = choose_options(options.voice.options, own, "Qwen3-TTS")
        torch.manual_seed(chosen.pop("seed"))
        # What goes on for so long is no speech any more, however slowly it was asked to speak.
        longest_s = 2 * self._paces.expect(options.voice, text, options.language).longest_s + 1.0
        limit = min(int(longest_s * FRAMES_PER_SECOND), usual["max_new_tokens"])
        return {**usual, **chosen, "max_new_tokens": limit}

    def _language(self, code: str) -> str:
        """The library's name of a language."""
        names = self._library.get_supported_languages() or []
        name = LANGUAGES[code].name if code in LANGUAGES else "auto"
        if name not in {*names, "auto"}:
            codes = sorted(language.code for language in LANGUAGES.values() if language.name in names)
            raise UnsupportedValueError(f"language {code!r} is not one of {', '.join(codes)}", param="language")
        return name

    def _voice(self, voice: EngineVoice, instructions: str) -> dict[str, object]:
        """What makes the voice, and how it is told to speak, as the model takes it."""
        if self._kind == "base":
            return self._clone(voice)
        if voice.recordings:
            raise UnsupportedValueError(
                f"model {self.model_dir.name!r} clones no voices: {self._cloning_model} does", param="voice"
            )
        told = self._tokens(self._library._build_instruct_text(_disarm(instructions))) if instructions else [None]
        if self._kind == "voice_design":
            if not instructions or voice.name:
                reason = f"voice {voice.name!r} is none of its own" if voice.name else "there are no instructions"
                raise UnsupportedValueError(
                    f"model {self.model_dir.name!r} makes a voice from instructions: {reason}", param="instructions"
                )
            return {"instruct_ids": told}
        name = (voice.name or next(iter(self._speakers), "")).lower()
        if name not in self._speakers:
            raise UnsupportedValueError(
                f"voice {voice.name!r} is not one of {', '.join(self._speakers)}", param="voice"
            )
        return {"speakers": [name], "instruct_ids": told}

    def _clone(self, voice: EngineVoice) -> dict[str, object]:
        if not voice.recordings:
            raise UnsupportedValueError(
                "the model has no voices of its own: choose one with a recording", param="voice"
            )
        if self._clones is None:
            folder = None if self.cache_dir is None else self.cache_dir / "speakers"
            key = fingerprint(_floats(self._model.speaker_encoder), version("qwen-tts-compat"))
            self._clones = LatentStore(folder, key, self._hear)
        embedding = self._clones.get(voice.recordings)[_EMBEDDING].to(self._model.device, self._model.dtype)
        prompt = {
            "ref_code": [None],
            "ref_spk_embedding": [embedding],
            "x_vector_only_mode": [True],
            "icl_mode": [False],
        }
        return {"voice_clone_prompt": prompt}

    def _hear(self, recordings: tuple[Path, ...]) -> Latents:
        heard = (read_beginning(recording, HEARD_RATE, HEARD_S) for recording in recordings)
        embeddings = [self._model.extract_speaker_embedding(audio=samples, sr=HEARD_RATE) for samples in heard]
        return {_EMBEDDING: torch.stack(embeddings).float().mean(dim=0).clone()}

    def _tokens(self, text: str) -> list[torch.Tensor]:
        tokens: list[torch.Tensor] = self._library._tokenize_texts([text])
        return tokens

    def _draw(self, request: dict[str, object]) -> Generator[torch.Tensor, None, None]:
        """The codes of each frame, of shape (groups,), once it is drawn; a thread draws on meanwhile."""
        drawn: queue.SimpleQueue[torch.Tensor | Exception | None] = queue.SimpleQueue()
        is_over = threading.Event()

        def see(_module: object, _inputs: object, output: object) -> None:
            if is_over.is_set():
                raise _StoppedError
            codes = output.hidden_states[-1]  # type: ignore[attr-defined]
            if codes is not None:
                drawn.put(codes[0].clone())

        def work() -> None:
            try:
                with torch.inference_mode():
                    self._model.generate(**request)
                drawn.put(None)
            except Exception as error:  # noqa: BLE001 - it is raised where the frames are taken
                drawn.put(error)

        count, limit = 0, request["max_new_tokens"]
        assert isinstance(limit, int)
        hook = self._model.talker.register_forward_hook(see)
        worker = threading.Thread(target=work, name="qwen3-draw")
        worker.start()
        try:
            while (frame := drawn.get()) is not None:
                if isinstance(frame, Exception):
                    raise frame
                count += 1
                yield frame
            if count + 1 >= limit:
                log_event(logger, logging.WARNING, "clause is cut: it does not end", frames=count)
        finally:
            is_over.set()
            worker.join()
            hook.remove()

    def _sound(self, frames: Iterator[torch.Tensor], piece_frames: int) -> Iterator[Samples]:
        codes: list[torch.Tensor] = []
        done = 0
        try:
            for frame in frames:
                codes.append(frame)
                if len(codes) - done >= piece_frames:
                    yield self._decode(codes, done)
                    codes, done = codes[-self._context_frames :], min(len(codes), self._context_frames)
            if len(codes) > done:
                yield self._decode(codes, done)
        finally:
            frames.close()  # type: ignore[attr-defined]

    def _decode(self, codes: list[torch.Tensor], done: int) -> Samples:
        """The sound of the frames behind those that are done."""
        with torch.inference_mode():
            wave = self._decoder(torch.stack(codes).T[None].clamp(min=0))[0, 0]
        samples: Samples = wave[done * int(self._decoder.total_upsample) :].float().cpu().numpy()
        return np.clip(samples, -1.0, 1.0)


def _compute_rotations(*models: torch.nn.Module) -> None:
    """Fill in the frequencies of the position encodings: in no file, they are left as the memory was when loaded."""
    for module in chain.from_iterable(model.modules() for model in models):
        if hasattr(module, "rope_init_fn"):
            module.inv_freq = module.rope_init_fn(module.config, module.inv_freq.device)[0]


def _floats(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    return ((name, tensor.float()) for name, tensor in module.state_dict().items())


def _disarm(text: str) -> str:
    """A text that holds none of the model's own marks, as `<|im_end|>`."""
    return text.replace("<", " ")
