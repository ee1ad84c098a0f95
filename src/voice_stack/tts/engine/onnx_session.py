"""ONNX Runtime sessions of the TTS engines."""

import onnxruntime

from voice_stack.core.cpus import available_cpus
from voice_stack.core.errors import ModelLoadError


def open_session(model: bytes, *, device: str, threads: int, spins: bool = True) -> onnxruntime.InferenceSession:
    """Load a model.

    Args:
        model: The content of the .onnx file.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        threads: CPU threads, 0 for as many as the process may use.
        spins: Threads that wait for work keep their core busy: quicker for what is alone on it, a loss for others.

    Raises:
        ModelLoadError: The device is not there.
        Exception: One of `ONNX_ERRORS`: the file is damaged.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_cpus()
    options.inter_op_num_threads = 1
    # It keeps a plan of the memory for each length of input it has seen, and no two clauses are equally long.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins)))
    return onnxruntime.InferenceSession(model, options, providers=_choose_providers(device))


def _choose_providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    """ONNX Runtime's execution providers for a device."""
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device.startswith("cuda") and not has_cuda:
        raise ModelLoadError(f"device {device!r}: this ONNX Runtime has no CUDA; pip install onnxruntime-gpu")
    if device == "cpu" or not has_cuda:
        return ["CPUExecutionProvider"]
    index = device.partition(":")[2] or "0"
    return [("CUDAExecutionProvider", {"device_id": index}), "CPUExecutionProvider"]
