"""Who speaks when, without torch: pyannote's community-1 on ONNX Runtime.

As in pyannote (https://arxiv.org/abs/2104.04045) a network tells the speakers of short windows apart, another one says
what each of them sounds like, and clusters of that are the speakers of the recording. Here the second network runs once
over a recording, and not for each speaker of each window: what it hears is pooled for each of them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from voice_stack.asr.request import EngineOptions, SpeakerChoice
from voice_stack.asr.speakers.base import SAMPLE_RATE, Diarized, Recording, SpeakerEngine, VoiceTurn
from voice_stack.asr.speakers.clustering import Unit, Whitening, assign, find_voices, match_voices, unit_length
from voice_stack.asr.speakers.features import (
    CELL,
    CELLS,
    CHANNELS,
    FIRST_FRAME,
    FRAME,
    FRAMES,
    ROWS,
    STEP,
    TRACKS,
    WINDOW,
    Networks,
    cells_of,
    filterbank,
)
from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.core.system.cpus import take_cpus
from voice_stack.utils.onnx import ONNX_ERRORS

_TOGETHER = 8
"""Windows that go through the first network at once."""
_LEAST_TURN_S = 0.8
"""Shorter turns say too little of a voice to split a track by them; longer ones differ below this cosine."""
_SAME_VOICE = 0.4
_ENOUGH_S = 3.0
"""The second network hears no more of a turn."""
_CONTEXT = 4
"""Frames of the second network beside those that are wanted; it sees more, and needs no more."""
_EARLY_S = 0.05
"""The first network hears a voice so long before its first sound."""
_LEAST_CELLS = 2
"""With fewer frames alone a voice is heard by what others speak over too."""
_PAUSE_S = 0.24
"""A turn goes on after a shorter pause."""
_FRAME_S, _CELL_S, _FIRST_S = FRAME / SAMPLE_RATE, CELL / SAMPLE_RATE, FIRST_FRAME / SAMPLE_RATE
_FRAMES_A_STEP, _CELLS_A_STEP = STEP // FRAME, STEP // CELL


class CommunityEngine(SpeakerEngine):
    """Community-1 out of a folder with `segmentation.ort`, `embedding.ort` and `plda-` files; see `SpeakerEngine`."""

    def __init__(self, model_dir: Path, options: EngineOptions) -> None:
        super().__init__(model_dir, options)
        threads = options.threads or take_cpus(options.replica, options.replicas)
        try:
            self._networks = Networks(model_dir, options.device, threads)
            self._whiten = Whitening(self._networks.plda)
        except (*ONNX_ERRORS, ValueError, OSError) as error:
            raise ModelLoadError(f"The model in {model_dir} does not load: {error}.") from error

    def open(self) -> Recording:
        """See `SpeakerEngine.open`."""
        return _CommunityRecording(self._networks, self._whiten)

    def voice(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `SpeakerEngine.voice`."""
        try:
            return np.asarray(unit_length(self._networks.voice(samples)[None])[0], np.float32)
        except ONNX_ERRORS as error:
            raise EngineError(f"The speaker model failed: {error}") from error


