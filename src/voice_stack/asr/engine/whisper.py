"""Whisper on PyTorch, by OpenAI's own library: the reference, and for checkpoints of one's own."""

import json
import pickle
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import whisper
from numpy.typing import NDArray
from whisper.audio import N_SAMPLES, log_mel_spectrogram, pad_or_trim
from whisper.decoding import DecodingOptions, DecodingResult, DecodingTask, detect_language
from whisper.model import ModelDimensions, Whisper
from whisper.timing import add_word_timestamps
from whisper.tokenizer import Tokenizer, get_tokenizer

from voice_stack.asr.engine.base import (
    SAMPLE_RATE,
    AsrEngine,
    WindowResult,
    check_windows,
    decode_language,
    last_timestamp_s,
    split_at_timestamps,
)
from voice_stack.asr.engine.words import CLOSING_MARKS, OPENING_MARKS, alignable_segments, read_words
from voice_stack.asr.models import CAPABILITIES, TORCH_ENGINE
from voice_stack.asr.request import DecodeOptions, EngineOptions
from voice_stack.asr.transcript import Segment
from voice_stack.core.errors import ModelLoadError
from voice_stack.core.system.cpus import take_cpus
from voice_stack.core.system.device import choose_device

CONFIG, WEIGHTS, GENERATION = "config.json", "model.safetensors", "generation_config.json"

# From the names of transformers to those of OpenAI; order matters, the layer norms come before what they contain.
_RENAMED: tuple[tuple[str, str], ...] = (
    ("model.", ""),
    ("embed_tokens.", "token_embedding."),
    ("embed_positions.weight", "positional_embedding"),
    ("layers.", "blocks."),
    ("self_attn_layer_norm.", "attn_ln."),
    ("encoder_attn_layer_norm.", "cross_attn_ln."),
    ("final_layer_norm.", "mlp_ln."),
    ("encoder.layer_norm.", "encoder.ln_post."),
    ("decoder.layer_norm.", "decoder.ln."),
    ("self_attn.", "attn."),
    ("encoder_attn.", "cross_attn."),
    ("q_proj.", "query."),
    ("k_proj.", "key."),
    ("v_proj.", "value."),
    ("out_proj.", "out."),
    ("fc1.", "mlp.0."),
    ("fc2.", "mlp.2."),
)
_TIED = "proj_out.weight"  # the same as the token embedding


def load_checkpoint(place: Path, device: str) -> Whisper:
    """Load a model.

    Args:
        place: A `.pt` file; a folder with one; or a folder with `config.json` and `model.safetensors`.
        device: `cpu`, `cuda` or `cuda:1`.

    Raises:
        FileNotFoundError: There is no such file.
        KeyError: It lacks a part of a checkpoint.
        RuntimeError: The weights are not those of a Whisper model.
    """
    if (place / WEIGHTS).is_file():
        model = _load_transformers(place, device)
        heads = _alignment_heads(place)
    else:
        file = _find_pt(place)
        model = whisper.load_model(str(file), device=device)
        heads = _alignment_heads(file.parent)
    if heads:
        _set_alignment_heads(model, heads)
    return model.eval()


def _find_pt(place: Path) -> Path:
    if place.is_file():
        return place
    files = sorted(place.glob("*.pt"))
    if len(files) != 1:
        there = ", ".join(file.name for file in files) or "none"
        raise FileNotFoundError(f"one .pt file, or {CONFIG} and {WEIGHTS}, must be there; .pt files: {there}")
    return files[0]


def _load_transformers(folder: Path, device: str) -> Whisper:
    from safetensors.torch import load_file

    model = Whisper(read_dimensions(json.loads((folder / CONFIG).read_text("utf-8"))))
    weights = load_file(folder / WEIGHTS)
    # strict: a weight that is missing or too many is an error, not noise in the text.
    model.load_state_dict({rename_weight(name): weights[name].float() for name in weights if name != _TIED})
    return model.to(device)


