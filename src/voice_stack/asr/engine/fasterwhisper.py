"""Whisper on CTranslate2, by faster-whisper's lower level: windows in batches, one temperature for each call."""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import ctranslate2
import numpy as np
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
    load_model,
    measure_model,
    pick_frames,
    pick_rows,
    plan_compute,
    read_encoded,
)
from voice_stack.asr.engine.reading import (
    LEAST_SAID,
    MOSTLY_SAID,
    Reading,
    align_words,
    count_said,
    is_cut_off,
    score_tokens,
    time_tokens,
    time_words,
)
from voice_stack.asr.engine.words import token_bytes
from voice_stack.asr.models import CAPABILITIES, ENGINE
from voice_stack.asr.request import DecodeOptions, EngineOptions
from voice_stack.asr.transcript import Segment, Word
from voice_stack.core.errors import ModelLoadError
from voice_stack.core.logging import log_event

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


def _read_languages(found: Sequence[tuple[str, float]]) -> dict[str, float]:
    return {token[2:-2]: float(probability) for token, probability in found}


_LATEST_FIRST_TIMESTAMP = 50  # in timestamps: text begins within the first second of the window
_TIMESTAMP_S = 0.02
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
        tuning_dir = self.options.tuning_dir if self._plan.tuning_file else None
        options = replace(self.options, threads=self._cpus, is_for_crowd=True, tuning_dir=tuning_dir)
        return FasterWhisperEngine(self.model_dir, options)

    def open_beside_others(self) -> AsrEngine:
        """See `AsrEngine.open_beside_others`."""
        return FasterWhisperEngine(self.model_dir, replace(self.options, threads=1)) if self.solo_threads else self

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

    def encode(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the decoder is given of a window, at the width that `decode` takes.

        Args:
            window: As for `decode`.

        Returns:
            The encoder's output, of shape (positions, width of the model); a position is 20 ms.

        Raises:
            EngineError: The model failed, or the window is no such array.
        """
        check_windows(window)
        with self.engine_errors(RuntimeError):
            encoded: NDArray[np.float32] = read_encoded(self._encode([window], narrow_frames(window.size)))[0]
        return encoded

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
            # Above temperature 0 a window has failed already: what was computed for it serves again.
            frames = FULL_FRAMES if options.is_whole else narrow_frames(window.size, is_draft=options.is_draft)
            if options.temperature > 0 and not options.is_whole:
                frames = self._encodings.width(window) or FULL_FRAMES
            groups.setdefault(frames, []).append(index)
        results: dict[int, ResultT] = {}
        with self.engine_errors(RuntimeError):
            for frames, indexes in groups.items():
                results |= dict(zip(indexes, run(frames, indexes), strict=True))
        return [results[index] for index in range(len(windows))]

    def _decode_at(
        self, frames: int, windows: Sequence[NDArray[np.float32]], tokenizer: Tokenizer, options: DecodeOptions
    ) -> list[WindowResult]:
        """Decode windows at one width; one that fails is decoded at the full one, or marked where others wait."""
        encoded = self._encode(windows, frames)
        most = Reading.most_tokens(windows) if frames < FULL_FRAMES else self._model.max_length
        results: dict[int, WindowResult] = {}
        failed = list[int]()
        for index, output in enumerate(self._generate(encoded, len(windows), tokenizer, options, most)):
            reading = self._read(output, windows[index].size / SAMPLE_RATE, tokenizer, options)
            if frames < FULL_FRAMES and not options.is_draft and (reading.may_have_run_on or reading.says_twice):
                better = self._better(reading, pick_rows(encoded, [index]), tokenizer, options, most)
                failed += [] if better else [index]
                reading = better or reading
            if reading.is_doubtful and index not in failed and not options.is_draft:
                self._encodings.keep([windows[index]], frames, pick_rows(encoded, [index]))
            results[index] = reading.result
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
            log_event(logger, logging.DEBUG, "to be decoded at full width", frames=frames)
            if len(windows) > 1:
                results[index] = replace(results[index], has_run_on=True)
            else:
                (results[index],) = self._decode_at(FULL_FRAMES, windows, tokenizer, options)
        return list(results.values())

    def _better(
        self, first: Reading, row: ctranslate2.StorageView, tokenizer: Tokenizer, options: DecodeOptions, most: int
    ) -> Reading | None:
        """What may be given of a window whose text may have run on; None: it is to be read at full width."""
        said = self._without_excess(first, row, tokenizer, options)
        if said and said.result.is_complete_until_s >= MOSTLY_SAID * first.duration_s:
            return said
        return self._read_again(first, row, tokenizer, options, most) or said

    def _without_excess(
        self, first: Reading, row: ctranslate2.StorageView, tokenizer: Tokenizer, options: DecodeOptions
    ) -> Reading | None:
        """A reading of one window with what was said alone; None: that cannot be told from the rest, or is too little.

        What of the window is left is then after the last timestamp, and is decoded as what a text has left out.
        """
        if not (text := [token for token in first.tokens if token < tokenizer.eot]):
            return None
        starts_s, logprobs = time_tokens(self._model, tokenizer, text, row, first.duration_s)
        spelled = [token_bytes(self._model.hf_tokenizer.id_to_token(token)) for token in text]
        count = count_said(spelled, starts_s, is_excessive=first.has_run_on)
        if count == len(text):
            return None if first.may_have_run_on else first
        if starts_s[count] < LEAST_SAID * first.duration_s:
            return None
        log_event(logger, logging.DEBUG, "excess cut off", tokens=len(text) - count)
        places = [n for n, token in enumerate(first.tokens) if token < tokenizer.eot]
        end = tokenizer.timestamp_begin + round(starts_s[count] / _TIMESTAMP_S)
        kept = [min(token, end) for token in first.tokens[: places[count - 1] + 1]] + [end]
        quality = (options.temperature, math.fsum(logprobs[:count]) / count, first.result.no_speech_prob)
        return self._reading(kept, first.duration_s, tokenizer, *quality)

    def _read_again(
        self, first: Reading, row: ctranslate2.StorageView, tokenizer: Tokenizer, options: DecodeOptions, most: int
    ) -> Reading | None:
        """The better of two readings of one window at less than full width; None: neither will do."""
        if options.temperature:
            return None if first.has_run_on and not first.is_doubtful else first
        # It is the search for the best of all texts that loops; the most probable token each time mostly does not.
        greedy = replace(options, beam_size=1)
        (output,) = self._generate(row, 1, tokenizer, greedy, most)
        log_event(logger, logging.DEBUG, "decoded again", duration_s=first.duration_s)
        return first.better(self._read(output, first.duration_s, tokenizer, greedy))

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
        """Log-mel features of a window and of silence after it, of shape (mels, frames).

        After speech that was cut off, silence makes the model finish the sentence or begin it again: then zeros follow,
        as the library has them, which are no pause.
        """
        extractor = self._model.feature_extractor
        if not is_cut_off(window):
            window = np.pad(window, (0, max(0, frames * extractor.hop_length - window.size)))
        features: NDArray[np.float32] = extractor(window)[:, :-1][:, :frames]
        return np.pad(features, ((0, 0), (0, frames - features.shape[1])))

    def _generate(
        self, encoded: ctranslate2.StorageView, count: int, tokenizer: Tokenizer, options: DecodeOptions, most: int
    ) -> list[ctranslate2.models.WhisperGenerationResult]:
        previous = previous_tokens(tokenizer.encode, options, self._model.max_length // 2 - 1)
        prompt = self._model.get_prompt(tokenizer, previous)
        search: Mapping[str, float] = {"beam_size": options.beam_size}
        if options.temperature > 0:
            drawn = {"num_hypotheses": _DRAWN, "sampling_topk": 0, "sampling_temperature": options.temperature}
            search = {"beam_size": 1, **drawn}
        outputs: list[ctranslate2.models.WhisperGenerationResult] = self._searcher.model.generate(
            encoded,
            [prompt] * count,
            # The library gives the text half of it at most, and what the prompt leaves.
            max_length=min(self._model.max_length, most + max(most, len(prompt))),
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
    ) -> Reading:
        tokens: list[int] = output.sequences_ids[0]
        # The score is a mean over the tokens alone; the end of the text counts as one more.
        avg_logprob = float(output.scores[0]) * len(tokens) / (len(tokens) + 1)
        quality = (options.temperature, avg_logprob, float(output.no_speech_prob))
        return self._reading(tokens, duration_s, tokenizer, *quality)

    @staticmethod
    def _reading(
        tokens: Sequence[int],
        duration_s: float,
        tokenizer: Tokenizer,
        temperature: float,
        avg_logprob: float,
        no_speech_prob: float,
    ) -> Reading:
        begin: int = tokenizer.timestamp_begin
        compression_ratio = float(get_compression_ratio(tokenizer.decode(tokens).strip()))
        quality = (temperature, avg_logprob, compression_ratio, no_speech_prob)
        segments = tuple(
            Segment(tokenizer.decode(part.tokens), part.start_s, part.end_s, part.tokens, *quality)
            for part in split_at_timestamps(tokens, timestamp_begin=begin, duration_s=duration_s)
        )
        complete_s = last_timestamp_s(tokens, timestamp_begin=begin, duration_s=duration_s)
        return Reading(WindowResult(segments, *quality[1:], complete_s), len(tokens), duration_s)
