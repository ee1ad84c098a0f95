"""Whisper on CTranslate2, by faster-whisper's lower level: windows in batches, one temperature for each call.

The search itself gives one score for a whole text. So the finished text is read once more, in a single pass of the
decoder over all its tokens (CTranslate2's `align`), which gives the probability of each given those before it. In that
pass the model writes no timestamps; the probabilities are among text tokens.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, chain, islice, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_compression_ratio, get_suppressed_tokens
from numpy.typing import NDArray

from voice_stack.asr.engine.base import (
    FULL_FRAMES,
    SAMPLE_RATE,
    AsrEngine,
    TimeSpan,
    WindowResult,
    check_windows,
    decode_language,
    last_timestamp_s,
    narrow_frames,
    split_at_timestamps,
)
from voice_stack.asr.engine.compute_plan import (
    Encodings,
    has_run_on,
    load_model,
    measure_model,
    pick_frames,
    pick_rows,
    plan_compute,
)
from voice_stack.asr.engine.words import (
    CLOSING_MARKS,
    OPENING_MARKS,
    alignable_segments,
    read_words,
    settle_words,
    token_bytes,
)
from voice_stack.asr.models import CAPABILITIES, ENGINE
from voice_stack.asr.request import DecodeOptions, EngineOptions
from voice_stack.asr.transcript import Segment, TokenLogprob, Word
from voice_stack.core.errors import ModelLoadError
from voice_stack.core.logging import log_event
from voice_stack.utils.audio.word_alignment import writes_spaces

ResultT = TypeVar("ResultT")


def previous_tokens(encode: Callable[[str], list[int]], options: DecodeOptions, room: int) -> list[int]:
    """The tokens that stand for the text before the window, at most `room`: hotwords first, then the prompt.

    Both share one place, half of the model's text. Hotwords keep their beginning, at most half of the room where a
    prompt needs the other; the prompt keeps its end, which is nearest to what is heard.
    """
    texts = ((text or "").strip() for text in (options.hotwords, options.prompt))
    hotwords, prompt = (encode(f" {text}") if text else [] for text in texts)
    hotwords = hotwords[: max(room // 2, room - len(prompt))]
    left = room - len(hotwords)
    return hotwords + prompt[max(0, len(prompt) - left) :]


_LEAST_PROBABILITY = 1e-10  # its logarithm is a number that JSON has


def score_tokens(
    model: WhisperModel, tokenizer: Tokenizer, result: WindowResult, encoded: ctranslate2.StorageView
) -> WindowResult:
    """The result of a window with `Segment.logprobs` filled in; `encoded` is the encoder's output for it alone."""
    spoken = [[token for token in segment.tokens if token < tokenizer.eot] for segment in result.segments]
    tokens = [token for part in spoken for token in part]
    if not tokens:
        return result
    aligned = model.model.align(encoded, tokenizer.sot_sequence, [tokens], encoded.shape[1] * model.input_stride)
    scores = zip(tokens, aligned[0].text_token_probs, strict=False)  # one more may follow, for the end of the text
    scored = (
        TokenLogprob(
            token_bytes(model.hf_tokenizer.id_to_token(token)), math.log(max(float(probability), _LEAST_PROBABILITY))
        )
        for token, probability in scores
    )
    segments = zip(result.segments, spoken, strict=True)
    return replace(
        result,
        segments=tuple(replace(segment, logprobs=tuple(islice(scored, len(part)))) for segment, part in segments),
    )


def align_words(
    model: WhisperModel,
    tokenizer: Tokenizer,
    windows: Sequence[Sequence[Segment]],
    encoded: ctranslate2.StorageView,
    sounds: Sequence[NDArray[np.float32]],
) -> list[tuple[Segment, ...]]:
    """Give the segments of each window their words, by the encoder's output for these windows."""
    texts = [
        [token for segment in segments for token in segment.tokens if token < tokenizer.eot] for segments in windows
    ]
    alignments = model.find_alignment(tokenizer, texts, encoded, _count_frames(model, sounds))
    return [
        _add_words(model, alignment, tokenizer, segments, sound)
        for segments, alignment, sound in zip(windows, alignments, sounds, strict=True)
    ]


def _count_frames(model: WhisperModel, sounds: Sequence[NDArray[np.float32]]) -> list[int]:
    return [max(int(sound.size / SAMPLE_RATE * model.frames_per_second), model.input_stride) for sound in sounds]


