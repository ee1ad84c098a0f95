"""Whisper checkpoints for PyTorch, made from a model in CTranslate2's format: the same weights under other names."""

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

Arrays = dict[str, NDArray[np.generic]]
_DTYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)

# Where CTranslate2 keeps a module -> what OpenAI and transformers call it. It fuses layers that have one input.
_LAYER: dict[str, tuple[tuple[str, str], ...]] = {
    "self_attention/layer_norm": (("attn_ln", "self_attn_layer_norm"),),
    "self_attention/linear_0": (
        ("attn.query", "self_attn.q_proj"),
        ("attn.key", "self_attn.k_proj"),
        ("attn.value", "self_attn.v_proj"),
    ),
    "self_attention/linear_1": (("attn.out", "self_attn.out_proj"),),
    "attention/layer_norm": (("cross_attn_ln", "encoder_attn_layer_norm"),),
    "attention/linear_0": (("cross_attn.query", "encoder_attn.q_proj"),),
    "attention/linear_1": (
        ("cross_attn.key", "encoder_attn.k_proj"),
        ("cross_attn.value", "encoder_attn.v_proj"),
    ),
    "attention/linear_2": (("cross_attn.out", "encoder_attn.out_proj"),),
    "ffn/layer_norm": (("mlp_ln", "final_layer_norm"),),
    "ffn/linear_0": (("mlp.0", "fc1"),),
    "ffn/linear_1": (("mlp.2", "fc2"),),
}
_TOP: dict[str, tuple[str, str]] = {
    "encoder/conv1": ("encoder.conv1", "encoder.conv1"),
    "encoder/conv2": ("encoder.conv2", "encoder.conv2"),
    "encoder/layer_norm": ("encoder.ln_post", "encoder.layer_norm"),
    "decoder/layer_norm": ("decoder.ln", "decoder.layer_norm"),
    "encoder/position_encodings": ("encoder.positional_embedding", "encoder.embed_positions"),
    "decoder/position_encodings": ("decoder.positional_embedding", "decoder.embed_positions"),
    "decoder/embeddings": ("decoder.token_embedding", "decoder.embed_tokens"),
}
_PARTS = {"gamma": "weight", "beta": "bias", "weight": "weight", "bias": "bias", "encodings": "weight"}


def make_pt(model_dir: Path, file: Path) -> Path:
    """Write OpenAI's `.pt` of a CTranslate2 model."""
    weights = {name: array for (name, _), array in _named(_read(model_dir))}
    config = _config(weights, _heads(model_dir))
    dims = {
        "n_mels": config["num_mel_bins"],
        "n_audio_ctx": config["max_source_positions"],
        "n_audio_state": config["d_model"],
        "n_audio_head": config["encoder_attention_heads"],
        "n_audio_layer": config["encoder_layers"],
        "n_vocab": config["vocab_size"],
        "n_text_ctx": config["max_target_positions"],
        "n_text_state": config["d_model"],
        "n_text_head": config["decoder_attention_heads"],
        "n_text_layer": config["decoder_layers"],
    }
    torch.save({"dims": dims, "model_state_dict": _tensors(weights)}, file)
    return file


def make_transformers(model_dir: Path, folder: Path) -> Path:
    """Write a CTranslate2 model as the hub has it: `config.json`, `model.safetensors`, `generation_config.json`."""
    folder.mkdir(parents=True)
    arrays = _read(model_dir)
    config = _config({name: array for (name, _), array in _named(arrays)}, _heads(model_dir))
    save_file(_tensors({f"model.{name}": array for (_, name), array in _named(arrays)}), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    heads = json.loads((model_dir / "config.json").read_text())["alignment_heads"]
    (folder / "generation_config.json").write_text(json.dumps({"alignment_heads": heads}))
    return folder


def _heads(model_dir: Path) -> int:
    return int(_read(model_dir)["decoder/num_heads"])


def _tensors(weights: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}


def _config(weights: Arrays, heads: int) -> dict[str, int]:
    """The model's shape, under the names of transformers, from its weights under OpenAI's."""

    def layers(side: str) -> int:
        return len({name.split(".")[2] for name in weights if name.startswith(f"{side}.blocks.")})

    vocab_size, width = weights["decoder.token_embedding.weight"].shape
    return {
        "num_mel_bins": weights["encoder.conv1.weight"].shape[1],
        "max_source_positions": weights["encoder.positional_embedding"].shape[0],
        "max_target_positions": weights["decoder.positional_embedding"].shape[0],
        "d_model": width,
        "vocab_size": vocab_size,
        "encoder_attention_heads": heads,
        "decoder_attention_heads": heads,
        "encoder_layers": layers("encoder"),
        "decoder_layers": layers("decoder"),
    }


def _named(arrays: Arrays) -> Iterator[tuple[tuple[str, str], NDArray[np.generic]]]:
    """Names in both worlds and weight; scalars, the settings of CTranslate2, are left out."""
    for path, array in arrays.items():
        place, _, part = path.rpartition("/")
        if part not in _PARTS:
            continue
        if place in _TOP:
            openai, transformers = _TOP[place]
            suffix = "" if part == "encodings" else f".{_PARTS[part]}"
            yield (openai + suffix, f"{transformers}.{_PARTS[part]}"), array
        elif layer := re.fullmatch(r"(encoder|decoder)/layer_(\d+)/(.+)", place):
            side, number, module = layer.groups()
            names = _LAYER[module]
            for (openai, transformers), piece in zip(names, np.split(array, len(names)), strict=True):
                # Keys have no bias; CTranslate2 fills in zeros.
                if not (part == "bias" and openai.endswith(".key")):
                    end = f"{number}.{{}}.{_PARTS[part]}"
                    yield (
                        (
                            f"{side}.blocks.{end.format(openai)}",
                            f"{side}.layers.{end.format(transformers)}",
                        ),
                        piece,
                    )


def _read(model_dir: Path) -> Arrays:
    """The variables of a `model.bin`, binary version 6: name, shape, type and data of each, then other names."""
    data = memoryview((model_dir / "model.bin").read_bytes())
    at = 0

    def take(form: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from(f"<{form}", data, at)
        at += struct.calcsize(f"<{form}")
        return int(value)

    def take_text() -> str:
        nonlocal at
        size = take("H")  # the closing zero is counted
        at += size
        return bytes(data[at - size : at - 1]).decode()

    assert take("I") == 6, "another version of CTranslate2's format"
    assert take_text() == "WhisperSpec"
    take("I")
    arrays: Arrays = {}
    for _ in range(take("I")):
        name = take_text()
        shape = tuple(take("I") for _ in range(take("B")))
        dtype = np.dtype(_DTYPES[take("B")])
        size = take("I")
        arrays[name] = np.frombuffer(data[at : at + size], dtype).reshape(shape)
        at += size
    return arrays
