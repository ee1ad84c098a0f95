"""When a Piper voice speaks each word: from the durations that its model computes and keeps to itself.

Every Piper voice rounds the predicted length of each phoneme up to whole frames, with the one `Ceil` operation of its
graph. That tensor can be made an output without any ONNX library: two protobuf messages put one after the other are
read as one, so a few bytes at the end of the model's file declare it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from voice_stack.tts.engine.base import WordTime

# Fields of onnx.proto3: ModelProto.graph, GraphProto.node and .output, NodeProto.output and .op_type, and
# ValueInfoProto.name.
_GRAPH, _NODE, _GRAPH_OUTPUT, _NODE_OUTPUT, _OP_TYPE, _NAME = 7, 1, 12, 2, 4, 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class TimedPhoneme:
    """A phoneme, or a mark or space between phonemes, and for how many samples it lasts."""

    symbol: str
    samples: int

    @property
    def is_spoken(self) -> bool:
        """Whether it is a sound, not a mark or a space."""
        return self.symbol.isalpha()


def expose_durations(model: bytes) -> bytes:
    """Make the durations of phonemes an output of a voice's model.

    Args:
        model: The bytes of the .onnx file.

    Returns:
        The bytes of a model that gives them after the sound; the same bytes if it does already, or has none.

    Raises:
        ValueError: The file is no protobuf message.
    """
    graph = memoryview(model)
    graph = next((value for number, value in _fields(graph) if number == _GRAPH), graph[:0])
    durations, outputs = list[bytes](), list[bytes]()
    for number, value in _fields(graph):
        if number == _NODE and _find(value, _OP_TYPE) == b"Ceil":
            durations.append(_find(value, _NODE_OUTPUT))
        elif number == _GRAPH_OUTPUT:
            outputs.append(_find(value, _NAME))
    if len(durations) != 1 or durations[0] in outputs:
        return model
    return model + _field(_GRAPH, _field(_GRAPH_OUTPUT, _field(_NAME, durations[0])))


def time_words(
    words: Sequence[str], pronunciations: Sequence[Sequence[str]], phonemes: Sequence[TimedPhoneme], sample_rate: int
) -> tuple[WordTime, ...]:
    """When each word is spoken.

    Args:
        words: The words of a clause.
        pronunciations: The phonemes of each word spoken alone. In the clause words run together (`of the`) or change
            a little, so the two are matched as texts are compared.
        phonemes: The whole clause, with marks and spaces.
        sample_rate: Of the durations, in Hz.

    Returns:
        The words with their times from the beginning of the clause; none if one of them is nowhere to be found.
    """
    spoken = [[symbol for symbol in symbols if symbol.isalpha()] for symbols in pronunciations]
    clause = [index for index, phoneme in enumerate(phonemes) if phoneme.is_spoken]
    if not clause or not all(spoken):
        return ()
    borders = _match_borders(spoken, [phonemes[index].symbol for index in clause])
    if any(start >= end for start, end in pairwise(borders)):
        return ()
    ends = list(accumulate(phoneme.samples for phoneme in phonemes))
    times = []
    for word, (start, end) in zip(words, pairwise(borders), strict=True):
        first, last = clause[start], clause[end - 1]
        start_s = (ends[first] - phonemes[first].samples) / sample_rate
        times.append(WordTime(word, start_s, ends[last] / sample_rate))
    return tuple(times)


def estimate_pace(frames: NDArray[np.float64], speed: float) -> float:
    """How much faster a clause is than at speed 1.

    Rounding up to whole frames makes a Piper voice slower than it is asked to be: asked for 1.5 it has 1.33, for 4
    never more than 2. Here half a frame is taken for what rounding adds on average, at speed 1 too, and 2 % for the
    many phonemes of a single frame that cannot get shorter; it is right to within 4 % for speeds up to 1.8.

    Args:
        frames: Of each phoneme.
        speed: What the model was asked for.
    """
    natural = float(((frames - 0.5) * speed + 0.5).sum()) / 1.02
    return natural / float(frames.sum())


def _match_borders(spoken: Sequence[Sequence[str]], clause: Sequence[str]) -> list[int]:
    """Where each word begins among the phonemes of the clause, and the end of the last."""
    joined = [symbol for word in spoken for symbol in word]
    matcher = SequenceMatcher(None, joined, clause, autojunk=False)
    places = {0: 0, len(joined): len(clause)}
    for a, b, size in matcher.get_matching_blocks():
        places |= {a + offset: b + offset for offset in range(size)}
    places |= {0: 0, len(joined): len(clause)}
    known = sorted(places)
    starts = accumulate((len(word) for word in spoken), initial=0)
    return [_interpolate(start, known, places) for start in starts]


def _interpolate(position: int, known: Sequence[int], places: dict[int, int]) -> int:
    if position in places:
        return places[position]
    before = max(place for place in known if place < position)
    after = min(place for place in known if place > position)
    share = (position - before) / (after - before)
    return round(places[before] + share * (places[after] - places[before]))


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _find(message: memoryview, wanted: int) -> bytes:
    return next((bytes(value) for number, value in _fields(message) if number == wanted), b"")


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a protobuf message that hold bytes, by number."""
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        size, kind = 0, key & 7
        if kind == _VARINT:
            _, position = _read_varint(message, position)
        elif kind == _BYTES:
            size, position = _read_varint(message, position)
        else:
            size = {_FIXED64: 8, _FIXED32: 4}.get(kind, len(message) + 1)
        if position + size > len(message):
            raise ValueError("the file is damaged, or no ONNX model")
        if kind == _BYTES:
            yield key >> 3, message[position : position + size]
        position += size


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message):
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
    raise ValueError("the file is damaged, or no ONNX model")