@dataclass(slots=True, eq=False)
class _Ear:
    """What is known of the window under way: its filter bank, the second network's frames, and which there are."""

    bank: NDArray[np.float32]
    cells: NDArray[np.float32]
    is_known: NDArray[np.bool_]

    def step(self) -> None:
        """Go on to the next window."""
        self.bank = self.bank[_CELLS_A_STEP * ROWS :]
        self.cells = np.concatenate([self.cells[:, _CELLS_A_STEP:], np.zeros_like(self.cells[:, :_CELLS_A_STEP])], 1)
        self.is_known = np.concatenate([self.is_known[_CELLS_A_STEP:], np.zeros(_CELLS_A_STEP, np.bool_)])

    def copy(self) -> "_Ear":
        return _Ear(self.bank, self.cells.copy(), self.is_known.copy())


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the networks made of the windows: one array of shape (FRAMES, TRACKS) each, and their units."""

    speaking: list[NDArray[np.bool_]]
    units: list[Unit]


class _CommunityRecording(Recording):
    def __init__(self, networks: Networks, whiten: Whitening) -> None:
        self._networks, self._whiten = networks, whiten
        self._rest = np.zeros(0, np.float32)  # from the start of the next window
        self._length = 0
        self._ear = _Ear(filterbank(self._rest), np.zeros((CHANNELS, CELLS), np.float32), np.zeros(CELLS, np.bool_))
        self._heard = _Heard([], [])
        self._voices = np.zeros((0, 256))

    def add(self, samples: NDArray[np.float32], *, is_last: bool = False) -> None:
        """See `Recording.add`: work is done whenever a window is complete, and with the last samples."""
        self._rest = np.concatenate([self._rest, samples])
        self._length += len(samples)
        left = max(0, 1 + (self._rest.size - WINDOW) // STEP)
        while left:
            count = min(_TOGETHER, left)
            self._hear(self._rest[: (count - 1) * STEP + WINDOW], self._heard, self._ear)
            self._rest = self._rest[count * STEP :]
            left -= count
        self._rest = self._rest.copy()  # and lets go of what was heard
        if is_last and self._has_tail:
            self._hear(self._rest, self._heard, self._ear)
            self._rest = np.zeros(0, np.float32)

    @property
    def _has_tail(self) -> bool:
        """Whether the last complete window ends before the sound does."""
        return self._rest.size > (WINDOW - STEP if self._heard.speaking else 0)

    def diarize(self, choice: SpeakerChoice) -> Diarized:
        """See `Recording.diarize`; what is no whole window yet is heard for this answer alone."""
        heard = self._heard
        if self._has_tail:
            heard = _Heard([*heard.speaking], [*heard.units])
            self._hear(self._rest, heard, self._ear.copy())
        found = find_voices(heard.units, self._whiten, choice)
        voices = found[match_voices(found, self._voices)]
        labels = assign(heard.units, voices)
        turns = sorted(self._turns(heard, labels, len(voices)), key=lambda turn: (turn.start_s, turn.end_s))
        order = list(dict.fromkeys(turn.voice for turn in turns))
        self._voices = voices[order]
        rows = {voice: row for row, voice in enumerate(order)}
        renamed = tuple(VoiceTurn(turn.start_s, turn.end_s, rows[turn.voice]) for turn in turns)
        return Diarized(renamed, unit_length(self._voices).astype(np.float32))

    def _hear(self, samples: NDArray[np.float32], heard: _Heard, ear: _Ear) -> None:
        """Send the next windows through the networks; a last one may be short."""
        starts = range(0, max(1, samples.size - WINDOW + STEP), STEP)
        windows = [samples[start : start + WINDOW] for start in starts]
        padded = np.stack([np.pad(window, (0, WINDOW - window.size)) for window in windows])
        try:
            for window, speaking in zip(windows, self._networks.segment(padded), strict=True):
                number = len(heard.speaking)
                heard.speaking.append(speaking)
                self._listen(window, ear, speaking)
                heard.units.extend(self._split(number, speaking, ear))
                ear.step()
        except ONNX_ERRORS as error:
            raise EngineError(f"The speaker model failed: {error}") from error

    def _listen(self, window: NDArray[np.float32], ear: _Ear, speaking: NDArray[np.bool_]) -> None:
        """Have the second network hear what is needed of a window and was not heard in an earlier one."""
        ear.bank = np.concatenate([ear.bank, filterbank(window[len(ear.bank) * CELL // ROWS :])])
        if not len(ear.bank):
            return
        mean = ear.bank.mean(0)
        for start, end in _runs(_needed(speaking, ear.is_known)):
            first, last = max(0, start - _CONTEXT), min(CELLS, end + _CONTEXT)
            cells = self._networks.run_trunk(ear.bank[ROWS * first : ROWS * last] - mean)[
                :, start - first : end - first
            ]
            ear.cells[:, start : start + cells.shape[1]] = cells
            ear.is_known[start : start + cells.shape[1]] = True

    def _split(self, number: int, speaking: NDArray[np.bool_], ear: _Ear) -> list[Unit]:
        """The units of a window: its tracks, each split where its turns do not sound like one voice."""
        alone = speaking.sum(1) == 1
        parts = [
            (track, part)
            for track in range(TRACKS)
            for part in self._voices_of(speaking[:, track], alone, ear)
            if (cells_of(part) & ear.is_known).any()
        ]
        if not parts:
            return []
        frames = np.stack([part for _, part in parts])
        clear = [cells_of(part & alone) & ear.is_known for part in frames]
        masks = [
            mask if mask.sum() >= _LEAST_CELLS else cells_of(part) & ear.is_known
            for mask, part in zip(clear, frames, strict=True)
        ]
        voices = self._networks.pool(ear.cells, np.stack(masks))
        alone_s = (frames & alone).sum(1) * _FRAME_S
        return [
            Unit(number, track, part, float(part.sum()) * _FRAME_S, float(seconds), voice)
            for (track, part), seconds, voice in zip(parts, alone_s, voices, strict=True)
        ]

    def _voices_of(self, track: NDArray[np.bool_], alone: NDArray[np.bool_], ear: _Ear) -> list[NDArray[np.bool_]]:
        """A track, or its parts if its turns sound like several voices."""
        turns = _joined(_runs(track))
        clear = np.array([cells_of(_span(turn) & track & alone) & ear.is_known for turn in turns])
        long = [place for place, mask in enumerate(clear) if mask.sum() * _CELL_S >= _LEAST_TURN_S]
        if len(long) < 2:
            return [track] if turns else []
        voices = self._networks.pool(ear.cells, clear[long])
        kinds = fcluster(linkage(voices, "average", "cosine"), 1 - _SAME_VOICE, "distance")
        parts = {kind: np.zeros(FRAMES, np.bool_) for kind in kinds}
        for start, end in turns:
            nearest = min(
                range(len(long)), key=lambda place: max(turns[long[place]][0] - end, start - turns[long[place]][1])
            )
            parts[kinds[nearest]] |= _span((start, end)) & track
        return list(parts.values())

    def _turns(self, heard: _Heard, labels: NDArray[np.intp], voices: int) -> list[VoiceTurn]:
        """As many voices at a time as the windows say on average, and those that most of them name."""
        length = (len(heard.speaking) - 1) * _FRAMES_A_STEP + FRAMES
        votes, speakers, windows = np.zeros((length, voices)), np.zeros(length), np.zeros(length)
        for number, speaking in enumerate(heard.speaking):
            here = slice(number * _FRAMES_A_STEP, number * _FRAMES_A_STEP + FRAMES)
            speakers[here] += speaking.sum(1)
            windows[here] += 1
        for unit, label in zip(heard.units, labels, strict=True):
            start = unit.window * _FRAMES_A_STEP
            votes[start : start + FRAMES, label] += unit.frames
        count = np.rint(speakers / np.maximum(windows, 1))
        rank = np.argsort(np.argsort(-votes, axis=1, kind="stable"), axis=1)
        is_speaking = (rank < count[:, None]) & (votes > 0)
        end_s = self._length / SAMPLE_RATE
        return [
            VoiceTurn(start_s, min(stop_s, end_s), voice)
            for voice in range(voices)
            for start, end in _runs(is_speaking[:, voice])
            if (start_s := start * _FRAME_S + _FIRST_S + _EARLY_S) < min(stop_s := end * _FRAME_S + _FIRST_S, end_s)
        ]


def _needed(speaking: NDArray[np.bool_], is_known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which frames of the second network are still wanted: some seconds of each turn, alone if possible."""
    needed, alone = np.zeros(CELLS, np.bool_), speaking.sum(1) == 1
    for track in speaking.T:
        for turn in _joined(_runs(track)):
            heard = cells_of(_span(turn) & track)
            clear = heard & cells_of(alone)
            clear = clear if clear.sum() >= _LEAST_CELLS else heard
            missing = round(_ENOUGH_S / _CELL_S) - int((clear & is_known).sum())
            needed[np.flatnonzero(clear & ~is_known)[: max(0, missing)]] = True
    return needed


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where it is true: starts and ends."""
    edges = np.flatnonzero(np.diff(np.pad(mask.astype(np.int8), 1)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _joined(runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same without short pauses."""
    joined = list[tuple[int, int]]()
    for start, end in runs:
        if joined and (start - joined[-1][1]) * _FRAME_S <= _PAUSE_S:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _span(turn: tuple[int, int]) -> NDArray[np.bool_]:
    places = np.arange(FRAMES)
    return (places >= turn[0]) & (places < turn[1])
