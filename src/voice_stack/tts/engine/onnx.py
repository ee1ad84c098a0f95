"""ONNX Runtime sessions, and a look into the bytes of an ONNX model without any ONNX library.

Two protobuf messages put one after the other are read as one, and their lists are joined
(https://protobuf.dev/programming-guides/encoding/#last-one-wins): a few bytes at the end of a model's file declare a
further output. ONNX Runtime finds its type.

What ONNX Runtime makes of a graph before it runs it can be kept on the disk. It fits one version of it, and one kind of
processor: https://onnxruntime.ai/docs/performance/model-optimizations/graph-optimizations.html#offline-mode
"""

import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import onnxruntime

from voice_stack.core.logging import log_event
from voice_stack.core.system.cpus import available_cpus, cpu_features
from voice_stack.core.system.files import digest_file, open_regular, write_whole
from voice_stack.utils.onnx import CPU_PROVIDER, ONNX_ERRORS, choose_providers

logger = logging.getLogger(__name__)

# Fields of onnx.proto3: ModelProto.graph; GraphProto.node, .initializer, .input and .output; NodeProto.input, .output
# and .op_type; TensorProto.name; ValueInfoProto.name and .type; TypeProto.tensor_type and Tensor.elem_type.
_GRAPH, NODE, INITIALIZER, _GRAPH_INPUT, GRAPH_OUTPUT = 7, 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _OP_TYPE, TENSOR_NAME, _NAME, _TYPE, _TENSOR_TYPE = 1, 2, 4, 8, 1, 2, 1
_ELEM_TYPE_FLOAT = b"\x08\x01"
VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WITH_GRAPHS_INSIDE = {"If", "Loop", "Scan"}
"""Operations that may use tensors which they do not list among their inputs."""


@dataclass(frozen=True, slots=True)
class Node:
    """An operation of a graph, with its bytes as a field of the graph."""

    operation: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    field: bytes


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
    _graph, nodes, outputs = read_graph(model)
    wanted = [node.outputs[0] for node in nodes if node.outputs and is_wanted(node.operation, node.outputs[0])]
    if len(wanted) != 1 or wanted[0] in outputs:
        return model
    return model + field(_GRAPH, field(GRAPH_OUTPUT, field(_NAME, wanted[0].encode())))


def cut_model(model: bytes, is_cut: Callable[[str, tuple[str, ...]], bool]) -> tuple[bytes, bytes] | None:
    """Cut a model in two at a tensor of floats: one that computes it and what else it can, one that goes on from it.

    Args:
        model: The bytes of the .onnx file.
        is_cut: Told an operation and its inputs; says whether the first of these is the tensor.

    Returns:
        The model that gives the tensor and after it all outputs that do not depend on it; and the model that takes it
        under its own name, with those of the inputs that are needed still, and gives the other outputs. None if there
        is not exactly one such operation, or the graph is none that can be cut.

    Raises:
        ValueError: The file is no protobuf message.
    """
    _graph, nodes, _outputs = read_graph(model)
    tensors = [node.inputs[0] for node in nodes if is_cut(node.operation, node.inputs)]
    return cut_at(model, tensors) if len(tensors) == 1 else None


def cut_at(model: bytes, tensors: Sequence[str]) -> tuple[bytes, bytes] | None:
    """As `cut_model`, at several tensors by their names: the first part gives them in this order.

    None if the graph has not all of them, or one of them depends on another.
    """
    graph, nodes, outputs = read_graph(model)
    after = _descendants(nodes, tensors)
    back = _ancestors(nodes, after.intersection(outputs), tensors)
    made_somewhere = {name for node in nodes for name in node.outputs}
    if not outputs or outputs[0] not in after or not made_somewhere.issuperset(tensors) or after.intersection(tensors):
        return None
    if any(node.operation in _WITH_GRAPHS_INSIDE for node in back):
        return None
    front = [node for node in nodes if not after.intersection(node.outputs)]
    value_type = field(_TYPE, field(_TENSOR_TYPE, _ELEM_TYPE_FLOAT))
    declared = [field(_NAME, tensor.encode()) for tensor in tensors]
    given = [field(GRAPH_OUTPUT, name) for name in declared]
    given += _named(graph, GRAPH_OUTPUT, _NAME, set(outputs) - after)
    taken = [field(_GRAPH_INPUT, name + value_type) for name in declared]
    taken += _named(graph, GRAPH_OUTPUT, _NAME, after.intersection(outputs))
    rest = rest_of(model)
    return rest + graph_field(graph, front, given), rest + graph_field(graph, back, taken)


def read_graph(model: bytes) -> tuple[list[tuple[int, memoryview]], list[Node], list[str]]:
    """The fields of a model's graph, its operations and the names of its outputs."""
    # More than one graph: the parts of it, if something was appended already.
    parts = (fields(value) for number, value in fields(memoryview(model)) if number == _GRAPH)
    graph = [*chain.from_iterable(parts)]
    nodes = [_read_node(value) for number, value in graph if number == NODE]
    return graph, nodes, [find(value, _NAME).decode() for number, value in graph if number == GRAPH_OUTPUT]


