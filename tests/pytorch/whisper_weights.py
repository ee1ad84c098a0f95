"""Whisper checkpoints for PyTorch, made from a model in CTranslate2's format: the same weights under other names."""

from pathlib import Path

import torch
from tokenizers import Tokenizer

from voice_stack.asr.engine.whisper import read_dimensions, rename_weight
from voice_stack.finetune.weights import describe_shape, name_weights, read_variables


def make_pt(model_dir: Path, file: Path) -> Path:
    """Write OpenAI's `.pt` of a CTranslate2 model."""
    variables = read_variables(model_dir)
    shape = describe_shape(variables, Tokenizer.from_file(str(model_dir / "tokenizer.json")))
    weights = {rename_weight(name): torch.from_numpy(array).half() for name, array in name_weights(variables).items()}
    torch.save({"dims": vars(read_dimensions(shape)), "model_state_dict": weights}, file)
    return file
