"""What Whisper is shown of each clip: its sound as the model takes it, and its text in tokens, with times and without.

All of it is kept on disk: a run that goes on does not make it again, and the memory does not grow with the clips.
"""

import io
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray
from tokenizers import Tokenizer

from voice_stack.asr.engine.base import FULL_FRAMES, MAX_WINDOW_S
from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine
from voice_stack.asr.request import DecodeOptions
from voice_stack.asr.transcript import Word
from voice_stack.core.system.files import write_whole
from voice_stack.finetune.clips import MAX_CLIP_S, Clip, read_sounds
from voice_stack.finetune.weights import find_token
from voice_stack.utils.audio.pcm import Samples
from voice_stack.utils.audio.vad import SAMPLE_RATE
from voice_stack.utils.audio.word_alignment import writes_spaces

_TIMESTAMP_S = 0.02
_SENTENCE_END = (".", "?", "!", "…", "。", "？", "！")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Example:
    """One clip.

    Attributes:
        sound: What the encoder makes of it, of shape (positions, width), or the log-mel features that it is given, of
            shape (mels, 3000); float16.
        plain: Tokens of the text between its prompt, which says that no times follow, and its end.
        timed: The same with the times of its sentences.
        given: How many tokens of `timed` are its prompt: language and task; of `plain` it is one more.
    """

    sound: NDArray[np.float16]
    plain: NDArray[np.int64]
    timed: NDArray[np.int64]
    given: int

    def tokens(self, *, is_timed: bool) -> tuple[NDArray[np.int64], int]:
        """The tokens, and how many of them the model is given; it is to find the others."""
        return (self.timed, self.given) if is_timed else (self.plain, self.given + 1)

    def save(self, file: Path) -> None:
        """Keep it in a file."""
        content = io.BytesIO()
        np.savez(content, sound=self.sound, plain=self.plain, timed=self.timed, given=self.given)
        write_whole(file, content.getvalue())


def load_example(file: Path) -> Example:
    """Read one that `Example.save` has kept."""
    with np.load(file) as parts:
        return Example(parts["sound"], parts["plain"], parts["timed"], int(parts["given"]))


class Spelling:
    """Texts as Whisper's tokens.

    Args:
        tokenizer: Of the model.
        language: Code of what is spoken; None: the model has but one.
    """

    def __init__(self, tokenizer: Tokenizer, language: str | None) -> None:
        self._tokenizer = tokenizer
        self._end, self._no_times = find_token(tokenizer, "<|endoftext|>"), find_token(tokenizer, "<|notimestamps|>")
        names = ("<|startoftranscript|>", *((f"<|{language}|>", "<|transcribe|>") if language else ()))
        self.prompt = [find_token(tokenizer, name) for name in names]

    def plain(self, text: str) -> list[int]:
        """A text without times."""
        return [*self.prompt, self._no_times, *self._encode(text), self._end]

    def timed(self, words: Sequence[Word]) -> list[int]:
        """A text with the times at which each sentence begins and ends."""
        tokens, sentence = [*self.prompt], list[Word]()
        for word in words:
            sentence.append(word)
            if word is words[-1] or word.text.endswith(_SENTENCE_END):
                text = " ".join(one.text for one in sentence)
                tokens += [self._time(sentence[0].start_s), *self._encode(text), self._time(word.end_s)]
                sentence = []
        return [*tokens, self._end]

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(
            f" {text}" if writes_spaces(text) else text, add_special_tokens=False
        ).ids
        return ids

    def _time(self, time_s: float) -> int:
        return self._no_times + 1 + round(time_s / _TIMESTAMP_S)


@dataclass(frozen=True, slots=True)
class Preparation:
    """What makes an example of a clip.

    Attributes:
        engine: Of the base: it encodes, and finds when the words of a text are said.
        spelling: Of the base.
        language: Code of what is spoken.
        features: Makes log-mel features of the sound, for an encoder that is trained, too; None: it is not.
        most_tokens: That the decoder takes, the prompt included.
    """

    engine: FasterWhisperEngine
    spelling: Spelling
    language: str
    features: FeatureExtractor | None
    most_tokens: int

    def prepare(self, clips: Sequence[Clip], folder: Path, tell: Callable[[int], None]) -> dict[Clip, Path]:
        """Make the examples that are not there yet.

        Args:
            clips: In the order that numbers them.
            folder: Where each is kept in a file of its own.
            tell: Is told after each clip how many are done.

        Returns:
            The file of each, without clips that a model of 30 s cannot be shown.

        Raises:
            EngineError: The model failed.
            InvalidAudioError: A file holds no sound that can be decoded.
            OSError: The disk is full, or a file cannot be read.
        """
        folder.mkdir(parents=True, exist_ok=True)
        files = {clip: folder / f"{number:06}.npz" for number, clip in enumerate(dict.fromkeys(clips))}
        missing = [clip for clip, file in files.items() if not file.exists()]
        done, sounds = len(files) - len(missing), read_sounds(missing)
        with ThreadPoolExecutor(self.engine.lanes) as pool:
            while group := list(islice(sounds, self.engine.lanes)):
                for (clip, _), example in zip(group, pool.map(self._make, *zip(*group, strict=True)), strict=True):
                    if example is None:
                        _logger.warning("%s is left out: it holds no sound, or more than fits in 30 s", clip.place)
                    else:
                        example.save(files[clip])
                done += len(group)
                tell(done)
        return {clip: file for clip, file in files.items() if file.exists()}

    def _make(self, clip: Clip, sound: Samples) -> Example | None:
        if not 0 < sound.size <= MAX_CLIP_S * SAMPLE_RATE:
            return None
        (words,) = self.engine.align([sound], [clip.text.split()], DecodeOptions(self.language))
        plain, timed = self.spelling.plain(clip.text), self.spelling.timed(words)
        if max(map(len, (plain, timed))) > self.most_tokens:
            return None
        shown = self.engine.encode(sound) if self.features is None else _full_features(self.features, sound)
        given = len(self.spelling.prompt)
        return Example(shown.astype(np.float16), np.array(plain), np.array(timed), given)


def _full_features(features: FeatureExtractor, sound: Samples) -> NDArray[np.float32]:
    """Of the sound and silence after it, 30 s, as the encoder of transformers takes them."""
    padded = np.pad(sound, (0, round(MAX_WINDOW_S * SAMPLE_RATE) - sound.size))
    return np.asarray(features(padded)[:, :FULL_FRAMES], np.float32)
