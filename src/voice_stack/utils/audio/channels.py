"""Several channels become one, and nothing on any of them is lost.

The mean of all channels is the mix, as FFmpeg makes it, bit for bit, but for two cases. Channels cancel each other: a
balanced line may have the same voice on both, once upside down, and their mean is silence. Then the second of the two
counts a third. Or each of two channels holds another person, as of a telephone call, and one is far below the other:
then that channel is raised.
"""

from dataclasses import dataclass

import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

_BLOCKS_PER_S = 10
_OPPOSED, _AROUND_BLOCKS = -0.5, 5
"""Correlation of two channels over a second from which their mean is 3 dB below that of two strangers: a room's two
microphones stay above -0.3 for so long."""
_INVERTED = -0.85
"""The same over 0.3 s, so that it is known at once."""
_OPPOSED_HIGH = -0.2
"""What the high frequencies must show as well: between two microphones a vowel's low ones are opposed by chance."""
_REDUCED = 1 / 3
_LOUDER = 4.0
"""Power by which the second channel must exceed the first to be the one that counts in full."""
_ENOUGH = 1e-12
_DTYPES = {"u8", "u8p", "s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl", "dblp"}


_BESIDE_DB, _MOST_DB, _DEAD_DB = 15.0, 30.0, 55.0
"""A person on a channel of their own who is further below the other is raised to there, by at most so much; what is too
far below is the noise of an empty channel."""
_REMEMBERED_BLOCKS, _LOUDEST_BLOCKS = 600, 5
_ALIVE_DB, _ACTIVE_DB = 12.0, 25.0
"""How far the loudest half second of speech lies above its quieter moments, and below that speech still goes on."""
_ALIKE, _LAGS = 0.35, 6
"""Correlation of levels in dB: of one room's two microphones, or a voice and its echo within half a second, it is
higher."""


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A frame that waits for what comes after it; `balance` and `levels_db` have the shape (blocks, channels)."""

    frame: AudioFrame
    planes: NDArray[np.generic]
    balance: NDArray[np.float64]
    levels_db: NDArray[np.float64]


class ChannelMix:
    """Makes channels fit to be mixed, in blocks of 0.1 s; one for each stream.

    Args:
        rate: Samples of a channel in a second.
    """

    def __init__(self, rate: int) -> None:
        self._block = max(rate // _BLOCKS_PER_S, 1)
        self._past: NDArray[np.float64] | None = None
        self._gain: NDArray[np.float64] | None = None
        self._held: _Held | None = None
        self._levels_db = np.zeros((0, 2))
        self._raise_db = np.zeros(2)

    def push(self, frame: AudioFrame | None) -> AudioFrame | None:
        """Take a frame, None at the end, and give the one before it, as it is or with other levels; None if none is."""
        before, self._held = self._held, self._look_at(frame) if frame else None
        if before is None or not before.planes.size:
            return before.frame if before else None
        gains = before.balance * self._raised(before.levels_db)
        first = np.ones(gains.shape[1]) if self._gain is None else self._gain
        # The slopes lie beside the blocks that need it, as far as these are known.
        edges = np.concatenate([first[None], np.minimum(gains, np.concatenate([gains[1:], gains[-1:]]))])
        self._gain = edges[-1]
        if (edges == 1).all():
            return before.frame
        knots, at = np.arange(len(edges)) * self._block, np.arange(before.planes.shape[1])
        slopes = np.stack([np.interp(at, knots, edge) for edge in edges.T])
        return _scaled(before.frame, before.planes, slopes)

    def _look_at(self, frame: AudioFrame) -> _Held:
        channels = frame.layout.nb_channels
        if frame.format.name not in _DTYPES:
            return _Held(frame, np.zeros((channels, 0)), np.zeros((0, channels)), np.zeros((0, channels)))
        found = frame.to_ndarray()
        planes = found if frame.format.is_planar else found.reshape(-1, channels).T
        centred = planes.astype(np.float32) - (128 if planes.dtype == np.uint8 else 0)
        powers = self._powers(centred)
        levels_db = 10 * np.log10(np.diagonal(powers[:, 0], axis1=1, axis2=2) + _ENOUGH)
        if channels == 2:
            self._levels_db = np.concatenate([self._levels_db, levels_db])[-_REMEMBERED_BLOCKS:]
            self._compare()
        return _Held(frame, planes, self._balance(powers), levels_db)

    def _compare(self) -> None:
        """Find out whether the two channels hold different people, and how far one is below the other."""
        levels_db = self._levels_db
        if len(levels_db) <= 2 * _LAGS:
            return
        loudest_db = np.sort(levels_db, axis=0)[-_LOUDEST_BLOCKS]
        is_alive = loudest_db - np.percentile(levels_db, 20, axis=0) > _ALIVE_DB
        below_db = loudest_db.max() - loudest_db
        if not is_alive.all() or below_db.max() > _DEAD_DB:
            return  # nobody speaks on one of them: it stays as it was
        shape_db = np.maximum(levels_db - loudest_db, -2 * _ACTIVE_DB)
        alike = max(
            _alike(shape_db[lag:, one], shape_db[: len(shape_db) - lag, 1 - one])
            for one in (0, 1)
            for lag in range(_LAGS)
        )
        self._raise_db = np.clip(below_db - _BESIDE_DB, 0, _MOST_DB) * (alike < _ALIKE)

    def _raised(self, levels_db: NDArray[np.float64]) -> NDArray[np.float64]:
        """The gain of each block and channel: none where the other person speaks, who would be disturbed."""
        if not self._raise_db.any():
            return np.ones(levels_db.shape)
        around_db = np.pad(levels_db[:, ::-1], ((1, 1), (0, 0)), constant_values=-np.inf)
        other_db = np.maximum(np.maximum(around_db[:-2], around_db[1:-1]), around_db[2:])
        gains_db = np.where(other_db < levels_db + self._raise_db, self._raise_db, 0)
        # Nobody becomes louder than the loudest was.
        return np.asarray(10 ** (np.clip(self._levels_db.max() - levels_db, 0, gains_db) / 20))

    def _powers(self, planes: NDArray[np.float32]) -> NDArray[np.float64]:
        """Products of the channels in each block, as they are and without low frequencies."""
        channels, samples = planes.shape
        blocks = -(-samples // self._block)
        padded = np.pad(planes, ((0, 0), (0, blocks * self._block - samples)))
        cut = padded.reshape(channels, blocks, self._block).transpose(1, 0, 2)
        return np.stack([_products(cut - cut.mean(axis=2, keepdims=True)), _products(np.diff(cut, axis=2))], axis=1)

    def _balance(self, powers: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each block and channel what of it counts."""
        channels = powers.shape[-1]
        past = np.zeros((_AROUND_BLOCKS, *powers.shape[1:])) if self._past is None else self._past
        known = np.concatenate([past, powers])
        self._past = known[-_AROUND_BLOCKS:]
        around, near = _sum_around(known, _AROUND_BLOCKS), _sum_around(known, 1)
        opposed = (_correlation(around[:, 0]) < _OPPOSED) & (_correlation(around[:, 1]) < _OPPOSED_HIGH)
        opposed |= (_correlation(near[:, 0]) < _INVERTED) & (_correlation(near[:, 1]) < _OPPOSED_HIGH)
        own = np.diagonal(around[:, 0], axis1=1, axis2=2)
        is_second_louder = own[:, None, :] > _LOUDER * own[:, :, None]
        pairs = np.triu(np.ones((channels, channels), bool), 1) & opposed
        reduced = (pairs & ~is_second_louder).any(axis=1) | (pairs & is_second_louder).any(axis=2)
        return np.where(reduced, _REDUCED, 1.0)[_AROUND_BLOCKS:]


