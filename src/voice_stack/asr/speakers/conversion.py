"""Community-1's models out of ONNX Runtime's own format, as ONNX: as they come, they cannot be cut or optimised.

A file in that format is a FlatBuffer, for which ONNX Runtime brings a reader; an ONNX file is a protobuf message
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3), of which a few fields are enough. Nodes are copied as is:
what depends on weights alone, as their way from 8 bits to floats, ONNX Runtime computes once, when it loads the model.
"""

import struct
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py import fbs
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import InferenceSession

SEGMENTATION_INPUT, SEGMENTATION_OUTPUT = "waveforms", "/inner/activation/LogSoftmax_output_0"
TRUNK_INPUT, TRUNK_OUTPUT = "fbank", "/resnet/layer4/layer4.2/Relu_1_output_0"
_MASK, _HEAD = "weights", "resnet.seg_1"
_LEVELS = (
    7.3,
    10.6,
    11.1,
    10.8,
    6.2,
    8.5,
    11.4,
    11.5,
    11.7,
    17.7,
    5.7,
    9.5,
    11.5,
    11.9,
    8.1,
    7.2,
    11.3,
    7.5,
    10.5,
    12.0,
    6.5,
    11.1,
    13.5,
    1.9,
    4.4,
    3.8,
    5.6,
    3.1,
    2.7,
    6.4,
    2.4,
    3.7,
    7.7,
    3.4,
    4.7,
    6.8,
    4.1,
    9.6,
    9.6,
    3.8,
    6.2,
    8.0,
    1.8,
    4.3,
    4.1,
    4.3,
    3.4,
    3.8,
    4.7,
    4.4,
    8.0,
)
"""The highest value of each activation of the trunk that is kept in 8 bits, in the order of its nodes, as found in ten
minutes of some thirty voices, real and synthetic; what is beyond is cut off."""
_NOT_REDUCED = ("onnx::Conv_439", TRUNK_OUTPUT)
"""The first layer's weights, for the filter bank has a wide range, and the last layer's output."""
_SIGNED = 128
"""Where zero lies among 256 steps of an activation that may be negative."""
_IR_VERSION = 8
_FLOAT, _DTYPES = 1, {1: "<f4", 3: "<i1"}


def read_segmentation(path: Path) -> bytes:
    """The model that tells who speaks, up to the probabilities of who speaks together.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not community-1's.
    """
    return _convert(path, SEGMENTATION_INPUT, SEGMENTATION_OUTPUT, without=())


def read_trunk(path: Path, *, is_reduced: bool) -> bytes:
    """The part of the model of voices below its pooling, for which it would have to be run anew for each voice.

    Args:
        path: The file.
        is_reduced: Its products are of 8 bits, as its weights are in the file; else of floats.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not community-1's.
    """
    return _convert(path, TRUNK_INPUT, TRUNK_OUTPUT, without=(_MASK,), is_reduced=is_reduced)


