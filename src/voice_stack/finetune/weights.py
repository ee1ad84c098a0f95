"""The weights of Whisper: CTranslate2's file read and written, and the names that transformers has for them.

Both have the same numbers. CTranslate2 keeps layers with one input as one, in the order query, key, value.
"""

import json
import mmap
import re
import shutil
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from voice_stack.asr.models import EXTRA_FILES, NEWEST_LANGUAGES
from voice_stack.core.errors import ModelLoadError

MODEL_FILE = "model.bin"
Arrays = dict[str, NDArray[np.generic]]
FloatArrays = dict[str, NDArray[np.float32]]

_VERSION, _SPEC = 6, "WhisperSpec"
_DTYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)
_BFLOAT16 = len(_DTYPES)

_LAYER: Mapping[str, tuple[str, ...]] = {
    "self_attention/layer_norm": ("self_attn_layer_norm",),
    "self_attention/linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention/linear_1": ("self_attn.out_proj",),
    "attention/layer_norm": ("encoder_attn_layer_norm",),
    "attention/linear_0": ("encoder_attn.q_proj",),
    "attention/linear_1": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "attention/linear_2": ("encoder_attn.out_proj",),
    "ffn/layer_norm": ("final_layer_norm",),
    "ffn/linear_0": ("fc1",),
    "ffn/linear_1": ("fc2",),
}
_TOP = {
    "encoder/conv1": "encoder.conv1",
    "encoder/conv2": "encoder.conv2",
    "encoder/layer_norm": "encoder.layer_norm",
    "decoder/layer_norm": "decoder.layer_norm",
    "encoder/position_encodings": "encoder.embed_positions",
    "decoder/position_encodings": "decoder.embed_positions",
    "decoder/embeddings": "decoder.embed_tokens",
}
_PARTS = {"gamma": "weight", "beta": "bias", "weight": "weight", "bias": "bias", "encodings": "weight"}
_KEY = ".k_proj.bias"
"""A key has no bias; CTranslate2 keeps zeros."""


@dataclass(frozen=True, slots=True)
class Variables:
    """What is in a `model.bin`.

    Attributes:
        revision: Of the specification of Whisper.
        arrays: By path, in the order of the file; settings are arrays without a dimension.
        aliases: Further paths, and those that they stand for.
    """

    revision: int
    arrays: Arrays
    aliases: dict[str, str]


def read_variables(model_dir: Path) -> Variables:
    """Read a model in CTranslate2's format; weights that are kept as whole numbers become float16.

    Raises:
        ModelLoadError: There is none, it is cut off, of another version, or no Whisper model.
    """
    file = model_dir / MODEL_FILE
    try:
        with file.open("rb") as opened:
            data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        return _whole(_Reader(memoryview(data)).read())
    except (OSError, ValueError, struct.error, IndexError) as error:
        raise ModelLoadError(f"The weights in {file} cannot be read: {error}.") from error


