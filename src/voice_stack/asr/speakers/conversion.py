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
_IR_VERSION = 8
_FLOAT, _DTYPES = 1, {1: "<f4", 3: "<i1"}


def read_segmentation(path: Path) -> bytes:
    """The model that tells who speaks, up to the probabilities of who speaks together.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not community-1's.
    """
    return _convert(path, SEGMENTATION_INPUT, SEGMENTATION_OUTPUT, without=())


def read_trunk(path: Path) -> bytes:
    """The part of the model of voices below its pooling, for which it would have to be run anew for each voice.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not community-1's.
    """
    return _convert(path, TRUNK_INPUT, TRUNK_OUTPUT, without=(_MASK,))


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


def _convert(path: Path, given: str, wanted: str, without: Collection[str]) -> bytes:
    """The nodes that come before a tensor, and do not need an input that is left out."""
    model = _open(path)
    graph = model.Graph()
    value_type = _field(2, _field(1, _number(1, _FLOAT)))
    declared = [_field(11, _text(1, given) + value_type), _field(12, _text(1, wanted))]
    versions = (model.OpsetImport(place) for place in range(model.OpsetImportLength()))
    opsets = (_field(8, _field(1, version.Domain() or b"") + _number(2, version.Version())) for version in versions)
    return (
        _number(1, _IR_VERSION) + b"".join(opsets) + _field(7, _graph(graph, [wanted, *without]) + b"".join(declared))
    )


def _graph(graph: fbs.Graph.Graph, cut: Iterable[str] = ()) -> bytes:
    """A graph without its inputs and outputs, and without the nodes that depend on some tensors."""
    left_out, parts = set(cut), [_text(2, "part")]
    for place in range(graph.NodesLength()):
        node = graph.Nodes(place)
        inputs = [node.Inputs(number).decode() for number in range(node.InputsLength())]
        outputs = [node.Outputs(number).decode() for number in range(node.OutputsLength())]
        if left_out.isdisjoint(inputs):
            parts.append(_field(1, _node(node, inputs, outputs)))
        else:
            left_out.update(outputs)
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
