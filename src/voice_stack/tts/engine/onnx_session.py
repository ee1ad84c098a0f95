"""ONNX Runtime sessions of the TTS engines: devices, and a look at tensors inside a graph."""

from pathlib import Path

import onnxruntime

from voice_stack.core.cpus import available_cpus
from voice_stack.core.errors import ModelLoadError
from voice_stack.utils.onnx_errors import ONNX_ERRORS

_GRAPH_FIELD = 7  # of ModelProto
_OUTPUT_FIELD = 12  # of GraphProto
_NAME_FIELD = 1  # of ValueInfoProto
_NODE_OUTPUT_FIELD = 2  # of NodeProto


def open_session(
    model: Path, *, device: str, threads: int, inner_outputs: tuple[str, ...] = ()
) -> onnxruntime.InferenceSession:
    """Load a model.

    Args:
        model: The .onnx file.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        threads: CPU threads, 0 for as many as the process may use.
        inner_outputs: Tensors inside the graph that shall be outputs too, after its own; those it has not are left out.

    Raises:
        ModelLoadError: The file is damaged, or the device is not there.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_cpus()
    options.inter_op_num_threads = 1
    providers = _choose_providers(device)
    try:
        if not inner_outputs:
            return onnxruntime.InferenceSession(str(model), options, providers=providers)
        data = model.read_bytes()
        there = [name.encode() for name in inner_outputs if _encode_field(_NODE_OUTPUT_FIELD, name.encode()) in data]
        return onnxruntime.InferenceSession(data + b"".join(map(_declare_output, there)), options, providers=providers)
    except (*ONNX_ERRORS, OSError, RuntimeError, ValueError) as error:
        raise ModelLoadError(f"{model.name} does not load: {type(error).__name__}: {error}") from error


def _declare_output(tensor: bytes) -> bytes:
    """A message with nothing but one more output of the graph.

    Protobuf messages that follow one another are read as one, and their lists are joined: appended to a model's bytes
    it adds the output (https://protobuf.dev/programming-guides/encoding/#last-one-wins). The runtime finds its type.
    """
    return _encode_field(_GRAPH_FIELD, _encode_field(_OUTPUT_FIELD, _encode_field(_NAME_FIELD, tensor)))


def _encode_field(number: int, payload: bytes) -> bytes:
    if len(payload) > 0x7F:
        raise ValueError(f"{len(payload)} bytes: one byte says the length, so 127 are the most")
    return bytes((number << 3 | 2, len(payload))) + payload


def _choose_providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    """ONNX Runtime's execution providers for a device."""
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device.startswith("cuda") and not has_cuda:
        raise ModelLoadError(f"device {device!r}: this ONNX Runtime has no CUDA; pip install onnxruntime-gpu")
    if device == "cpu" or not has_cuda:
        return ["CPUExecutionProvider"]
    index = device.partition(":")[2] or "0"
    return [("CUDAExecutionProvider", {"device_id": index}), "CPUExecutionProvider"]
