"""A clip of speech and what is said in it; their sound, file by file; which are trained on and which are kept back."""

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np

from voice_stack.utils.audio.decode import decode_blocks
from voice_stack.utils.audio.pcm import Samples
from voice_stack.utils.audio.vad import SAMPLE_RATE

MIN_CLIP_S, MAX_CLIP_S = 1.0, 30.0
"""A Whisper model hears 30 s at a time; a clip has to fit into them with all that is said in it."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of a file of sound, and what is said in it.

    Attributes:
        path: File of sound or a film.
        start_s: Where it begins in the file.
        end_s: Where it ends; None: at the end of the file, whose length nobody has looked up.
        text: What is said, in one line.
        speaker: Who says it; empty where that is not known.
    """

    path: Path
    start_s: float
    end_s: float | None
    text: str
    speaker: str = ""

    @property
    def place(self) -> str:
        """Where it is, for people."""
        span = "" if self.end_s is None else f" {self.start_s:.2f}-{self.end_s:.2f} s"
        return f"{self.path.name}{span}"


def clean_text(text: str) -> str:
    """A text in one line, with each letter in one character where Unicode has it."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def read_sounds(clips: Iterable[Clip], sample_rate: int = SAMPLE_RATE) -> Iterator[tuple[Clip, Samples]]:
    """The sound of clips: each file is decoded once, and no more of it is held than the clips that are open in it.

    Args:
        clips: In any order.
        sample_rate: Of the samples, in Hz.

    Yields:
        Each clip with its samples, mono float32 of shape (samples,); file by file, in each by their ends.
        Where a clip reaches beyond the end of its file there are fewer samples, and none where it begins behind it. Of
        a clip longer than 30 s there are a few more samples than that, not all.

    Raises:
        InvalidAudioError: A file holds no sound that can be decoded.
        OSError: A file is not there or cannot be read.
    """
    by_file = sorted(clips, key=lambda clip: (clip.path, clip.start_s))
    for path, of_file in groupby(by_file, key=lambda clip: clip.path):
        yield from _read_file(path, list(of_file), sample_rate)


def _read_file(path: Path, clips: Sequence[Clip], sample_rate: int) -> Iterator[tuple[Clip, Samples]]:
    waiting = sorted(((_span(clip, sample_rate), clip) for clip in clips), key=lambda one: one[0][::-1])
    kept, begin = np.zeros(0, np.float32), 0
    # A film may be hours long: decoding ends with the last clip.
    with closing(decode_blocks(path, sample_rate=sample_rate, block_s=MAX_CLIP_S)) as blocks:
        for block in blocks:
            kept = np.concatenate([kept, block])
            while waiting and waiting[0][0][1] <= begin + kept.size:
                span, clip = waiting.pop(0)
                yield clip, kept[span[0] - begin : span[1] - begin].copy()
            if not waiting:
                return
            drop = min(max(min(span[0] for span, _ in waiting) - begin, 0), kept.size)
            kept, begin = kept[drop:], begin + drop
    for span, clip in waiting:
        yield clip, kept[span[0] - begin : span[1] - begin].copy()


def _span(clip: Clip, sample_rate: int) -> tuple[int, int]:
    """First sample and the one behind the last; half a second more than fits tells that a clip is too long."""
    longest_s = clip.start_s + MAX_CLIP_S + 0.5
    end_s = longest_s if clip.end_s is None else min(clip.end_s, longest_s)
    return round(clip.start_s * sample_rate), round(end_s * sample_rate)


HELD_OUT_SHARE = 0.1
FEWEST_GROUPS = 5
"""With fewer speakers or files one of them would be too large a part to keep back."""


@dataclass(frozen=True, slots=True)
class Split:
    """What is trained on and what is kept back to measure with.

    Attributes:
        train: Most of the clips, in their order.
        held_out: A tenth of them or so.
        by: What is never on both sides.
    """

    train: tuple[Clip, ...]
    held_out: tuple[Clip, ...]
    by: Literal["speaker", "file", "clip"]


def split_clips(clips: Sequence[Clip]) -> Split:
    """Keep a tenth of the clips back: the same ones wherever the folder lies and whatever is added to it.

    By speaker where all are known, else by file: all of one is on one side. One clip alone is trained on; of two or
    more one at least is kept back.
    """
    by: Literal["speaker", "file", "clip"] = "clip"
    if all(clip.speaker for clip in clips) and len({clip.speaker for clip in clips}) >= FEWEST_GROUPS:
        by = "speaker"
    elif len({clip.path.name for clip in clips}) >= FEWEST_GROUPS:
        by = "file"
    groups = defaultdict[str, list[Clip]](list)
    for clip in clips:
        groups[_KEYS[by](clip)].append(clip)
    ranked = sorted(groups, key=_rank)
    held_out = {key for key in ranked if _rank(key) < HELD_OUT_SHARE} & set(ranked[:-1]) or set(ranked[:-1][:1])
    chosen = [(clip, _KEYS[by](clip) in held_out) for clip in clips]
    return Split(tuple(c for c, is_out in chosen if not is_out), tuple(c for c, is_out in chosen if is_out), by)


_KEYS: dict[str, Callable[[Clip], str]] = {
    "speaker": lambda clip: clip.speaker,
    "file": lambda clip: clip.path.name,
    "clip": lambda clip: f"{clip.path.name} {clip.start_s:.3f} {clip.text}",
}


def _rank(key: str) -> float:
    """A number in [0, 1) that is the same in every run and on every machine."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) / (1 << 48)