def read_dimensions(config: Mapping[str, int]) -> ModelDimensions:
    """The model's shape from a `config.json` of transformers.

    Raises:
        KeyError: An entry is missing.
    """
    return ModelDimensions(
        n_mels=config["num_mel_bins"],
        n_audio_ctx=config["max_source_positions"],
        n_audio_state=config["d_model"],
        n_audio_head=config["encoder_attention_heads"],
        n_audio_layer=config["encoder_layers"],
        n_vocab=config["vocab_size"],
        n_text_ctx=config["max_target_positions"],
        n_text_state=config["d_model"],
        n_text_head=config["decoder_attention_heads"],
        n_text_layer=config["decoder_layers"],
    )


def rename_weight(name: str) -> str:
    """A weight's name in OpenAI's code, from its name in transformers."""
    for theirs, ours in _RENAMED:
        name = name.replace(theirs, ours)
    return name


def _alignment_heads(folder: Path) -> list[list[int]] | None:
    """Layer and head of the attention that follows the audio, where a file says so; the library guesses otherwise."""
    for name in (GENERATION, CONFIG):
        path = folder / name
        heads = json.loads(path.read_text("utf-8")).get("alignment_heads") if path.is_file() else None
        if heads:
            return [[int(layer), int(head)] for layer, head in heads]
    return None


def _set_alignment_heads(model: Whisper, heads: list[list[int]]) -> None:
    mask = torch.zeros(model.dims.n_text_layer, model.dims.n_text_head, dtype=torch.bool)
    for layer, head in heads:
        mask[layer, head] = True
    model.register_buffer("alignment_heads", mask.to_sparse().to(model.device), persistent=False)


_DRAWN = 5  # texts above temperature 0, the most probable is kept
_BATCH = {"cpu": 4, "cuda": 16}
_COMPUTE_TYPES = {"cpu": ("float32",), "cuda": ("float16", "float32")}
_MELS_PER_S = 100