def _add_words(
    model: WhisperModel,
    alignment: list[dict[str, object]],
    tokenizer: Tokenizer,
    segments: Sequence[Segment],
    sound: NDArray[np.float32],
) -> tuple[Segment, ...]:
    found = alignable_segments(segments)
    if found:
        # In the place of the model, which the library's method asks for what has been computed for the whole batch.
        made = SimpleNamespace(frames_per_second=model.frames_per_second, find_alignment=lambda *_: [alignment])
        WhisperModel.add_word_timestamps(made, [found], tokenizer, None, 0, OPENING_MARKS, CLOSING_MARKS, 0.0)
    words = read_words(found, sound)
    return tuple(replace(segment, words=said) for segment, said in zip(segments, words, strict=True))


def time_words(
    model: WhisperModel,
    tokenizer: Tokenizer,
    texts: Sequence[Sequence[str]],
    encoded: ctranslate2.StorageView,
    sounds: Sequence[NDArray[np.float32]],
) -> list[tuple[Word, ...]]:
    """When the words of given texts are said, those of one text for each window."""
    parts = [[tokenizer.encode(f" {word}" if writes_spaces(word) else word) for word in words] for words in texts]
    # What is longer than the decoder's memory was not said in one window.
    room = model.max_length - len(tokenizer.sot_sequence) - 2
    tokens = [list(chain.from_iterable(part)) for part in parts]
    tokens = [part if len(part) <= room else [] for part in tokens]
    aligned = model.model.align(encoded, tokenizer.sot_sequence, tokens, _count_frames(model, sounds))
    results = []
    for words, part, known, result, sound in zip(texts, parts, tokens, aligned, sounds, strict=True):
        starts = dict(reversed(result.alignments))  # token -> its first frame
        edges = [0, *accumulate(len(token_ids) for token_ids in part)]
        last_frame = result.alignments[-1][1] if result.alignments else 0
        times_s = [starts.get(edge, last_frame) / model.tokens_per_second for edge in edges]
        odds = result.text_token_probs if known else [0.0] * edges[-1]
        results.append(
            settle_words(
                [
                    Word(word, times_s[n], times_s[n + 1], math.fsum(odds[first:end]) / max(1, end - first))
                    for n, (word, (first, end)) in enumerate(zip(words, pairwise(edges), strict=True))
                ],
                sound,
            )
        )
    return results


def _read_languages(found: Sequence[tuple[str, float]]) -> dict[str, float]:
    return {token[2:-2]: float(probability) for token, probability in found}


_LATEST_FIRST_TIMESTAMP = 50  # in timestamps: text begins within the first second of the window
_DRAWN = 5  # texts above temperature 0, the most probable is kept
_FILES = ("config.json", "model.bin", "tokenizer.json")  # the library looks for a missing tokenizer on the hub

logger = logging.getLogger(__name__)


