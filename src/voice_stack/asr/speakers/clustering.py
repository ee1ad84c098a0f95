"""Which of the voices in many windows are one: clusters as pyannote's community-1 makes them, and what short ones need.

VBx: https://arxiv.org/abs/2012.14952, its PLDA: https://arxiv.org/abs/2211.04768
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.linalg import eigh
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax

from voice_stack.asr.request import SpeakerChoice
from voice_stack.asr.speakers.features import Plda

_LEAST_ALONE_S = (2.0, 1.2, 0.65)
"""Voices are found by units with so much speech that nobody else speaks over; less where there are too few."""
_MANY = 60
"""With fewer units VBx takes everybody for one."""
_MOST = 2000
"""So many units spread over a long recording are enough to find its voices; time and memory grow with their square."""
_FAR = 0.5
"""Cosine distance of two voices among few units."""
_FIRST_CUT, _FA, _FB, _SHARPNESS, _ROUNDS = 0.6, 0.07 * 2.16, 0.8, 7.0, 20
"""Of pyannote's pipeline for windows every second; evidence counts by the time it stands for."""
_BESIDE, _OVER, _OVERLAP_S = 0.1, 9.0, 0.24
"""What it costs two tracks of a window to be one speaker, and where both speak at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """What one window takes for the speech of one of its speakers, as far as it sounds like one voice.

    Attributes:
        window: Number of the window.
        track: Which of its speakers.
        frames: Where they speak, bool of shape (FRAMES,).
        speech_s: How long they speak; `alone_s` is how long nobody else does.
        voice: The embedding, float32 of shape (256,).
    """

    window: int
    track: int
    frames: NDArray[np.bool_]
    speech_s: float
    alone_s: float
    voice: NDArray[np.float32]


class Whitening:
    """Turns embeddings into what VBx compares: independent directions, each with its spread between speakers."""

    def __init__(self, plda: Plda) -> None:
        self._plda = plda
        within = np.linalg.inv(plda.tr.T @ plda.tr)
        between = np.linalg.inv((plda.tr.T / plda.psi) @ plda.tr)
        spread, directions = eigh(between, within)
        self.spread: NDArray[np.float64] = spread[::-1]
        self._directions: NDArray[np.float64] = directions.T[::-1]

    def __call__(self, voices: NDArray[np.float64]) -> NDArray[np.float64]:
        """From (voices, 256) to (voices, 128)."""
        plda = self._plda
        small = unit_length(voices - plda.mean1) * np.sqrt(voices.shape[1]) @ plda.lda
        small = unit_length(small - plda.mean2) * np.sqrt(small.shape[1])
        whitened: NDArray[np.float64] = (small - plda.mu) @ self._directions.T
        return whitened


def unit_length(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Each row with length 1."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float64)


def find_voices(units: Sequence[Unit], whiten: Whitening, choice: SpeakerChoice) -> NDArray[np.float64]:
    """The voices that speak: float64 of shape (voices, 256); none without units."""
    clear = _clear_voices(units, 2 * (choice.count or choice.least or 1))
    if len(clear) < 2:
        return clear
    if len(clear) < _MANY:
        found = _means(clear, fcluster(linkage(clear, "average", "cosine"), _FAR, "distance"))
    else:
        near = fcluster(linkage(unit_length(clear), "centroid"), _FIRST_CUT, "distance")
        found = _vbx(clear, np.unique(near, return_inverse=True)[1], whiten)
    wanted = choice.count or min(max(len(found), choice.least or 1), choice.most or len(clear))
    if wanted == len(found) or wanted > len(clear):
        return found
    return _means(clear, fcluster(linkage(clear, "average", "cosine"), wanted, "maxclust"))


def _clear_voices(units: Sequence[Unit], enough: int) -> NDArray[np.float64]:
    for least_s in _LEAST_ALONE_S:
        clear = [unit.voice for unit in units if unit.alone_s >= least_s]
        if len(clear) >= max(2, enough):
            break
    found = np.array(clear or [unit.voice for unit in units], np.float64).reshape(-1, 256)
    return found[:: -(-len(found) // _MOST) or 1]


def _means(voices: NDArray[np.float64], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    return np.stack([voices[labels == label].mean(0) for label in np.unique(labels)])


def _vbx(voices: NDArray[np.float64], near: NDArray[np.integer], whiten: Whitening) -> NDArray[np.float64]:
    """Means of the clusters that are left of a first guess, after Bayesian inference."""
    features, spread = whiten(voices), whiten.spread
    belongs = softmax(np.eye(near.max() + 1)[near] * _SHARPNESS, axis=1)
    share = np.full(belongs.shape[1], 1 / belongs.shape[1])
    scaled = features * np.sqrt(spread)
    constant = -0.5 * ((features**2).sum(1, keepdims=True) + features.shape[1] * np.log(2 * np.pi))
    last = -np.inf
    for _ in range(_ROUNDS):
        inverse = 1 / (1 + _FA / _FB * belongs.sum(0)[:, None] * spread)
        alpha = _FA / _FB * inverse * (belongs.T @ scaled)
        fit = _FA * (scaled @ alpha.T - 0.5 * (inverse + alpha**2) @ spread + constant) + np.log(share + 1e-8)
        total = logsumexp(fit, axis=1)
        belongs = np.exp(fit - total[:, None])
        share = belongs.sum(0) / belongs.sum()
        evidence = total.sum() + _FB * 0.5 * np.sum(np.log(inverse) - inverse - alpha**2 + 1)
        if evidence - last < 1e-4:
            break
        last = evidence
    kept = belongs[:, share > 1e-7]
    centres: NDArray[np.float64] = kept.T @ voices / kept.sum(0)[:, None]
    return centres


def assign(units: Sequence[Unit], voices: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which voice each unit is, and two tracks of one window hardly ever the same; units are ordered by window."""
    if not units:
        return np.zeros(0, np.intp)
    alike = 1 - cdist(np.stack([unit.voice for unit in units]), voices, "cosine")
    labels = np.zeros(len(units), np.intp)
    for _, group in groupby(range(len(units)), key=lambda place: units[place].window):
        seen = list[int]()
        for place in sorted(group, key=lambda place: -units[place].speech_s):
            for other in seen:
                if units[other].track != units[place].track and len(voices) > 1:
                    alike[place, labels[other]] -= _cost(units[place], units[other])
            labels[place] = alike[place].argmax()
            seen.append(place)
    return labels


def _cost(one: Unit, other: Unit) -> float:
    both_s = float((one.frames & other.frames).mean()) * 10
    return _OVER if both_s >= _OVERLAP_S else _BESIDE


def match_voices(voices: NDArray[np.float64], before: NDArray[np.float64]) -> NDArray[np.intp]:
    """An order in which voices that were there before keep their places as far as they can."""
    if not len(voices) or not len(before):
        return np.arange(len(voices))
    rows, places = linear_sum_assignment(cdist(voices, before, "cosine"))
    new = [row for row in range(len(voices)) if row not in set(rows)]
    return np.array([*(row for _, row in sorted(zip(places, rows, strict=True))), *new], np.intp)