class _BatchTask(DecodingTask):
    """The library's search for several windows at once: it fans out the texts of a beam, but not their audio."""

    def _get_audio_features(self, mel: torch.Tensor) -> torch.Tensor:
        encoded: torch.Tensor = super()._get_audio_features(mel)
        return encoded.repeat_interleave(self.n_group, dim=0)

    def _detect_language(self, audio_features: torch.Tensor, _tokens: torch.Tensor) -> tuple[list[str | None], None]:
        return [self.options.language] * (audio_features.shape[0] // self.n_group), None


class WhisperEngine(AsrEngine):
    """Any Whisper checkpoint for PyTorch; see `AsrEngine`. Always computes 30 s: its encoder takes no less."""

    def __init__(self, model_dir: Path, options: EngineOptions) -> None:
        super().__init__(model_dir, options)
        try:
            device = str(choose_device(options.device, torch.cuda.device_count(), replica=options.replica))
            self._fp16 = _choose_compute_type(options, device) == "float16"
            torch.set_num_threads(options.threads or take_cpus(options.replica, options.replicas))
            self._model = load_checkpoint(model_dir, device)
        except (RuntimeError, ValueError, KeyError, TypeError, OSError, EOFError, pickle.UnpicklingError) as error:
            raise ModelLoadError(f"The model in {model_dir} does not load: {error}.") from error
        self.max_batch = options.max_batch or _BATCH[torch.device(device).type]
        # While it decodes, the library keeps the attention's state in hooks on the one model.
        self._lock = threading.Lock()
        self._kept: tuple[NDArray[np.float32], torch.Tensor] | None = None
        multilingual = self._model.is_multilingual
        languages = tuple(self._tokenizer("transcribe", "en").all_language_codes) if multilingual else ("en",)
        self.capabilities = CAPABILITIES[TORCH_ENGINE].limited_to(languages)

    def detect_language(self, window: NDArray[np.float32]) -> dict[str, float]:
        """See `AsrEngine.detect_language`; decoding the same array right afterwards does not encode it again."""
        check_windows(window)
        if not self.capabilities.language_detection:
            return {"en": 1.0}
        with self.engine_errors(RuntimeError), self._lock, torch.inference_mode():
            encoded = self._model.encoder(self._mel(window)[None])
            _, (found,) = detect_language(self._model, encoded, self._tokenizer("transcribe", "en"))
            self._kept = window, encoded
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def decode(self, windows: Sequence[NDArray[np.float32]], options: DecodeOptions) -> list[WindowResult]:
        """See `AsrEngine.decode`."""
        check_windows(*windows)
        language = decode_language(options, self.capabilities)
        if not windows:
            return []
        with self.engine_errors(RuntimeError), self._lock, torch.inference_mode():
            task = _BatchTask(self._model, _decoding_options(options, language, fp16=self._fp16))
            outputs = zip(task.run(self._encode(windows)), windows, strict=True)
            return [self._read(output, window, task.tokenizer, options) for output, window in outputs]

    def _tokenizer(self, task: str, language: str) -> Tokenizer:
        model = self._model
        return get_tokenizer(model.is_multilingual, num_languages=model.num_languages, language=language, task=task)

    def _mel(self, window: NDArray[np.float32]) -> torch.Tensor:
        """Log-mel features of a window and silence up to 30 s, of shape (mels, 3000)."""
        padded = torch.from_numpy(pad_or_trim(window, N_SAMPLES)).to(self._model.device)
        mel: torch.Tensor = log_mel_spectrogram(padded, self._model.dims.n_mels)
        return mel.half() if self._fp16 else mel

    def _encode(self, windows: Sequence[NDArray[np.float32]]) -> torch.Tensor:
        kept, self._kept = self._kept, None
        if kept is not None and len(windows) == 1 and kept[0] is windows[0]:
            return kept[1]
        encoded: torch.Tensor = self._model.encoder(torch.stack([self._mel(window) for window in windows]))
        return encoded

    def _read(
        self, output: DecodingResult, window: NDArray[np.float32], tokenizer: Tokenizer, options: DecodeOptions
    ) -> WindowResult:
        duration_s, begin = window.size / SAMPLE_RATE, tokenizer.timestamp_begin
        # The library knows no better than "not a number" for a model without the token for silence.
        no_speech_prob = float(np.nan_to_num(output.no_speech_prob))
        quality = (options.temperature, float(output.avg_logprob), float(output.compression_ratio), no_speech_prob)
        segments = tuple(
            Segment(tokenizer.decode(part.tokens), part.start_s, part.end_s, part.tokens, *quality)
            for part in split_at_timestamps(output.tokens, timestamp_begin=begin, duration_s=duration_s)
        )
        if options.word_timestamps and segments:
            segments = self._with_words(segments, window, tokenizer)
        return WindowResult(
            segments=segments,
            avg_logprob=float(output.avg_logprob),
            compression_ratio=float(output.compression_ratio),
            no_speech_prob=no_speech_prob,
            is_complete_until_s=last_timestamp_s(output.tokens, timestamp_begin=begin, duration_s=duration_s),
        )

    def _with_words(
        self, segments: tuple[Segment, ...], window: NDArray[np.float32], tokenizer: Tokenizer
    ) -> tuple[Segment, ...]:
        """The segments with their words, by the library's alignment, which takes one window and encodes it again."""
        duration_s, found = window.size / SAMPLE_RATE, alignable_segments(segments)
        add_word_timestamps(
            segments=found,
            model=self._model,
            tokenizer=tokenizer,
            mel=self._mel(window),
            num_frames=max(int(duration_s * _MELS_PER_S), 2),
            prepend_punctuations=OPENING_MARKS,
            append_punctuations=CLOSING_MARKS,
            last_speech_timestamp=0.0,
        )
        words = zip(segments, read_words(found, window), strict=True)
        return tuple(replace(segment, words=said) for segment, said in words)


def _choose_compute_type(options: EngineOptions, device: str) -> str:
    allowed = _COMPUTE_TYPES[torch.device(device).type]
    if options.compute_type not in {"auto", *allowed}:
        raise ValueError(f"compute type {options.compute_type!r} on {device} is not one of auto, {', '.join(allowed)}")
    return allowed[0] if options.compute_type == "auto" else options.compute_type


def _decoding_options(options: DecodeOptions, language: str, *, fp16: bool) -> DecodingOptions:
    search = {"best_of": _DRAWN} if options.temperature > 0 else {"beam_size": options.beam_size}
    return DecodingOptions(
        task=options.task,
        language=language,
        prompt=(options.prompt or "").strip() or None,
        temperature=options.temperature,
        fp16=fp16,
        **search,
    )
