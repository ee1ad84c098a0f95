"""What the engines on ONNX Runtime share; imported by them alone."""

import onnxruntime
import onnxruntime.capi.onnxruntime_pybind11_state as ort

from voice_stack.core.system.device import choose_device

ONNX_ERRORS = (
    ort.EPFail, ort.EngineError, ort.Fail, ort.InvalidArgument, ort.InvalidGraph, ort.InvalidProtobuf, ort.NoModel,
    ort.NoSuchFile, ort.NotFound, ort.NotImplemented, ort.RuntimeException,
)  # fmt: skip
"""What loading or running a model raises: each derives from Exception itself, so there is no common class to catch."""

CPU_PROVIDER, CUDA_PROVIDER = "CPUExecutionProvider", "CUDAExecutionProvider"
Provider = str | tuple[str, dict[str, int]]


def choose_providers(device: str) -> list[Provider]:
    """The parts of ONNX Runtime that compute on a device, the first as far as it can.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:1`.

    Raises:
        ValueError: There is no such device, or this ONNX Runtime is one without CUDA.
    """
    has_cuda = CUDA_PROVIDER in onnxruntime.get_available_providers()
    chosen = choose_device(device, int(has_cuda))
    if chosen.kind == "cpu":
        return [CPU_PROVIDER]
    if not has_cuda:
        raise ValueError(f"device {device!r}: this ONNX Runtime has no CUDA; pip install onnxruntime-gpu")
    return [(CUDA_PROVIDER, {"device_id": chosen.index}), CPU_PROVIDER]
