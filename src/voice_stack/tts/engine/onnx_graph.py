"""A look into the bytes of an ONNX model, without any ONNX library: which tensors it has, and making one an output.

Two protobuf messages put one after the other are read as one, and their lists are joined
(https://protobuf.dev/programming-guides/encoding/#last-one-wins): a few bytes at the end of a model's file declare a
further output. ONNX Runtime finds its type.
"""

from collections.abc import Callable, Iterator
from itertools import chain

# Fields of onnx.proto3: ModelProto.graph, GraphProto.node and .output, NodeProto.output and .op_type, and
# ValueInfoProto.name.
_GRAPH, _NODE, _GRAPH_OUTPUT, _NODE_OUTPUT, _OP_TYPE, _NAME = 7, 1, 12, 2, 4, 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def expose_tensor(model: bytes, is_wanted: Callable[[str, str], bool]) -> bytes:
    """Make a tensor inside a graph an output of the model.

    Args:
        model: The bytes of the .onnx file.
        is_wanted: Told an operation and the name of its first output; says whether that is the tensor.

    Returns:
        The bytes of a model that gives the tensor after its own outputs; the same bytes if it does already, or if there
        is not exactly one such tensor.

    Raises:
        ValueError: The file is no protobuf message.
    """
    # More than one graph: the parts of it, if something was appended already.
    graphs = [value for number, value in _fields(memoryview(model)) if number == _GRAPH]
    wanted, outputs = list[bytes](), list[bytes]()
    for number, value in chain.from_iterable(map(_fields, graphs)):
        if number == _NODE and is_wanted(_find(value, _OP_TYPE).decode(), _find(value, _NODE_OUTPUT).decode()):
            wanted.append(_find(value, _NODE_OUTPUT))
        elif number == _GRAPH_OUTPUT:
            outputs.append(_find(value, _NAME))
    if len(wanted) != 1 or wanted[0] in outputs:
        return model
    return model + _field(_GRAPH, _field(_GRAPH_OUTPUT, _field(_NAME, wanted[0])))


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
