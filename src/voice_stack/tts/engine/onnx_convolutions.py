"""Convolutions of integers as products of matrices, which ONNX Runtime makes twice as fast on a CPU.

A model that was quantised with scales found at run time has its convolutions in four operations: `ConvInteger`, `Add`
of the bias, `Cast` and `Mul` by the scale. ConvInteger lays the sound out anew in each call and packs the weights
again. Here the rows that a filter sees are gathered beside each other and multiplied once (`MatMulIntegerToFloat`,
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md), with weights that are packed when the
model is loaded. The integers are the same.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voice_stack.core.system.cpus import cpu_features
from voice_stack.tts.engine.onnx import (
    GRAPH_OUTPUT,
    INITIALIZER,
    NODE,
    TENSOR_NAME,
    VARINT,
    Node,
    all_fields,
    encode_varint,
    field,
    fields,
    find,
    graph_field,
    read_graph,
    read_varint,
    rest_of,
)

# Fields of onnx.proto3: TensorProto.dims, .data_type, .int32_data and .raw_data; NodeProto.input, .output, .op_type,
# .attribute and .domain; AttributeProto.name, .i, .ints and .type; the numbers of TensorProto.DataType.
_DIMS, _DATA_TYPE, _INT32_DATA, _RAW_DATA = 1, 2, 5, 9
_INPUT, _OUTPUT, _OP_TYPE, _ATTRIBUTE, _DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_NAME, _INT, _INTS, _ATTRIBUTE_TYPE = 1, 3, 8, 20
_TYPES = {np.dtype(np.float32): 1, np.dtype(np.uint8): 2, np.dtype(np.int8): 3, np.dtype(np.int64): 7}
_MICROSOFT = "com.microsoft"
_MIN_CHANNELS = 8
"""Fewer are not worth it."""


def unroll_convolutions(model: bytes) -> bytes:
    """Put products of matrices in the place of all convolutions of integers over one dimension.

    Args:
        model: The bytes of the .onnx file.

    Returns:
        The bytes of the model that does so; the same bytes if there is none that can be replaced.

    Raises:
        ValueError: The file is no protobuf message.
    """
    graph, nodes, _outputs = read_graph(model)
    rest = rest_of(model)
    users = defaultdict[str, list[Node]](list)
    for node in nodes:
        for name in node.inputs:
            users[name].append(node)
    weights = {find(value, TENSOR_NAME).decode(): value for number, value in graph if number == INITIALIZER}
    found = [_match(node, users, weights) for node in nodes if node.operation == "ConvInteger"]
    replaced = {id(one.chain[-1]): one for one in found if one}
    if not replaced or _MICROSOFT.encode() not in rest:
        return model
    gone = {id(node) for one in replaced.values() for node in one.chain}
    made = list[Node]()
    for node in nodes:
        if id(node) in replaced:
            parts = [*replaced[id(node)].replacement()]
            made += [part for part in parts if isinstance(part, Node)]
            graph += [(INITIALIZER, memoryview(part)) for part in parts if isinstance(part, bytes)]
        elif id(node) not in gone:
            made.append(node)
    declared = [field(GRAPH_OUTPUT, bytes(value)) for number, value in graph if number == GRAPH_OUTPUT]
    return rest + graph_field(graph, made, declared)


@dataclass(frozen=True, slots=True)
class _Convolution:
    """A convolution: its operations, of which the last gives the result, and what it computes with.

    Attributes:
        weights: Integers of shape (channels out, channels in, width of the filter).
        zero: What stands for 0 in the weights.
        bias: Name of the integers of shape (1, channels out, 1) that are added, if there are any.
        scale: Name of the factor that makes the sum a float.
    """

    chain: tuple[Node, ...]
    weights: NDArray[np.uint8]
    zero: int
    dilation: int
    pads: tuple[int, int]
    bias: str
    scale: str

    def replacement(self) -> Iterator[Node | bytes]:
        """The operations in its place, and the tensors that they need."""
        (sound, _weights, zero, *_), result = self.chain[0].inputs, self.chain[-1].outputs[0]
        own = f"{result}/unrolled"
        width, channels_in = self.weights.shape[2], self.weights.shape[1]
        is_signed = _knows_signed_weights()
        flat = self.weights.transpose(2, 1, 0).reshape(width * channels_in, -1)
        matrix = (flat.astype(np.int16) - self.zero).astype(np.int8) if is_signed else flat
        constants = {
            "first": [0], "second": [1], "none": 0, "one": 1, "offsets": np.arange(width) * self.dilation,
            "pads": [self.pads[0], 0, self.pads[1], 0], "rows": [-1, width * channels_in], "flat": [-1],
        }  # fmt: skip
        for name, value in constants.items():
            yield _constant(f"{own}/{name}", np.asarray(value, np.int64))
        yield _constant(f"{own}/matrix", matrix)
        yield _constant(f"{own}/unit", np.array(1, np.float32))
        yield _constant(f"{own}/zero", np.array(0 if is_signed else self.zero, matrix.dtype))
        yield _node("Squeeze", [sound, f"{own}/first"], f"{own}/plane")
        yield _node("Transpose", [f"{own}/plane"], f"{own}/times", perm=[1, 0])
        rows = f"{own}/times"
        if width > 1 or any(self.pads):
            # Each time with those around it that the filter sees.
            yield _node("Pad", [rows, f"{own}/pads", zero], f"{own}/padded")
            yield _node("Shape", [f"{own}/padded"], f"{own}/shape", start=0, end=1)
            yield _node("Squeeze", [f"{own}/shape"], f"{own}/padded_length")
            yield _node("Sub", [f"{own}/padded_length", f"{own}/lost"], f"{own}/length")
            yield _constant(f"{own}/lost", np.array((width - 1) * self.dilation, np.int64))
            yield _node("Range", [f"{own}/none", f"{own}/length", f"{own}/one"], f"{own}/range")
            yield _node("Unsqueeze", [f"{own}/range", f"{own}/second"], f"{own}/starts")
            yield _node("Add", [f"{own}/starts", f"{own}/offsets"], f"{own}/indices")
            yield _node("Gather", [f"{own}/padded", f"{own}/indices"], f"{own}/seen", axis=0)
            yield _node("Reshape", [f"{own}/seen", f"{own}/rows"], f"{own}/unrolled")
            rows = f"{own}/unrolled"
        product = [rows, f"{own}/matrix", self.scale, f"{own}/unit", zero, f"{own}/zero"]
        if self.bias:
            yield _node("Reshape", [self.bias, f"{own}/flat"], f"{own}/bias_integers")
            yield _node("Cast", [f"{own}/bias_integers"], f"{own}/bias_floats", to=1)
            yield _node("Mul", [f"{own}/bias_floats", self.scale], f"{own}/bias")
            product.append(f"{own}/bias")
        yield _node("MatMulIntegerToFloat", product, f"{own}/product", _MICROSOFT)
        yield _node("Transpose", [f"{own}/product"], f"{own}/channels", perm=[1, 0])
        yield _node("Unsqueeze", [f"{own}/channels", f"{own}/first"], result)


def _match(node: Node, users: dict[str, list[Node]], weights: dict[str, memoryview]) -> _Convolution | None:
    """A convolution with what follows it, if all of it is of the form that can be replaced."""
    attributes = _read_attributes(node)
    chain, bias = [node], ""
    for operation in ("Add", "Cast", "Mul"):
        following = users[chain[-1].outputs[0]]
        if len(following) == 1 and following[0].operation == operation:
            bias = _other(following[0], chain[-1]) if operation == "Add" else bias
            chain.append(following[0])
    named = [weights.get(name) for name in (*node.inputs[1:2], *node.inputs[3:4])]
    if [one.operation for one in chain[-2:]] != ["Cast", "Mul"] or len(named) != 2 or None in named:
        return None
    values, zero = (_read_tensor(tensor) for tensor in named if tensor is not None)
    fits = values is not None and values.ndim == 3 and values.shape[0] >= _MIN_CHANNELS and zero is not None
    if values is None or zero is None or not fits or zero.size != 1:
        return None
    if attributes.get("strides", (1,)) != (1,) or attributes.get("group", (1,)) != (1,):
        return None
    if not -128 <= int(values.min()) - int(zero) <= int(values.max()) - int(zero) <= 127:
        return None
    before, after = attributes.get("pads", (0, 0))
    (dilation,) = attributes.get("dilations", (1,))
    scale = _other(chain[-1], chain[-2])
    return _Convolution((*chain,), values, int(zero), dilation, (before, after), bias, scale)


def _other(node: Node, source: Node) -> str:
    """What an operation takes besides the result of another."""
    return next(name for name in node.inputs if name not in source.outputs)


def _knows_signed_weights() -> bool:
    """Whether products of signed weights are exact: instructions older than VNNI add them up in 16 bits."""
    return "vnni" in cpu_features() or "asimddp" in cpu_features()


def _read_attributes(node: Node) -> dict[str, tuple[int, ...]]:
    """The attributes of an operation that are integers."""
    ((_number, message),) = fields(memoryview(node.field))
    attributes = dict[str, tuple[int, ...]]()
    for number, value in fields(message):
        if number == _ATTRIBUTE:
            attributes[find(value, _ATTRIBUTE_NAME).decode()] = (*_integers(value, _INT), *_integers(value, _INTS))
    return attributes


def _integers(message: memoryview, wanted: int) -> Iterator[int]:
    """A field of integers, which may be packed in one or repeated."""
    for number, kind, value, raw in all_fields(message):
        if number != wanted:
            continue
        packed, position = value, 0
        if kind == VARINT:
            packed, position = raw, read_varint(raw, 0)[1]
        while position < len(packed):
            integer, position = read_varint(packed, position)
            yield integer


def _read_tensor(message: memoryview) -> NDArray[np.uint8] | None:
    """A tensor of unsigned bytes; None if it is one of something else."""
    if [*_integers(message, _DATA_TYPE)] != [_TYPES[np.dtype(np.uint8)]]:
        return None
    shape = [*_integers(message, _DIMS)]
    content = find(message, _RAW_DATA) or bytes(_integers(message, _INT32_DATA))
    return np.frombuffer(content, np.uint8).reshape(shape)


def _constant(name: str, value: NDArray[np.generic]) -> bytes:
    shape = b"".join(encode_varint(_DIMS << 3) + encode_varint(size) for size in value.shape)
    kind = encode_varint(_DATA_TYPE << 3) + encode_varint(_TYPES[value.dtype])
    return shape + kind + field(TENSOR_NAME, name.encode()) + field(_RAW_DATA, value.tobytes())


def _node(operation: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: int | list[int]) -> Node:
    content = b"".join(field(_INPUT, name.encode()) for name in inputs) + field(_OUTPUT, output.encode())
    content += field(_OP_TYPE, operation.encode()) + field(_DOMAIN, domain.encode())
    for name, value in attributes.items():
        number, kind, values = (_INT, 2, [value]) if isinstance(value, int) else (_INTS, 7, value)
        integers = b"".join(encode_varint(number << 3) + encode_varint(one) for one in values)
        kinds = encode_varint(_ATTRIBUTE_TYPE << 3) + encode_varint(kind)
        content += field(_ATTRIBUTE, field(_ATTRIBUTE_NAME, name.encode()) + integers + kinds)
    return Node(operation, (*inputs,), (output,), field(NODE, content))
