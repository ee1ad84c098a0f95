"""Whisper on CTranslate2, by faster-whisper's lower level: windows in batches, one temperature for each call."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_compression_ratio, get_suppressed_tokens
from numpy.typing import NDArray

from voice_stack.asr.engine.base import (
    SAMPLE_RATE,
    AsrEngine,
    DecodeOptions,
    EngineCapabilities,
    WindowResult,
    check_window,
)
from voice_stack.asr.engine.timestamps import TimedTokens, last_timestamp_s, split_at_timestamps
from voice_stack.asr.transcript import Segment, Word
from voice_stack.core.cpus import available_cpus
from voice_stack.core.errors import EngineError, ModelLoadError

_LATEST_FIRST_TIMESTAMP = 50  # in timestamps: text begins within the first second of the window
_DRAWN = 5  # texts above temperature 0, the most probable is kept
_BATCH = {"cpu": 1, "cuda": 16}  # on a CPU a batch is hardly faster than its windows one by one, and holds up others
_COMPUTE_TYPE = {"cpu": "int8", "cuda": "float16"}
_FILES = ("config.json", "model.bin", "tokenizer.json")  # the library looks for a missing tokenizer on the hub
_OPENING_MARKS = "\"'“¿([{-"
_CLOSING_MARKS = "\"'.。,，!！?？:：”)]}、"


class _AlignedWord(TypedDict):
    word: str
    start: float
    end: float
    probability: float


class _Alignable(TypedDict):
    """What the library's alignment takes for a segment; it fills in the words."""

    seek: int
    start: float
    end: float
    tokens: list[int]
    words: list[_AlignedWord]


def _resolve_device(device: str) -> tuple[str, int]:
    name, _, index = device.partition(":")
    if name == "auto":
        name = "cuda" if ctranslate2.get_cuda_device_count() > 0 else "cpu"
    if name not in _BATCH or not (index or "0").isdecimal():
        raise ValueError(f"device {device!r} is not one of auto, cpu, cuda, cuda:0, cuda:1 and so on")
    return name, int(index or 0)


