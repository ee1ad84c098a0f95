"""A Piper voice in miniature: three speakers, each of whom hums a tone of their own, in the real layout.

The real loading, phonemes and calls run; the length follows the number of phonemes and the speed as in a real voice.
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

SPEAKERS = {"alice": 0, "3922": 1, "1": 2}
"""Names and numbers; the last name is another speaker's number, as happens in real voices."""
TONES_HZ = (300.0, 500.0, 800.0)
RATE = 16_000
SAMPLES_PER_PHONEME = 800
_OPSET = 17


def make_piper_voice(folder: Path, name: str, **changes: object) -> Path:
    """Write NAME.onnx and NAME.onnx.json.

    Args:
        folder: Made if need be.
        name: Of the voice.
        **changes: Fields of the JSON file with other values.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    model = helper.make_model(_graph(), opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    config = {
        "audio": {"sample_rate": RATE, "quality": "low"},
        "espeak": {"voice": "en-us"},
        "language": {"code": "en_US", "family": "en", "region": "US"},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_id_map": DEFAULT_PHONEME_ID_MAP,
        "num_symbols": 256,
        "num_speakers": len(TONES_HZ),
        "speaker_id_map": SPEAKERS,
        **changes,
    }
    Path(f"{path}.json").write_text(json.dumps(config), "utf-8")
    return path


def _graph() -> onnx.GraphProto:
    """A sine: as many samples as phonemes x length scale ask for, at the pitch of the speaker."""
    constants = {
        "tones": np.array(TONES_HZ, np.float32) * np.float32(2 * np.pi / RATE),
        "per_phoneme": np.array([SAMPLES_PER_PHONEME], np.float32),
        "second": np.array([1], np.int64),
        "level": np.array([0.4], np.float32),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "none": np.array([], np.int64),
        "shape": np.array([1, 1, -1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["input_lengths"], ["phonemes"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["scales", "second"], ["length_scale"]),
        helper.make_node("Mul", ["phonemes", "per_phoneme"], ["natural"]),
        helper.make_node("Mul", ["natural", "length_scale"], ["length"]),
        helper.make_node("Reshape", ["length", "none"], ["count"]),
        helper.make_node("Range", ["zero", "count", "one"], ["times"]),
        helper.make_node("Gather", ["tones", "sid"], ["step"]),
        helper.make_node("Mul", ["times", "step"], ["phase"]),
        helper.make_node("Sin", ["phase"], ["sine"]),
        helper.make_node("Mul", ["sine", "level"], ["hum"]),
        helper.make_node("Reshape", ["hum", "shape"], ["output"]),
    ]
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, "T"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
        helper.make_tensor_value_info("sid", TensorProto.INT64, [1]),
    ]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, "N"])]
    weights = [numpy_helper.from_array(array, key) for key, array in constants.items()]
    return helper.make_graph(nodes, "piper", inputs, outputs, weights)