def rest_of(model: bytes) -> bytes:
    """The fields of a model besides its graph."""
    return b"".join(raw for number, _kind, _value, raw in all_fields(memoryview(model)) if number != _GRAPH)


def graph_field(graph: list[tuple[int, memoryview]], nodes: list[Node], declared: list[bytes]) -> bytes:
    """A graph of some of the nodes, with what they need of the inputs and weights."""
    needed = {name for node in nodes for name in node.inputs}
    inputs = _named(graph, _GRAPH_INPUT, _NAME, needed)
    weights = _named(graph, INITIALIZER, TENSOR_NAME, needed)
    return field(_GRAPH, b"".join([*(node.field for node in nodes), *weights, *inputs, *declared, field(2, b"part")]))


def _named(graph: list[tuple[int, memoryview]], kind: int, name: int, wanted: Collection[str]) -> list[bytes]:
    """The fields of one kind whose names are wanted, as they are."""
    found = (value for number, value in graph if number == kind)
    return [field(kind, bytes(value)) for value in found if find(value, name).decode() in wanted]


def _read_node(value: memoryview) -> Node:
    parts = [(number, bytes(part)) for number, part in fields(value)]
    names = {
        kind: tuple(part.decode() for number, part in parts if number == kind) for kind in (_NODE_INPUT, _NODE_OUTPUT)
    }
    return Node(find(value, _OP_TYPE).decode(), names[_NODE_INPUT], names[_NODE_OUTPUT], field(NODE, bytes(value)))


def _descendants(nodes: list[Node], tensors: Collection[str]) -> set[str]:
    """All tensors that depend on some; the nodes of a model stand in the order of their work."""
    found = set(tensors)
    for node in nodes:
        if found.intersection(node.inputs):
            found.update(node.outputs)
    return found.difference(tensors)


def _ancestors(nodes: list[Node], outputs: set[str], until: Collection[str]) -> list[Node]:
    """The nodes that some outputs need once some tensors are given."""
    needed = set(outputs)
    found = list[Node]()
    for node in reversed(nodes):
        if needed.intersection(node.outputs) and not set(node.outputs).intersection(until):
            needed.update(node.inputs)
            found.append(node)
    return found[::-1]


def field(number: int, value: bytes) -> bytes:
    """A field that holds bytes."""
    return encode_varint(number << 3 | _BYTES) + encode_varint(len(value)) + value


def encode_varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def find(message: memoryview, wanted: int) -> bytes:
    """The first field of a number that holds bytes; empty if there is none."""
    return next((bytes(value) for number, value in fields(message) if number == wanted), b"")


def fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a protobuf message that hold bytes, by number."""
    return ((number, value) for number, kind, value, _raw in all_fields(message) if kind == _BYTES)


def all_fields(message: memoryview) -> Iterator[tuple[int, int, memoryview, memoryview]]:
    """Number, kind, value and bytes of every field."""
    position = 0
    while position < len(message):
        start = position
        key, position = read_varint(message, position)
        size, kind = 0, key & 7
        if kind == VARINT:
            _, position = read_varint(message, position)
        elif kind == _BYTES:
            size, position = read_varint(message, position)
        else:
            size = {_FIXED64: 8, _FIXED32: 4}.get(kind, len(message) + 1)
        if position + size > len(message):
            raise ValueError("the file is damaged, or no ONNX model")
        end = position + size
        yield key >> 3, kind, message[position:end], message[start:end]
        position = end


def read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """A number at a position, and where it ends."""
    value = shift = 0
    while position < len(message):
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
    raise ValueError("the file is damaged, or no ONNX model")


def open_session(
    model: bytes,
    *,
    device: str,
    threads: int,
    spins: bool = True,
    is_optimised: bool = False,
    result: Path | None = None,
) -> onnxruntime.InferenceSession:
    """Load a model.

    Args:
        model: The content of the .onnx file.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        threads: CPU threads, 0 for as many as the process may use.
        spins: Threads that wait for work keep their core busy: quicker for what is alone on it, a loss for others.
        is_optimised: It was made by an earlier call with `result`.
        result: Where to write the model as it is run.

    Raises:
        ValueError: The device is not there.
        Exception: One of `ONNX_ERRORS`: the file is damaged.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_cpus()
    options.inter_op_num_threads = 1
    # Of a model that was cut it names each tensor that is left over.
    options.log_severity_level = 3
    # It keeps a plan of the memory for each length of input it has seen, and no two clauses are equally long.
    options.enable_mem_pattern = False
    # Looking for tensors that could share memory takes seven eighths of the time to load a voice, and saves it 3 %.
    options.enable_mem_reuse = False
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins)))
    if is_optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if result is not None:
        options.optimized_model_filepath = str(result)
    return onnxruntime.InferenceSession(model, options, providers=choose_providers(device))


