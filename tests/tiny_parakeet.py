"""A Parakeet in miniature: random weights in the real layout, so that the real loading and decoding code runs.

What it writes means nothing, but it is made of the words it is given and depends on the sound alone.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

ENGLISH = ("▁the", "▁river", "▁runs", "▁slow", "ly", "▁and", "▁then", "▁it", "▁sleeps", ".", "?", ",")
GERMAN = ("▁wir", "▁gehen", "▁heute", "▁nach", "▁Hause", "▁und", "▁dort", "▁schläft", "▁der", "▁Hund", "chen", ".")
ITALIAN = ("▁noi", "▁andiamo", "▁oggi", "▁nella", "▁città", "▁perché", "▁piove", "▁molto", "▁forte", "mente", ".")
_MELS, _STRIDE, _WIDTH, _STATE, _DURATIONS = 128, 8, 16, 8, 5
_OPSET = 17


def make_parakeet(folder: Path, words: Sequence[str], *, multilingual: bool = False, suffix: str = "") -> Path:
    """Write a token-and-duration transducer in onnx-asr's layout.

    Args:
        folder: Made if need be.
        words: Its vocabulary; U+2581 begins a word.
        multilingual: Whether the vocabulary has a Cyrillic token too, as that of the multilingual models.
        suffix: `.int8` for files that are named as quantized ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ("<unk>", *words, *(("▁я",) if multilingual else ()), "<blk>")
    random = np.random.default_rng(0)
    _save(_encoder(random), folder / f"encoder-model{suffix}.onnx")
    _save(_decoder(random, vocabulary), folder / f"decoder_joint-model{suffix}.onnx")
    lines = (f"{token} {number}\n" for number, token in enumerate(vocabulary))
    (folder / "vocab.txt").write_text("".join(lines), "utf-8")
    config = {"model_type": "nemo-conformer-tdt", "features_size": _MELS, "subsampling_factor": _STRIDE}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _encoder(random: np.random.Generator) -> onnx.GraphProto:
    """One convolution that makes a vector of every eight frames, and the count of these."""
    nodes = [
        helper.make_node("Conv", ["audio_signal", "kernel"], ["outputs"], strides=[_STRIDE], pads=[0, _STRIDE - 1]),
        helper.make_node("Add", ["length", "round_up"], ["padded"]),
        helper.make_node("Div", ["padded", "stride"], ["encoded_lengths"]),
    ]
    kernel = random.normal(0, 0.3, (_WIDTH, _MELS, _STRIDE)).astype(np.float32)
    constants = {"kernel": kernel, "round_up": np.array(_STRIDE - 1), "stride": np.array(_STRIDE)}
    inputs = {"audio_signal": (TensorProto.FLOAT, ["B", _MELS, "T"]), "length": (TensorProto.INT64, ["B"])}
    outputs = {"outputs": (TensorProto.FLOAT, ["B", _WIDTH, "F"]), "encoded_lengths": (TensorProto.INT64, ["B"])}
    return _graph("encoder", nodes, inputs, outputs, constants)


def _decoder(random: np.random.Generator, vocabulary: Sequence[str]) -> onnx.GraphProto:
    """The last token moves a small state; state and sound together vote for the next token and its duration."""
    nodes = [
        helper.make_node("Squeeze", ["targets", "second"], ["token"]),
        helper.make_node("Gather", ["embedding", "token"], ["embedded"]),
        helper.make_node("Squeeze", ["input_states_1", "first"], ["state"]),
        helper.make_node("Add", ["embedded", "state"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["moved"]),
        helper.make_node("Unsqueeze", ["moved", "first"], ["output_states_1"]),
        helper.make_node("Identity", ["input_states_2"], ["output_states_2"]),
        helper.make_node("Squeeze", ["encoder_outputs", "third"], ["sound"]),
        helper.make_node("Concat", ["sound", "moved"], ["both"], axis=1),
        helper.make_node("Gemm", ["both", "joint", "bias"], ["votes"]),
        helper.make_node("Unsqueeze", ["votes", "inner"], ["outputs"]),
    ]
    count = len(vocabulary) + _DURATIONS
    bias = np.zeros(count, np.float32)
    bias[0] = -9.0  # <unk> is never written
    if "▁я" in vocabulary:
        bias[vocabulary.index("▁я")] = -9.0  # it is there to be seen in the vocabulary
    bias[len(vocabulary)] = -9.0  # a duration of 0 is rare
    constants = {
        "embedding": random.normal(0, 1, (len(vocabulary), _STATE)).astype(np.float32),
        "joint": random.normal(0, 0.25, (_WIDTH + _STATE, count)).astype(np.float32),
        "bias": bias,
        "first": np.array([0]),
        "second": np.array([1]),
        "third": np.array([2]),
        "inner": np.array([1, 2]),
    }
    states = (TensorProto.FLOAT, [1, 1, _STATE])
    inputs = {
        "encoder_outputs": (TensorProto.FLOAT, [1, _WIDTH, 1]),
        "targets": (TensorProto.INT32, [1, 1]),
        "target_length": (TensorProto.INT32, [1]),
        "input_states_1": states,
        "input_states_2": states,
    }
    outputs = {
        "outputs": (TensorProto.FLOAT, [1, 1, 1, count]),
        "output_states_1": states,
        "output_states_2": states,
    }
    return _graph("decoder_joint", nodes, inputs, outputs, constants)


def _graph(
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, list[str | int]]],
    outputs: dict[str, tuple[int, list[str | int]]],
    constants: dict[str, NDArray[np.generic]],
) -> onnx.GraphProto:
    def describe(values: dict[str, tuple[int, list[str | int]]]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(key, kind, shape) for key, (kind, shape) in values.items()]

    weights = [numpy_helper.from_array(array, key) for key, array in constants.items()]
    return helper.make_graph(nodes, name, describe(inputs), describe(outputs), weights)


def _save(graph: onnx.GraphProto, path: Path) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
