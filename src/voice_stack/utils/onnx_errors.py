"""The exceptions of ONNX Runtime, for the engines that run on it; imported by them alone."""

import onnxruntime.capi.onnxruntime_pybind11_state as ort

ONNX_ERRORS = (
    ort.EPFail, ort.EngineError, ort.Fail, ort.InvalidArgument, ort.InvalidGraph, ort.InvalidProtobuf, ort.NoModel,
    ort.NoSuchFile, ort.NotFound, ort.NotImplemented, ort.RuntimeException,
)  # fmt: skip
"""What loading or running a model raises: each derives from Exception itself, so there is no common class to catch."""