class FasterWhisperEngine(AsrEngine):
    """Any Whisper model in CTranslate2's format; see `AsrEngine`."""

    def __init__(self, model_dir: Path, options: EngineOptions) -> None:
        super().__init__(model_dir, options)
        # What the libraries raise on unusable files; the tokenizer's own error has no class, so its file is read first.
        try:
            if missing := [name for name in _FILES if not (model_dir / name).is_file()]:
                raise FileNotFoundError(f"it lacks {', '.join(missing)}")
            json.loads((model_dir / "tokenizer.json").read_bytes())
            self._load()
        except (RuntimeError, ValueError, TypeError, OSError) as error:
            raise ModelLoadError(f"The model in {model_dir} does not load: {error}.") from error
        self._tokenizers: dict[tuple[str, str], Tokenizer] = {}
        self._encodings = Encodings()

    def _load(self) -> None:
        plan = self._plan = plan_compute(self.options, (self.model_dir / "model.bin").stat().st_size, self.model_dir)
        self._model = self._searcher = load_model(self.model_dir, plan)
        if plan.search_threads:
            self._searcher = load_model(self.model_dir, replace(plan, threads=plan.search_threads))
        self._cpus, self._encodes_one_by_one = plan.cpus, plan.device == "cpu"
        self.lanes, self.has_express_lane, self.solo_threads = plan.lanes, plan.has_express_lane, plan.solo_threads
        self.max_batch, self.short_batch_s = plan.max_batch, plan.short_batch_s
        multilingual: bool = self._model.model.is_multilingual
        known = self._model.hf_tokenizer.token_to_id
        codes = tuple(code for code in self._model.supported_languages if known(f"<|{code}|>") is not None)
        self.capabilities = CAPABILITIES[ENGINE].limited_to(codes if multilingual else ("en",))

    @property
    def is_untuned(self) -> bool:
        """See `AsrEngine.is_untuned`."""
        return self._plan.tuning_file is not None and self._plan.tuning_file.read() is None

    def tune(self, is_undisturbed: Callable[[], bool]) -> bool:
        """See `AsrEngine.tune`."""
        if self._plan.tuning_file is None:
            return False
        tuning = measure_model(self.model_dir, self._plan)
        if not is_undisturbed():
            return False
        self._plan.tuning_file.write(tuning)
        return True

    def open_for_crowd(self) -> AsrEngine:
        """See `AsrEngine.open_for_crowd`."""
        if not self.solo_threads:
            return self
        tuning_dir = self._plan.tuning_file and self.options.tuning_dir
        options = replace(self.options, threads=self._cpus, is_for_crowd=True, tuning_dir=tuning_dir)
        return FasterWhisperEngine(self.model_dir, options)

    def detect_language(self, window: NDArray[np.float32]) -> dict[str, float]:
        """See `AsrEngine.detect_language`; decoding the same array right afterwards does not encode it again."""
        check_windows(window)
        if not self.capabilities.language_detection:
            return {"en": 1.0}
        frames = narrow_frames(window.size)
        with self.engine_errors(RuntimeError):
            encoded = self._encode([window], frames)
            found = self._model.model.detect_language(encoded)[0]
        self._encodings.keep([window], frames, encoded)
        return _read_languages(found)

    def detect_languages(
        self, windows: Sequence[NDArray[np.float32]], stretches: Sequence[Sequence[TimeSpan]]
    ) -> list[list[dict[str, float]]]:
        """See `AsrEngine.detect_languages`; windows of one width are encoded once."""
        check_windows(*windows)
        spans = [span for part in stretches for span in part]
        if not spans or not self.capabilities.language_detection:
            return [[] for _ in windows]
        frames = narrow_frames(max(window.size for window in windows))
        with self.engine_errors(RuntimeError):
            encoded = self._encode(windows, frames)
            found = iter(self._model.model.detect_language(pick_frames(encoded, stretches)))
        self._encodings.keep(windows, frames, encoded)
        return [[_read_languages(opinion) for opinion in islice(found, len(part))] for part in stretches]

    def decode(self, windows: Sequence[NDArray[np.float32]], options: DecodeOptions) -> list[WindowResult]:
        """See `AsrEngine.decode`."""
        check_windows(*windows)
        tokenizer = self._tokenizer(options)

        def decode(frames: int, indexes: Sequence[int]) -> list[WindowResult]:
            return self._decode_at(frames, [windows[index] for index in indexes], tokenizer, options)

        return self._run_by_width(windows, options, decode)

    def align(
        self, windows: Sequence[NDArray[np.float32]], texts: Sequence[Sequence[str]], options: DecodeOptions
    ) -> list[tuple[Word, ...]]:
        """See `AsrEngine.align`: by the cross-attention of the text, as for what was decoded."""
        tokenizer = self._tokenizer(options)

        def time(frames: int, indexes: Sequence[int]) -> list[tuple[Word, ...]]:
            sounds = [windows[index] for index in indexes]
            wanted = [texts[index] for index in indexes]
            return time_words(self._model, tokenizer, wanted, self._encode(sounds, frames), sounds)

        return self._run_by_width(windows, options, time)

    def _run_by_width(
        self,
        windows: Sequence[NDArray[np.float32]],
        options: DecodeOptions,
        run: Callable[[int, Sequence[int]], list[ResultT]],
    ) -> list[ResultT]:
        """Run windows, by their indexes, with others of as many frames: no text may depend on what shares its batch."""
        groups: dict[int, list[int]] = {}
        for index, window in enumerate(windows):
            # Above temperature 0 a window has failed already: it gets all the room there is.
            frames = FULL_FRAMES if options.temperature > 0 else narrow_frames(window.size)
            groups.setdefault(frames, []).append(index)
        results: dict[int, ResultT] = {}
        with self.engine_errors(RuntimeError):
            for frames, indexes in groups.items():
                results |= dict(zip(indexes, run(frames, indexes), strict=True))
        return [results[index] for index in range(len(windows))]

    def _decode_at(
        self, frames: int, windows: Sequence[NDArray[np.float32]], tokenizer: Tokenizer, options: DecodeOptions
    ) -> list[WindowResult]:
        """Decode windows at one width, and those that fail at the full one."""
        encoded = self._encode(windows, frames)
        results: dict[int, WindowResult] = {}
        failed = []
        for index, output in enumerate(self._generate(encoded, len(windows), tokenizer, options)):
            duration_s = windows[index].size / SAMPLE_RATE
            result = results[index] = self._read(output, duration_s, tokenizer, options)
            if frames < FULL_FRAMES and has_run_on(result, duration_s, len(output.sequences_ids[0])):
                log_event(logger, logging.DEBUG, "decoded again at full width", duration_s=duration_s, frames=frames)
                failed.append(index)
        heard = [index for index in results if index not in failed]
        if options.word_timestamps and heard:
            texts = [results[index].segments for index in heard]
            sounds = [windows[index] for index in heard]
            timed = align_words(self._model, tokenizer, texts, pick_rows(encoded, heard), sounds)
            for index, segments in zip(heard, timed, strict=True):
                results[index] = replace(results[index], segments=segments)
        for index in heard if options.token_logprobs else ():
            results[index] = score_tokens(self._model, tokenizer, results[index], pick_rows(encoded, [index]))
        for index in failed:
            (results[index],) = self._decode_at(FULL_FRAMES, [windows[index]], tokenizer, options)
        return list(results.values())

    def _tokenizer(self, options: DecodeOptions) -> Tokenizer:
        language = decode_language(options, self.capabilities)
        key = (options.task, language)
        if key not in self._tokenizers:
            multilingual = self._model.model.is_multilingual
            self._tokenizers[key] = Tokenizer(self._model.hf_tokenizer, multilingual, options.task, language)
        return self._tokenizers[key]

    def _encode(self, windows: Sequence[NDArray[np.float32]], frames: int) -> ctranslate2.StorageView:
        if (kept := self._encodings.take(windows, frames)) is not None:
            return kept
        features = [self._features(window, frames) for window in windows]
        if not self._encodes_one_by_one:
            return self._model.encode(np.stack(features))
        # On a CPU a batch of encodings takes longer than one after the other: it no longer fits the caches.
        encoded = [self._model.encode(feature) for feature in features]
        if len(encoded) == 1:
            return encoded[0]
        return ctranslate2.StorageView.from_array(np.concatenate([np.array(view) for view in encoded]))

    def _features(self, window: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        """Log-mel features of a window and the silence after it, of shape (mels, frames)."""
        extractor = self._model.feature_extractor
        padded = np.pad(window, (0, max(0, frames * extractor.hop_length - window.size)))
        features: NDArray[np.float32] = extractor(padded)[:, :frames]
        return features

    def _generate(
        self, encoded: ctranslate2.StorageView, count: int, tokenizer: Tokenizer, options: DecodeOptions
    ) -> list[ctranslate2.models.WhisperGenerationResult]:
        previous = previous_tokens(tokenizer.encode, options, self._model.max_length // 2 - 1)
        search: Mapping[str, float] = {"beam_size": options.beam_size}
        if options.temperature > 0:
            drawn = {"num_hypotheses": _DRAWN, "sampling_topk": 0, "sampling_temperature": options.temperature}
            search = {"beam_size": 1, **drawn}
        outputs: list[ctranslate2.models.WhisperGenerationResult] = self._searcher.model.generate(
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
        duration_s: float,
        tokenizer: Tokenizer,
        options: DecodeOptions,
    ) -> WindowResult:
        tokens: list[int] = output.sequences_ids[0]
        # The score is a mean over the tokens alone; the end of the text counts as one more.
        avg_logprob = float(output.scores[0]) * len(tokens) / (len(tokens) + 1)
        begin: int = tokenizer.timestamp_begin
        compression_ratio = float(get_compression_ratio(tokenizer.decode(tokens).strip()))
        quality = (options.temperature, avg_logprob, compression_ratio, float(output.no_speech_prob))
        segments = tuple(
            Segment(tokenizer.decode(part.tokens), part.start_s, part.end_s, part.tokens, *quality)
            for part in split_at_timestamps(tokens, timestamp_begin=begin, duration_s=duration_s)
        )
        return WindowResult(
            segments=segments,
            avg_logprob=avg_logprob,
            compression_ratio=compression_ratio,
            no_speech_prob=float(output.no_speech_prob),
            is_complete_until_s=last_timestamp_s(tokens, timestamp_begin=begin, duration_s=duration_s),
        )