class _Reader:
    """Binary version 6: names with their length, numbers of little-endian bytes."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    def read(self) -> Variables:
        if (version := self._number("I")) != _VERSION:
            raise ValueError(f"it is of version {version} of CTranslate2's format, not of {_VERSION}")
        if (spec := self._text()) != _SPEC:
            raise ValueError(f"it is a {spec}, not a {_SPEC}")
        revision = self._number("I")
        arrays = dict(self._variable() for _ in range(self._number("I")))
        return Variables(revision, arrays, {self._text(): self._text() for _ in range(self._number("I"))})

    def _variable(self) -> tuple[str, NDArray[np.generic]]:
        name = self._text()
        shape = tuple(self._number("I") for _ in range(self._number("B")))
        kind, size = self._number("B"), self._number("I")
        content = self._data[self._at : self._at + size]
        self._at += size
        if kind == _BFLOAT16:  # the upper half of a float32
            return name, (np.frombuffer(content, np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(shape)
        return name, np.frombuffer(content, _DTYPES[kind]).reshape(shape)

    def _number(self, form: str) -> int:
        (value,) = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(form)
        return int(value)

    def _text(self) -> str:
        size = self._number("H")  # the closing zero is counted
        self._at += size
        return bytes(self._data[self._at - size : self._at - 1]).decode()


def _whole(variables: Variables) -> Variables:
    """Without scales: a row of weights in whole numbers is divided by its own."""
    arrays = {
        name: (array.astype(np.float32) / _scale(variables.arrays, name, array.ndim)).astype(np.float16)
        if f"{name}_scale" in variables.arrays
        else array
        for name, array in variables.arrays.items()
        if not name.endswith("_scale")
    }
    return replace(variables, arrays=arrays, aliases={a: n for a, n in variables.aliases.items() if n in arrays})


def _scale(arrays: Arrays, name: str, dimensions: int) -> NDArray[np.float32]:
    return arrays[f"{name}_scale"].astype(np.float32).reshape(-1, *[1] * (dimensions - 1))


def _write_variables(variables: Variables, file: BinaryIO) -> None:
    def text(value: str) -> bytes:
        content = value.encode() + b"\0"
        return struct.pack("<H", len(content)) + content

    file.write(struct.pack("<I", _VERSION) + text(_SPEC))
    file.write(struct.pack("<II", variables.revision, len(variables.arrays)))
    for name, array in variables.arrays.items():
        kind = _DTYPES.index(array.dtype.type)
        file.write(text(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape))
        file.write(struct.pack("<BI", kind, array.nbytes))
        file.write(np.ascontiguousarray(array).tobytes())
    file.write(struct.pack("<I", len(variables.aliases)))
    for alias, name in variables.aliases.items():
        file.write(text(alias) + text(name))


def _names(arrays: Arrays) -> Iterator[tuple[str, list[str]]]:
    """Paths of weights, and the names in transformers of what is in each, in order; settings are left out."""
    for path in arrays:
        place, _, part = path.rpartition("/")
        if part not in _PARTS:
            continue
        if place in _TOP:
            modules = [_TOP[place]]
        elif layer := re.fullmatch(r"(encoder|decoder)/layer_(\d+)/(.+)", place):
            side, number, module = layer.groups()
            modules = [f"{side}.layers.{number}.{name}" for name in _LAYER[module]]
        else:
            continue
        yield path, [f"model.{module}.{_PARTS[part]}" for module in modules]


def name_weights(variables: Variables) -> FloatArrays:
    """The weights under the names that `WhisperForConditionalGeneration` of transformers has, in float32."""
    return {name: np.array(array, np.float32) for name, array in _name(variables)}


def _name(variables: Variables) -> Iterator[tuple[str, NDArray[np.generic]]]:
    for path, names in _names(variables.arrays):
        for name, piece in zip(names, np.split(variables.arrays[path], len(names)), strict=True):
            if not name.endswith(_KEY):
                yield name, piece


def replace_weights(variables: Variables, named: Mapping[str, NDArray[np.float32]]) -> Variables:
    """The same model with other weights, given as `name_weights` has them; those that are not given stay."""
    arrays = dict(variables.arrays)
    for path, names in _names(variables.arrays):
        old = arrays[path]
        if any(name in named for name in names):
            pieces = zip(names, np.split(old, len(names)), strict=True)
            arrays[path] = np.concatenate([named.get(name, piece) for name, piece in pieces]).astype(old.dtype)
    return replace(variables, arrays=arrays)


def write_model(base_dir: Path, variables: Variables, folder: Path) -> None:
    """Write a tuned model in CTranslate2's format: other weights, everything else as the base has it.

    Vocabulary, suppressed tokens and the heads that words are timed by do not change.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in ("config.json", *EXTRA_FILES):
        for kept in base_dir.glob(pattern):
            shutil.copyfile(kept, folder / kept.name)
    with (folder / MODEL_FILE).open("wb") as file:
        _write_variables(variables, file)