def _alike(one_db: NDArray[np.float64], other_db: NDArray[np.float64]) -> float:
    """Correlation of the levels where anybody speaks."""
    is_active = np.maximum(one_db, other_db) > -_ACTIVE_DB
    if is_active.sum() < 2:
        return 1.0
    one_db, other_db = (level_db[is_active] - level_db[is_active].mean() for level_db in (one_db, other_db))
    return float(one_db @ other_db / np.sqrt((one_db @ one_db) * (other_db @ other_db) + _ENOUGH))


def _products(blocks: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.matmul(blocks, blocks.transpose(0, 2, 1)), np.float64)


def _sum_around(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """At each place the sum of the values up to `reach` places away."""
    sums = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    last = len(values)
    places = np.arange(last)
    return np.asarray(sums[np.minimum(places + reach + 1, last)] - sums[np.maximum(places - reach, 0)])


def _correlation(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twice the product over the sum of both powers: 1 for equal channels, -1 for inverted ones."""
    own = np.diagonal(powers, axis1=1, axis2=2)
    return np.asarray(2 * powers / (own[:, :, None] + own[:, None, :] + _ENOUGH))


def _scaled(frame: AudioFrame, planes: NDArray[np.generic], slopes: NDArray[np.float64]) -> AudioFrame:
    centre = 128 if planes.dtype == np.uint8 else 0
    scaled = (planes.astype(np.float64) - centre) * slopes
    if planes.dtype.kind in "iu":
        limits = np.iinfo(planes.dtype.str)
        scaled = np.clip(np.rint(scaled) + centre, limits.min, limits.max)
    packed = scaled.astype(planes.dtype)
    if not frame.format.is_planar:
        packed = packed.T.reshape(1, -1)
    made = AudioFrame.from_ndarray(np.ascontiguousarray(packed), frame.format.name, frame.layout.name)
    made.sample_rate = frame.sample_rate
    return made
