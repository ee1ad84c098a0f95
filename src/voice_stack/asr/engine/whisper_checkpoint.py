"""Whisper weights for PyTorch from disk: OpenAI's `.pt`, or a hub repository in the format of transformers."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
import whisper
from whisper.model import ModelDimensions, Whisper

CONFIG, WEIGHTS, GENERATION = "config.json", "model.safetensors", "generation_config.json"

# From the names of transformers to those of OpenAI; order matters, the layer norms come before what they contain.
_RENAMED: tuple[tuple[str, str], ...] = (
    ("model.", ""),
    ("embed_tokens.", "token_embedding."),
    ("embed_positions.weight", "positional_embedding"),
    ("layers.", "blocks."),
    ("self_attn_layer_norm.", "attn_ln."),
    ("encoder_attn_layer_norm.", "cross_attn_ln."),
    ("final_layer_norm.", "mlp_ln."),
    ("encoder.layer_norm.", "encoder.ln_post."),
    ("decoder.layer_norm.", "decoder.ln."),
    ("self_attn.", "attn."),
    ("encoder_attn.", "cross_attn."),
    ("q_proj.", "query."),
    ("k_proj.", "key."),
    ("v_proj.", "value."),
    ("out_proj.", "out."),
    ("fc1.", "mlp.0."),
    ("fc2.", "mlp.2."),
)
_TIED = "proj_out.weight"  # the same as the token embedding


def load_checkpoint(place: Path, device: str) -> Whisper:
    """Load a model.

    Args:
        place: A `.pt` file; a folder with one; or a folder with `config.json` and `model.safetensors`.
        device: `cpu`, `cuda` or `cuda:1`.

    Raises:
        FileNotFoundError: There is no such file.
        KeyError: It lacks a part of a checkpoint.
        RuntimeError: The weights are not those of a Whisper model.
    """
    if (place / WEIGHTS).is_file():
        model = _load_transformers(place, device)
        heads = _alignment_heads(place)
    else:
        file = _find_pt(place)
        model = whisper.load_model(str(file), device=device)
        heads = _alignment_heads(file.parent)
    if heads:
        _set_alignment_heads(model, heads)
    return model.eval()


def _find_pt(place: Path) -> Path:
    if place.is_file():
        return place
    files = sorted(place.glob("*.pt"))
    if len(files) != 1:
        there = ", ".join(file.name for file in files) or "none"
        raise FileNotFoundError(f"one .pt file, or {CONFIG} and {WEIGHTS}, must be there; .pt files: {there}")
    return files[0]


def _load_transformers(folder: Path, device: str) -> Whisper:
    from safetensors.torch import load_file

    model = Whisper(read_dimensions(json.loads((folder / CONFIG).read_text("utf-8"))))
    weights = load_file(folder / WEIGHTS)
    # strict: a weight that is missing or too many is an error, not noise in the text.
    model.load_state_dict({rename_weight(name): weights[name].float() for name in weights if name != _TIED})
    return model.to(device)


def read_dimensions(config: Mapping[str, int]) -> ModelDimensions:
    """The model's shape from a `config.json` of transformers.

    Raises:
        KeyError: An entry is missing.
    """
    return ModelDimensions(
        n_mels=config["num_mel_bins"],
        n_audio_ctx=config["max_source_positions"],
        n_audio_state=config["d_model"],
        n_audio_head=config["encoder_attention_heads"],
        n_audio_layer=config["encoder_layers"],
        n_vocab=config["vocab_size"],
        n_text_ctx=config["max_target_positions"],
        n_text_state=config["d_model"],
        n_text_head=config["decoder_attention_heads"],
        n_text_layer=config["decoder_layers"],
    )


def rename_weight(name: str) -> str:
    """A weight's name in OpenAI's code, from its name in transformers."""
    for theirs, ours in _RENAMED:
        name = name.replace(theirs, ours)
    return name


def _alignment_heads(folder: Path) -> list[list[int]] | None:
    """Layer and head of the attention that follows the audio, where a file says so; the library guesses otherwise."""
    for name in (GENERATION, CONFIG):
        path = folder / name
        heads = json.loads(path.read_text("utf-8")).get("alignment_heads") if path.is_file() else None
        if heads:
            return [[int(layer), int(head)] for layer, head in heads]
    return None


def _set_alignment_heads(model: Whisper, heads: list[list[int]]) -> None:
    mask = torch.zeros(model.dims.n_text_layer, model.dims.n_text_head, dtype=torch.bool)
    for layer, head in heads:
        mask[layer, head] = True
    model.register_buffer("alignment_heads", mask.to_sparse().to(model.device), persistent=False)