def export_hugging_face(model_dir: Path, folder: Path) -> None:
    """Write a model in CTranslate2's format as transformers has it, with what its processor needs.

    Args:
        model_dir: The model.
        folder: To be made.

    Raises:
        ModelLoadError: It is none of Whisper's.
        OSError: The disk is full, or the folder cannot be written.
    """
    from safetensors.numpy import save_file

    variables = read_variables(model_dir)
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    shape = describe_shape(variables, tokenizer)
    folder.mkdir(parents=True)
    weights = {name: np.array(array) for name, array in _name(variables)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    shutil.copyfile(model_dir / "tokenizer.json", folder / "tokenizer.json")
    kept = json.loads((model_dir / "config.json").read_bytes())
    files = {
        "config.json": {"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", **shape},
        "generation_config.json": _describe_generation(kept, shape, tokenizer),
        "preprocessor_config.json": {
            "feature_extractor_type": "WhisperFeatureExtractor",
            "processor_class": "WhisperProcessor",
            "feature_size": shape["num_mel_bins"],
        },
        "tokenizer_config.json": {
            "tokenizer_class": "WhisperTokenizer",
            "processor_class": "WhisperProcessor",
            # Times are counted from the last of them on.
            "additional_special_tokens": [
                token.content for _, token in sorted(tokenizer.get_added_tokens_decoder().items()) if token.special
            ],
        }
        | dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), "<|endoftext|>"),
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1), "utf-8")


def _describe_generation(
    kept: Mapping[str, object], shape: Mapping[str, int], tokenizer: Tokenizer
) -> dict[str, object]:
    """How transformers is to decode: as CTranslate2 does by what it keeps in its `config.json`."""
    found = {code: tokenizer.token_to_id(f"<|{code}|>") for code in NEWEST_LANGUAGES}
    is_multilingual = shape["vocab_size"] > _ENGLISH_VOCABULARY
    tasks = {task: find_token(tokenizer, f"<|{task}|>") for task in ("transcribe", "translate")}
    languages = {f"<|{code}|>": number for code, number in found.items() if number is not None}
    return {
        **{name: shape[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")},
        "alignment_heads": kept.get("alignment_heads"),
        "suppress_tokens": kept.get("suppress_ids"),
        "begin_suppress_tokens": kept.get("suppress_ids_begin"),
        "no_timestamps_token_id": find_token(tokenizer, "<|notimestamps|>"),
        "prev_sot_token_id": find_token(tokenizer, "<|startofprev|>"),
        "max_initial_timestamp_index": 50,
        "max_length": shape["max_target_positions"],
        "is_multilingual": is_multilingual,
        **({"lang_to_id": languages, "task_to_id": tasks} if is_multilingual else {}),
    }


_ENGLISH_VOCABULARY = 51_864
"""Tokens of the models for English; the others have more."""


def find_token(tokenizer: Tokenizer, name: str) -> int:
    """The number of one of Whisper's own tokens.

    Raises:
        ModelLoadError: The vocabulary lacks it: it is no Whisper model's.
    """
    number = tokenizer.token_to_id(name)
    if number is None:
        raise ModelLoadError(f"The tokenizer of the model lacks {name}.")
    return number


def describe_shape(variables: Variables, tokenizer: Tokenizer) -> dict[str, int]:
    """What `WhisperConfig` of transformers must be told of a model."""
    arrays = variables.arrays
    vocab_size, width = arrays["decoder/embeddings/weight"].shape
    shape = {
        "vocab_size": vocab_size,
        "d_model": width,
        "num_mel_bins": arrays["encoder/conv1/weight"].shape[1],
        "max_source_positions": len(arrays["encoder/position_encodings/encodings"]),
        "max_target_positions": len(arrays["decoder/position_encodings/encodings"]),
        "decoder_start_token_id": find_token(tokenizer, "<|startoftranscript|>"),
    }
    for side in ("encoder", "decoder"):
        shape[f"{side}_layers"] = sum(path.startswith(side) and path.endswith("/ffn/linear_0/bias") for path in arrays)
        shape[f"{side}_attention_heads"] = int(arrays[f"{side}/num_heads"])
        shape[f"{side}_ffn_dim"] = len(arrays[f"{side}/layer_0/ffn/linear_0/weight"])
    ends = ("pad_token_id", "bos_token_id", "eos_token_id")
    return shape | dict.fromkeys(ends, find_token(tokenizer, "<|endoftext|>"))
