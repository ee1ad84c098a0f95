"""A small pocket-tts model with random weights: the genuine architecture and files. What it says is noise."""

import json
from pathlib import Path

import torch
from pocket_tts import TTSModel, export_model_state
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

WIDTH = 32
VOICES = ("alba", "marius")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?'-:;▁"


def make_model(folder: Path, *, voices: bool = True) -> Path:
    """Write `config.yaml`, `model.safetensors`, `tokenizer.json` and, unless told otherwise, two voices."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    vocabulary = {token: number for number, token in enumerate(["<unk>", "<s>", "</s>", *_LETTERS])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = folder / "config.yaml"
    config.write_text(json.dumps(_make_config(str(folder / "tokenizer.json"), len(vocabulary))))
    model = TTSModel.load_model(config=config)
    with torch.no_grad():
        model.flow_lm.emb_std.fill_(1.0)
        model.flow_lm.emb_mean.zero_()
        for parameter in model.flow_lm.parameters():  # some begin at 0: then neither the text nor the voice is heard
            if parameter.dim() > 1 or not torch.isfinite(parameter).all():
                parameter.normal_(std=0.2)
        model.flow_lm.out_eos.bias.fill_(-30.0)  # it never ends by itself
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    if voices:
        (folder / "embeddings").mkdir()
    for name in VOICES if voices else ():
        state = model.get_state_for_audio_prompt(0.1 * torch.randn(1, model.sample_rate))
        export_model_state(state, folder / "embeddings" / f"{name}.safetensors")
    return folder


def _make_config(tokenizer: str, tokens: int) -> dict[str, object]:
    seanet = {
        "dimension": WIDTH, "channels": 1, "n_filters": 4, "n_residual_layers": 1, "ratios": [6, 5, 4],
        "kernel_size": 7, "residual_kernel_size": 3, "last_kernel_size": 3, "dilation_base": 2, "pad_mode": "constant",
        "compress": 2,
    }  # fmt: skip
    transformer = {"d_model": WIDTH, "num_heads": 4, "num_layers": 1}
    decoder = {"layer_scale": 0.01, "context": 50, "dim_feedforward": 64, "input_dimension": WIDTH}
    flow_lm = {
        "dtype": "float32",
        "insert_bos_before_voice": True,
        "flow": {"depth": 2, "dim": WIDTH},
        "transformer": {**transformer, "hidden_scale": 2, "max_period": 10_000},
        "lookup_table": {"dim": WIDTH, "n_bins": tokens, "tokenizer": "tokenizers", "tokenizer_path": tokenizer},
    }
    mimi = {
        "dtype": "float32", "sample_rate": 24_000, "inner_dim": 8, "outer_dim": WIDTH, "channels": 1,
        "frame_rate": 12.5, "seanet": seanet, "transformer": {**transformer, **decoder, "output_dimensions": [WIDTH]},
        "quantizer": {"dimension": 8, "output_dimension": WIDTH},
    }  # fmt: skip
    return {"flow_lm": flow_lm, "mimi": mimi}
