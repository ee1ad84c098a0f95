"""A clause that is decoded a stretch at a time is the same sound as from one run."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from piper import PiperConfig, PiperVoice

from piper_speech import VOICE
from voice_stack.tts.engine.onnx import cut_model
from voice_stack.tts.engine.piper import FIRST_FRAMES, Latent, PiperModel, open_models, stretches

TEXT = "The museum opens at ten in the morning and closes at six."
CHANNELS = 4


def decode_by_stretches(model: PiperModel, latent: Latent) -> NDArray[np.float32]:
    cuts = list(stretches(latent.length))
    assert len(cuts) > 2
    return np.concatenate([model.decode(latent, start, end) for start, end in cuts])


def test_a_real_voice() -> None:
    model = next(open_models(VOICE, device="cpu", threads=[1]))
    assert model.is_cut
    config = PiperConfig.from_dict(json.loads(Path(f"{VOICE}.json").read_text("utf-8")))
    voice = PiperVoice(session=model, config=config)
    (chunk,) = voice.synthesize(TEXT, include_alignments=True)
    (latent,) = model.take()
    whole = model.decode(latent, 0, latent.length)
    assert chunk.phoneme_alignments is not None
    assert whole.size == sum(int(part.num_samples) for part in chunk.phoneme_alignments)
    assert np.abs(whole).max() > 0.1
    assert decode_by_stretches(model, latent) == pytest.approx(whole, abs=1e-5)
    assert model.take() == []


def generator(name: str, taken: str, *, steps: tuple[int, ...], kernel: int) -> onnx.ModelProto:
    """A model whose second half looks as far around as the generator of a Piper voice of the quality `high`."""
    random = np.random.default_rng(7)
    weights: list[onnx.TensorProto] = []
    nodes = [
        helper.make_node("Mul", ["x", "scale"], ["z"]),
        helper.make_node("Gather", ["voices", "sid"], ["speaker"]),
    ]

    def convolve(operation: str, source: str, key: str, size: int, **attributes: object) -> str:
        values = random.normal(0, 0.3, (CHANNELS, CHANNELS, size)).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"{key}.weight"))
        nodes.append(helper.make_node(operation, [source, f"{key}.weight"], [f"{key}.out"], **attributes))
        nodes.append(helper.make_node("Tanh", [f"{key}.out"], [f"{key}.bent"]))
        return f"{key}.bent"

    tensor = convolve("Conv", taken, name, 7, pads=[3, 3])
    nodes.append(helper.make_node("Add", [tensor, "speaker"], ["tuned"]))
    tensor = "tuned"
    for index, step in enumerate(steps):
        size = 2 * step
        pads = [(size - step) // 2] * 2
        tensor = convolve("ConvTranspose", tensor, f"up{index}", size, strides=[step], pads=pads)
        for dilation in (1, 3, 5):
            for spread in (dilation, 1):
                side = spread * (kernel - 1) // 2
                key = f"block{index}.{dilation}.{len(nodes)}"
                tensor = convolve("Conv", tensor, key, kernel, dilations=[spread], pads=[side, side])
    nodes.append(helper.make_node("ReduceMean", [tensor], ["output"], axes=[1], keepdims=1))
    weights += [
        numpy_helper.from_array(np.array([1.5], np.float32), "scale"),
        numpy_helper.from_array(random.normal(0, 1, (2, CHANNELS, 1)).astype(np.float32), "voices"),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, CHANNELS, "T"]),
        helper.make_tensor_value_info("sid", TensorProto.INT64, [1]),
    ]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, "N"])]
    graph = helper.make_graph(nodes, "voice", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def encode(model: PiperModel, speaker: int, frames: int = 600) -> Latent:
    values = np.random.default_rng(1).normal(0, 1, (1, CHANNELS, frames)).astype(np.float32)
    model.run(None, {"x": values, "sid": np.array([speaker], np.int64)})  # type: ignore[dict-item]
    (latent,) = model.take()
    return latent


@pytest.fixture(scope="module")
def high_voice(tmp_path_factory: pytest.TempPathFactory) -> PiperModel:
    model = generator("dec.conv_pre", "z", steps=(8, 8, 2, 2), kernel=11)
    path = tmp_path_factory.mktemp("high") / "high.onnx"
    path.write_bytes(model.SerializeToString())
    return next(open_models(path, device="cpu", threads=[1]))


def test_a_generator_that_looks_far(high_voice: PiperModel) -> None:
    latent = encode(high_voice, 0)
    whole = high_voice.decode(latent, 0, latent.length)
    assert whole.size == 256 * latent.length
    assert decode_by_stretches(high_voice, latent) == pytest.approx(whole, abs=1e-5)


def test_the_speaker_goes_to_both_halves(high_voice: PiperModel) -> None:
    first, second = (high_voice.decode(encode(high_voice, speaker), 0, 60) for speaker in (0, 1))
    assert np.abs(first - second).max() > 0.1


def test_a_model_without_a_generator_is_left_whole(tmp_path: Path) -> None:
    path = tmp_path / "whole.onnx"
    path.write_bytes(generator("other", "z", steps=(2,), kernel=3).SerializeToString())
    (model,) = open_models(path, device="cpu", threads=[1])
    assert not model.is_cut
    latent = encode(model, 1)
    assert model.decode(latent, 0, latent.length).size == 2 * 600


@pytest.mark.parametrize("wanted", ["Tanh", "Softmax"])
def test_a_graph_is_cut_at_one_place_or_not_at_all(wanted: str) -> None:
    model = generator("dec.conv_pre", "z", steps=(2,), kernel=3).SerializeToString()
    assert cut_model(model, lambda operation, _inputs: operation == wanted) is None


@pytest.mark.parametrize("length", [1, FIRST_FRAMES, FIRST_FRAMES + 20, 100, 1000])
def test_stretches_cover_a_sentence(length: int) -> None:
    cuts = list(stretches(length))
    assert [start for start, _ in cuts] == [0, *(end for _, end in cuts[:-1])]
    assert cuts[-1][1] == length
    assert cuts[0][1] <= FIRST_FRAMES + 32