class FasterWhisperEngine(AsrEngine):
    """Any Whisper model in CTranslate2's format; see `AsrEngine`."""

    def __init__(self, model_dir: Path, *, device: str, compute_type: str, threads: int) -> None:
        super().__init__(model_dir, device=device, compute_type=compute_type, threads=threads)
        # What the libraries raise on unusable files; the tokenizer's own error has no class, so its file is read first.
        try:
            missing = [name for name in _FILES if not (model_dir / name).is_file()]
            if missing:
                raise FileNotFoundError(f"it lacks {', '.join(missing)}")
            json.loads((model_dir / "tokenizer.json").read_bytes())
            self._load()
        except (RuntimeError, ValueError, TypeError, OSError) as error:
            raise ModelLoadError(f"The model in {model_dir} does not load: {error}.") from error
        self._tokenizers: dict[tuple[str, str], Tokenizer] = {}
        self._encoded: tuple[NDArray[np.float32], ctranslate2.StorageView] | None = None

    def _load(self) -> None:
        device, index = _resolve_device(self.device)
        self._model = WhisperModel(
            str(self.model_dir),
            device=device,
            device_index=index,
            compute_type=_COMPUTE_TYPE[device] if self.compute_type == "auto" else self.compute_type,
            cpu_threads=self.threads or available_cpus(),
            local_files_only=True,
        )
        self.max_batch = _BATCH[device]
        multilingual: bool = self._model.model.is_multilingual
        known = self._model.hf_tokenizer.token_to_id
        codes = tuple(code for code in self._model.supported_languages if known(f"<|{code}|>") is not None)
        self._capabilities = EngineCapabilities(
            languages=codes if multilingual else ("en",),
            translate=multilingual,
            words=True,
            prompt=True,
            language_detection=multilingual,
        )

    @property
    def capabilities(self) -> EngineCapabilities:
        """What the loaded model can do; an English-only model needs no language and does not translate."""
        return self._capabilities

    def detect_language(self, window: NDArray[np.float32]) -> dict[str, float]:
        """See `AsrEngine.detect_language`; decoding the same array right afterwards does not encode it again."""
        check_window(window)
        if not self._capabilities.language_detection:
            return {"en": 1.0}
        try:
            encoded = self._encode([window])
            found = self._model.model.detect_language(encoded)[0]
        except RuntimeError as error:
            raise EngineError(f"The model in {self.model_dir} failed: {error}.") from error
        self._encoded = (window, encoded)
        return {token[2:-2]: float(probability) for token, probability in found}

    def decode(self, windows: Sequence[NDArray[np.float32]], options: DecodeOptions) -> list[WindowResult]:
        """See `AsrEngine.decode`."""
        for window in windows:
            check_window(window)
        if not windows:
            return []
        tokenizer = self._tokenizer(options)
        try:
            encoded = self._encode(windows)
            outputs = self._generate(encoded, len(windows), tokenizer, options)
            return [
                self._read(output, window, tokenizer, options, encoded, index)
                for index, (output, window) in enumerate(zip(outputs, windows, strict=True))
            ]
        except RuntimeError as error:
            raise EngineError(f"The model in {self.model_dir} failed: {error}.") from error

    def _tokenizer(self, options: DecodeOptions) -> Tokenizer:
        can = self._capabilities
        language = options.language if can.language_detection else "en"
        if language is None or language not in can.languages:
            raise EngineError(f"Language {language!r} is not one of this model's: {', '.join(can.languages)}.")
        if options.task not in {"transcribe", "translate"} or (options.task == "translate" and not can.translate):
            tasks = "transcribe, translate" if can.translate else "transcribe"
            raise EngineError(f"Task {options.task!r} is not one of this model's: {tasks}.")
        key = (options.task, language)
        if key not in self._tokenizers:
            multilingual = self._model.model.is_multilingual
            self._tokenizers[key] = Tokenizer(self._model.hf_tokenizer, multilingual, options.task, language)
        return self._tokenizers[key]

    def _encode(self, windows: Sequence[NDArray[np.float32]]) -> ctranslate2.StorageView:
        kept, self._encoded = self._encoded, None
        if kept is not None and len(windows) == 1 and kept[0] is windows[0]:
            return kept[1]
        extractor = self._model.feature_extractor
        return self._model.encode(
            np.stack([pad_or_trim(extractor(window)[..., :-1], extractor.nb_max_frames) for window in windows])
        )

    def _generate(
        self, encoded: ctranslate2.StorageView, count: int, tokenizer: Tokenizer, options: DecodeOptions
    ) -> list[ctranslate2.models.WhisperGenerationResult]:
        previous = tokenizer.encode(" " + options.prompt.strip()) if options.prompt and options.prompt.strip() else []
        search: Mapping[str, float] = {"beam_size": options.beam_size}
        if options.temperature > 0:
            drawn = {"num_hypotheses": _DRAWN, "sampling_topk": 0, "sampling_temperature": options.temperature}
            search = {"beam_size": 1, **drawn}
        outputs: list[ctranslate2.models.WhisperGenerationResult] = self._model.model.generate(
            encoded,
            [self._model.get_prompt(tokenizer, previous)] * count,
            max_length=self._model.max_length,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            max_initial_timestamp_index=_LATEST_FIRST_TIMESTAMP,
            **search,
        )
        return outputs

    def _read(
        self,
        output: ctranslate2.models.WhisperGenerationResult,
        window: NDArray[np.float32],
        tokenizer: Tokenizer,
        options: DecodeOptions,
        encoded: ctranslate2.StorageView,
        index: int,
    ) -> WindowResult:
        tokens: list[int] = output.sequences_ids[0]
        duration_s = window.size / SAMPLE_RATE
        # The score is a mean over the tokens alone; the end of the text counts as one more.
        avg_logprob = float(output.scores[0]) * len(tokens) / (len(tokens) + 1)
        begin: int = tokenizer.timestamp_begin
        parts = split_at_timestamps(tokens, timestamp_begin=begin, duration_s=duration_s)
        words: list[tuple[Word, ...]] = [()] * len(parts)
        if options.word_timestamps and parts:
            words = self._align(parts, tokenizer, _pick(encoded, index), duration_s)
        compression_ratio = float(get_compression_ratio(tokenizer.decode(tokens).strip()))
        quality = (options.temperature, avg_logprob, compression_ratio, float(output.no_speech_prob))
        segments = tuple(
            Segment(tokenizer.decode(part.tokens), part.start_s, part.end_s, part.tokens, *quality, words=heard)
            for part, heard in zip(parts, words, strict=True)
        )
        return WindowResult(
            segments=segments,
            language=tokenizer.language_code,
            language_probability=1.0,
            avg_logprob=avg_logprob,
            compression_ratio=compression_ratio,
            no_speech_prob=float(output.no_speech_prob),
            temperature=options.temperature,
            is_complete_until_s=last_timestamp_s(tokens, timestamp_begin=begin, duration_s=duration_s),
        )

    def _align(
        self, parts: Sequence[TimedTokens], tokenizer: Tokenizer, encoded: ctranslate2.StorageView, duration_s: float
    ) -> list[tuple[Word, ...]]:
        """The words of each segment of one window."""
        found: list[_Alignable] = [
            {"seek": 0, "start": part.start_s, "end": part.end_s, "tokens": list(part.tokens), "words": []}
            for part in parts
        ]
        frames = max(int(duration_s * self._model.frames_per_second), self._model.input_stride)
        self._model.add_word_timestamps([found], tokenizer, encoded, frames, _OPENING_MARKS, _CLOSING_MARKS, 0.0)
        words, earliest_s = list[tuple[Word, ...]](), 0.0
        for segment in found:
            clamped = []
            for word in segment["words"]:
                start_s = min(max(float(word["start"]), earliest_s), duration_s)
                earliest_s = min(max(float(word["end"]), start_s), duration_s)
                clamped.append(Word(word["word"].strip(), start_s, earliest_s, float(word["probability"])))
            words.append(tuple(word for word in clamped if word.text))
        return words


def _pick(encoded: ctranslate2.StorageView, index: int) -> ctranslate2.StorageView:
    """One window of a batch: the alignment of a window must not depend on its neighbours."""
    if encoded.shape[0] == 1:
        return encoded
    on_cpu = encoded if encoded.device == "cpu" else encoded.to_device(ctranslate2.Device.cpu)
    rows = np.array(on_cpu.to(ctranslate2.DataType.float32))
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(rows[index : index + 1]))