def read_head(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The layer above the pooling: weights, float32 of shape (256, 5120), and biases (256,).

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not community-1's.
    """
    graph = _open(path).Graph()
    tensors = (graph.Initializers(place) for place in range(graph.InitializersLength()))
    found = {name: _floats(tensor) for tensor in tensors if (name := tensor.Name().decode()).startswith(_HEAD)}
    names = [f"{_HEAD}.{part}" for part in ("weight_quantized", "weight_scale", "weight_zero_point", "bias")]
    if missing := set(names).difference(found):
        raise ValueError(f"{path.name} has no {min(missing)}")
    steps, scale, zero, bias = (found[name] for name in names)
    return steps * scale + zero, bias


def _open(path: Path) -> fbs.Model.Model:
    content = path.read_bytes()
    if content[4:8] != b"ORTM":
        raise ValueError(f"{path.name} is no model in ONNX Runtime's format")
    return InferenceSession.GetRootAs(bytearray(content), 0).Model()


def _convert(path: Path, given: str, wanted: str, without: Collection[str], *, is_reduced: bool = False) -> bytes:
    """The nodes that come before a tensor, and do not need an input that is left out."""
    model = _open(path)
    graph = model.Graph()
    value_type = _field(2, _field(1, _number(1, _FLOAT)))
    declared = [_field(11, _text(1, given) + value_type), _field(12, _text(1, wanted))]
    versions = (model.OpsetImport(place) for place in range(model.OpsetImportLength()))
    opsets = (_field(8, _field(1, version.Domain() or b"") + _number(2, version.Version())) for version in versions)
    nodes = _graph(graph, [wanted, *without], _Reduction(graph) if is_reduced else None)
    return _number(1, _IR_VERSION) + b"".join(opsets) + _field(7, nodes + b"".join(declared))


class _Reduction:
    """Writes a network of convolutions so that ONNX Runtime computes it with 8 bits.

    Weights and activations go into each of them as steps of 8 bits with their scale:
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html#onnx-quantization-representation-format
    """

    def __init__(self, graph: fbs.Graph.Graph) -> None:
        tensors = (graph.Initializers(place) for place in range(graph.InitializersLength()))
        self._floats = {tensor.Name().decode(): _floats(tensor) for tensor in tensors if tensor.DataType() == _FLOAT}
        self._levels = iter(_LEVELS)
        self._renamed = dict[str, str]()

    def write(self, node: fbs.Node.Node, inputs: list[str], outputs: list[str]) -> bytes:
        """The fields of the graph for one of its nodes."""
        weights, _, step = inputs[0].rpartition("_") if inputs else ("", "", "")
        name = weights.removesuffix("_cast").removesuffix("_mul")
        if name.startswith("onnx::Conv") and name not in _NOT_REDUCED:
            return self._weights(name) if step == "quantized" else b""
        written = _field(1, _node(node, [self._renamed.get(tensor, tensor) for tensor in inputs], outputs))
        is_signed = "conv2/" in outputs[0] or "shortcut" in outputs[0]
        if outputs[0] in _NOT_REDUCED or not (is_signed or node.OpType() == b"Relu"):
            return written
        return written + self._activation(outputs[0], is_signed=is_signed)

    def _weights(self, name: str) -> bytes:
        """In the file they are steps times a scale plus a number, which is a whole number of steps."""
        scale, zero = (float(self._floats[f"{name}_{part}"].item()) for part in ("scale", "zero_point"))
        inputs = [f"{name}_quantized", f"{name}/scale", f"{name}/zero"]
        zeros = np.int8(round(-zero / scale)).tobytes()
        parts = _scalar(inputs[1], 1, np.float32(scale).tobytes()) + _scalar(inputs[2], 3, zeros)
        return parts + _field(1, _operation("DequantizeLinear", inputs, f"{name}_add_tensor"))

    def _activation(self, name: str, *, is_signed: bool) -> bytes:
        scale, zero, steps, floats = (f"{name}/{part}" for part in ("scale", "zero", "steps", "floats"))
        self._renamed[name] = floats
        step = np.float32(next(self._levels) / (_SIGNED - 1 if is_signed else 255))
        parts = _scalar(scale, 1, step.tobytes()) + _scalar(zero, 2, bytes([_SIGNED if is_signed else 0]))
        nodes = (
            _operation("QuantizeLinear", [name, scale, zero], steps),
            _operation("DequantizeLinear", [steps, scale, zero], floats),
        )
        return parts + b"".join(_field(1, node) for node in nodes)


def _operation(operation: str, inputs: Iterable[str], output: str) -> bytes:
    return b"".join([*(_text(1, name) for name in inputs), _text(2, output), _text(4, operation)])


def _scalar(name: str, kind: int, value: bytes) -> bytes:
    return _field(5, _number(2, kind) + _text(8, name) + _field(9, value))


def _graph(graph: fbs.Graph.Graph, cut: Iterable[str] = (), reduction: _Reduction | None = None) -> bytes:
    """A graph without its inputs and outputs, and without the nodes that depend on some tensors."""
    left_out, parts = set(cut), [_text(2, "part")]
    for place in range(graph.NodesLength()):
        node = graph.Nodes(place)
        inputs = [node.Inputs(number).decode() for number in range(node.InputsLength())]
        outputs = [node.Outputs(number).decode() for number in range(node.OutputsLength())]
        if not left_out.isdisjoint(inputs):
            left_out.update(outputs)
        elif reduction:
            parts.append(reduction.write(node, inputs, outputs))
        else:
            parts.append(_field(1, _node(node, inputs, outputs)))
    tensors = (graph.Initializers(place) for place in range(graph.InitializersLength()))
    return b"".join([*parts, *(_field(5, _tensor(tensor)) for tensor in tensors)])


def _node(node: fbs.Node.Node, inputs: Iterable[str], outputs: Iterable[str]) -> bytes:
    attributes = (_attribute(node.Attributes(place)) for place in range(node.AttributesLength()))
    parts = [*(_text(1, name) for name in inputs), *(_text(2, name) for name in outputs), _field(4, node.OpType())]
    return b"".join([*parts, *(_field(5, attribute) for attribute in attributes), _field(7, node.Domain() or b"")])


def _attribute(attribute: fbs.Attribute.Attribute) -> bytes:
    kind, kinds = attribute.Type(), fbs.AttributeType.AttributeType
    if kind == kinds.FLOAT:
        value = _varint(2 << 3 | 5) + struct.pack("<f", attribute.F())
    elif kind == kinds.INT:
        value = _number(3, attribute.I())
    elif kind == kinds.STRING:
        value = _field(4, attribute.S())
    elif kind == kinds.TENSOR:
        value = _field(5, _tensor(attribute.T()))
    elif kind == kinds.GRAPH:
        value = _field(6, _subgraph(attribute.G()))
    elif kind == kinds.INTS:
        value = b"".join(_number(8, attribute.Ints(place)) for place in range(attribute.IntsLength()))
    elif kind == kinds.STRINGS:
        value = b"".join(_field(9, attribute.Strings(place)) for place in range(attribute.StringsLength()))
    else:
        raise ValueError(f"an attribute is of kind {kind}, which community-1 does not have")
    return _field(1, attribute.Name()) + value + _number(20, kind)


def _subgraph(graph: fbs.Graph.Graph) -> bytes:
    outputs = (graph.Outputs(place) for place in range(graph.OutputsLength()))
    return _graph(graph) + b"".join(_field(12, _field(1, name)) for name in outputs)


def _tensor(tensor: fbs.Tensor.Tensor) -> bytes:
    dims = b"".join(_number(1, tensor.Dims(place)) for place in range(tensor.DimsLength()))
    raw = tensor.RawDataAsNumpy().tobytes() if tensor.RawDataLength() else b""
    return dims + _number(2, tensor.DataType()) + _field(8, tensor.Name() or b"") + _field(9, raw)


def _floats(tensor: fbs.Tensor.Tensor) -> NDArray[np.float32]:
    shape = [tensor.Dims(place) for place in range(tensor.DimsLength())]
    values = np.frombuffer(tensor.RawDataAsNumpy().tobytes(), _DTYPES[tensor.DataType()])
    return values.reshape(shape).astype(np.float32)


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _text(number: int, value: str) -> bytes:
    return _field(number, value.encode())


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
