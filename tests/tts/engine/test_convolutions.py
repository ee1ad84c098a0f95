"""Convolutions of integers that are made another way give the same sound."""

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, load_model_from_string, numpy_helper

from voice_stack.tts.engine import onnx_convolutions
from voice_stack.tts.engine.onnx_convolutions import unroll_convolutions

RANDOM = np.random.default_rng(7)


def make_model(width: int, dilation: int, *, stride: int = 1, has_bias: bool = True) -> bytes:
    """A convolution as ONNX Runtime's quantiser leaves it: scales found at run time, the bias in integers."""
    weights = RANDOM.integers(0, 256, (16, 12, width), np.uint8)
    constants = {
        "weights": weights, "zero": np.array(128, np.uint8), "weight_scale": np.array(0.02, np.float32),
        "bias": RANDOM.normal(size=16).astype(np.float32), "shape": np.array([1, -1, 1]),
    }  # fmt: skip
    pad = dilation * (width - 1) // 2
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["sound"], ["levels", "scale", "sound_zero"]),
        helper.make_node(
            "ConvInteger", ["levels", "weights", "sound_zero", "zero"], ["sums"],
            kernel_shape=[width], dilations=[dilation], pads=[pad, pad + 1], strides=[stride],
        ),
        helper.make_node("Mul", ["scale", "weight_scale"], ["factor"]),
        helper.make_node("Cast", ["biased" if has_bias else "sums"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "factor"], ["result"]),
    ]  # fmt: skip
    biased = [
        helper.make_node("Div", ["bias", "factor"], ["bias_levels"]),
        helper.make_node("Floor", ["bias_levels"], ["bias_floor"]),
        helper.make_node("Cast", ["bias_floor"], ["bias_integers"], to=TensorProto.INT32),
        helper.make_node("Reshape", ["bias_integers", "shape"], ["bias_column"]),
        helper.make_node("Add", ["sums", "bias_column"], ["biased"]),
    ]
    nodes[3:3] = biased if has_bias else []
    sound = helper.make_tensor_value_info("sound", TensorProto.FLOAT, [1, 12, None])
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, None)
    graph = helper.make_graph(
        nodes, "tiny", [sound], [result], [numpy_helper.from_array(value, name) for name, value in constants.items()]
    )
    versions = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model: ModelProto = helper.make_model(graph, opset_imports=versions, ir_version=9)
    content: bytes = model.SerializeToString()
    return content


def run(model: bytes, sound: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"sound": sound})
    return np.asarray(result)


def operations(model: bytes) -> list[str]:
    return [node.op_type for node in load_model_from_string(model).graph.node]


@pytest.mark.parametrize("is_signed", [True, False])
@pytest.mark.parametrize(("width", "dilation", "has_bias"), [(7, 3, True), (3, 1, False), (1, 1, True)])
def test_the_sums_are_the_same(
    monkeypatch: pytest.MonkeyPatch, width: int, dilation: int, has_bias: bool, is_signed: bool
) -> None:
    monkeypatch.setattr(onnx_convolutions, "_knows_signed_weights", lambda: is_signed)
    model = make_model(width, dilation, has_bias=has_bias)
    unrolled = unroll_convolutions(model)
    assert "ConvInteger" not in operations(unrolled)
    for length in (40, 1):
        # Louder than usual: what older processors add up in 16 bits would not fit.
        sound = RANDOM.normal(3, 5, size=(1, 12, length)).astype(np.float32)
        np.testing.assert_allclose(run(unrolled, sound), run(model, sound), rtol=1e-5, atol=1e-5)


def test_what_is_of_another_form_stays_as_it_is() -> None:
    model = make_model(3, 1, stride=2)
    assert unroll_convolutions(model) == model