KEPT_BYTES = 1 << 30
"""Most that optimised models may take on the disk; beyond it those go that were not used for longest."""
_DIGEST_BYTES, _SIZE_BYTES = 32, 8
_CUT_VERSION = 2
"""To be raised when a model is cut in another way."""


def open_sessions(
    model: Path,
    cut: Callable[[bytes], Sequence[bytes]],
    *,
    device: str,
    threads: Sequence[int],
    spins: bool = True,
    cache_dir: Path | None = None,
) -> Iterator[list[onnxruntime.InferenceSession]]:
    """Load the parts of a model, all of them once for each number of threads; each copy when it is asked for.

    Args:
        model: The .onnx file.
        cut: Makes the parts.
        device: As for `open_session`.
        threads: As for `open_session`, one number for each copy.
        spins: As for `open_session`.
        cache_dir: Where the parts are kept as they are run, once somebody asks for what follows the first copy; a file
            there that is not what was written is not used.

    Raises:
        ValueError: The device is not there, or `cut` says that the file is no model.
        OSError: The file cannot be read.
        Exception: One of `ONNX_ERRORS`: the file is damaged.
    """
    can_keep = cache_dir is not None and choose_providers(device) == [CPU_PROVIDER]
    file = _OptimisedModel(cache_dir, model) if cache_dir is not None and can_keep else None

    def open_copy(count: int, parts: Sequence[bytes], *, is_optimised: bool) -> list[onnxruntime.InferenceSession]:
        return [
            open_session(part, device=device, threads=count, spins=spins, is_optimised=is_optimised) for part in parts
        ]

    parts: Sequence[bytes] = file.read() if file else []
    is_optimised, first = bool(parts), list[onnxruntime.InferenceSession]()
    try:
        first = open_copy(threads[0], parts, is_optimised=True)
    except (*ONNX_ERRORS, RuntimeError) as error:
        log_event(logger, logging.WARNING, "optimised model does not load", model=model.name, reason=str(error))
    if not first:
        parts, is_optimised = cut(model.read_bytes()), False
        first = open_copy(threads[0], parts, is_optimised=False)
    yield first
    if file and not is_optimised:
        file.make(parts)
    for count in threads[1:]:
        yield open_copy(count, parts, is_optimised=is_optimised)


class _OptimisedModel:
    """The file with the parts of a model as this version of ONNX Runtime runs them on this kind of processor.

    It begins with the SHA-256 of its name and all that follows: the parts, each after its length in eight bytes.
    """

    def __init__(self, folder: Path, model: Path) -> None:
        made_by = f"{_CUT_VERSION} {onnxruntime.__version__} {CPU_PROVIDER} {cpu_features()}"
        key = hashlib.sha256(f"{digest_file(model)} {made_by}".encode())
        self._path = folder / f"{key.hexdigest()}.onnx"

    def read(self) -> list[bytes]:
        """The parts; none where they were not made yet, or the file is not what was written."""
        try:
            digest, parts = self._read_file()
        except FileNotFoundError:
            return []
        except OSError as error:
            log_event(logger, logging.WARNING, "optimised model cannot be read", reason=str(error))
            return []
        if digest != self._digest(parts):
            log_event(logger, logging.WARNING, "optimised model is damaged and made anew", file=self._path.name)
            return []
        with contextlib.suppress(OSError):  # a folder that cannot be written is read all the same
            self._path.touch()
        return parts

    def _read_file(self) -> tuple[bytes, list[bytes]]:
        parts = list[bytes]()
        with open_regular(self._path) as file:
            digest, left = file.read(_DIGEST_BYTES), os.fstat(file.fileno()).st_size
            while size := file.read(_SIZE_BYTES):
                # What a damaged file says may be more than any memory.
                parts.append(file.read(min(int.from_bytes(size), left)))
        return digest, parts

    def make(self, parts: Sequence[bytes]) -> None:
        """Optimise the parts and keep them, where that can be done."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                result = Path(folder) / "optimised.onnx"
                made = list[bytes]()
                for part in parts:
                    open_session(part, device="cpu", threads=1, spins=False, result=result)
                    made.append(result.read_bytes())
            content = b"".join(len(part).to_bytes(_SIZE_BYTES) + part for part in made)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, self._digest(made) + content)
            self._make_room()
        except (*ONNX_ERRORS, OSError, RuntimeError) as error:
            log_event(logger, logging.INFO, "optimised model is not kept", reason=str(error))

    def _digest(self, parts: Sequence[bytes]) -> bytes:
        digest = hashlib.sha256(self._path.name.encode())
        for part in parts:
            digest.update(len(part).to_bytes(_SIZE_BYTES))
            digest.update(part)
        return digest.digest()

    def _make_room(self) -> None:
        left = KEPT_BYTES
        by_use = ((file.stat().st_mtime, file.stat().st_size, file) for file in self._path.parent.iterdir())
        for _used_at, size, file in sorted(by_use, reverse=True):
            left -= size
            if left < 0:
                file.unlink(missing_ok=True)
