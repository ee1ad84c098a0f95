"""Small Qwen3-TTS models with random weights: the genuine classes and files. What they say is noise without an end."""

import json
from pathlib import Path

import torch
from qwen_tts.core.models import Qwen3TTSConfig, Qwen3TTSForConditionalGeneration
from qwen_tts.core.tokenizer_12hz.configuration_qwen3_tts_tokenizer_v2 import Qwen3TTSTokenizerV2Config
from qwen_tts.core.tokenizer_12hz.modeling_qwen3_tts_tokenizer_v2 import Qwen3TTSTokenizerV2Model
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import EncodecFeatureExtractor, PreTrainedModel

from voice_stack.tts.torch_models import QWEN_LANGUAGES, QWEN_SPEAKERS, QwenKind
from voice_stack.utils.language import LANGUAGES

CODES, GROUPS = 64, 4
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>")
_LAYER = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 4096, "rope_theta": 1_000_000,
}  # fmt: skip
_EAR = {
    "mel_dim": 128, "enc_dim": 64, "enc_channels": [32, 32, 32, 32, 96], "enc_attention_channels": 16,
    "enc_se_channels": 16, "sample_rate": 24_000,
}  # fmt: skip


def make_qwen(folder: Path, kind: QwenKind, size: str = "1b7") -> Path:
    """Write a model of a kind: the talker with its tokenizer, and in `speech_tokenizer` what makes sound of codes."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    tokens = _write_tokenizer(folder)
    config = _make_config(kind, size, tokens)
    model = Qwen3TTSForConditionalGeneration(Qwen3TTSConfig(**config)).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "speaker_encoder" not in name:
                parameter.normal_(std=0.15)
    _save(model, folder)
    # As it was published: the library does not write what it reads.
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3_tts", **config}))
    (folder / "generation_config.json").write_text(json.dumps({"temperature": 0.9, "top_k": 50, "max_new_tokens": 60}))
    _write_decoder(folder / "speech_tokenizer")
    return folder


def _save(model: PreTrainedModel, folder: Path) -> None:
    model.config.save_pretrained(folder)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _write_tokenizer(folder: Path) -> dict[str, int]:
    """Bytes as tokens, but "assistant" and "user" as one: the model cuts prompts by the count of tokens."""
    vocabulary = {character: number for number, character in enumerate(sorted(ByteLevel.alphabet()))}
    merges = ["#version: 0.2"]
    for word in ("assistant", "user"):
        for end in range(2, len(word) + 1):
            if word[:end] not in vocabulary:
                vocabulary[word[:end]] = len(vocabulary)
                merges.append(f"{word[: end - 1]} {word[end - 1]}")
    ids = {token: len(vocabulary) + number for number, token in enumerate(SPECIAL)}
    flags = dict.fromkeys(("lstrip", "rstrip", "normalized", "single_word"), False)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("\n".join(merges) + "\n")
    config = {
        "tokenizer_class": "Qwen2Tokenizer", "processor_class": "Qwen3TTSProcessor", "model_max_length": 4096,
        "pad_token": SPECIAL[0], "eos_token": SPECIAL[2], "unk_token": None,
        "added_tokens_decoder": {str(id_): {"content": name, "special": True, **flags} for name, id_ in ids.items()},
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return ids


def _make_config(kind: QwenKind, size: str, tokens: dict[str, int]) -> dict[str, object]:
    speakers = [name.lower() for name in QWEN_SPEAKERS] if kind == "custom_voice" else []
    names = (LANGUAGES[code].name for code in sorted(QWEN_LANGUAGES))
    talker = {
        **_LAYER, "vocab_size": CODES + 1024, "num_code_groups": GROUPS, "text_hidden_size": 64,
        "text_vocab_size": max(tokens.values()) + 1,
        "rope_scaling": {"rope_type": "default", "type": "default", "mrope_section": [4, 2, 2], "interleaved": True},
        "codec_pad_id": CODES, "codec_bos_id": CODES + 1, "codec_eos_token_id": CODES + 2, "codec_think_id": CODES + 6,
        "codec_nothink_id": CODES + 7, "codec_think_bos_id": CODES + 8, "codec_think_eos_id": CODES + 9,
        "codec_language_id": {name: CODES + 20 + number for number, name in enumerate(names)},
        "spk_id": {name: CODES + 50 + number for number, name in enumerate(speakers)},
        "spk_is_dialect": dict.fromkeys(speakers, False),
        "code_predictor_config": {**_LAYER, "vocab_size": CODES, "num_code_groups": GROUPS, "pad_token_id": None},
    }  # fmt: skip
    return {
        "tokenizer_type": "qwen3_tts_tokenizer_12hz", "tts_model_type": kind, "tts_model_size": size,
        "talker_config": talker, "speaker_encoder_config": _EAR, "im_start_token_id": tokens["<|im_start|>"],
        "im_end_token_id": tokens["<|im_end|>"], "tts_pad_token_id": tokens["<tts_pad>"],
        "tts_bos_token_id": tokens["<tts_text_bos>"], "tts_eos_token_id": tokens["<tts_text_eod>"],
    }  # fmt: skip


def _write_decoder(folder: Path) -> None:
    small = {"num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 8, "intermediate_size": 64}
    encoder = {
        **small, "sampling_rate": 24_000, "audio_channels": 1, "hidden_size": 32, "num_filters": 4,
        "num_residual_layers": 1, "upsampling_ratios": [8, 6, 5, 4], "codebook_size": CODES, "codebook_dim": 16,
        "num_quantizers": GROUPS, "num_semantic_quantizers": 1, "vector_quantization_hidden_dimension": 16,
        "upsample_groups": 32, "num_hidden_layers": 1, "sliding_window": 50, "use_cache": False,
    }  # fmt: skip
    decoder = {
        **small, "codebook_size": CODES, "codebook_dim": 32, "hidden_size": 32, "latent_dim": 32, "sliding_window": 72,
        "num_hidden_layers": 1, "num_quantizers": GROUPS, "upsample_rates": (8, 5, 4, 3), "upsampling_ratios": (2, 2),
        "decoder_dim": 32,
    }  # fmt: skip
    config = Qwen3TTSTokenizerV2Config(
        encoder_config=encoder, encoder_valid_num_quantizers=GROUPS, decoder_config=decoder
    )
    model = Qwen3TTSTokenizerV2Model(config).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed" in name and parameter.dim() > 1:
                parameter.normal_()
            elif parameter.dim() > 1:
                parameter.normal_(std=float(parameter[0].numel()) ** -0.5)  # or the noise is not to be heard
        for name, buffer in model.named_buffers():
            if name.endswith("embed_sum"):
                buffer.normal_()
            elif name.endswith(("cluster_usage", "initialized")):
                buffer.fill_(1)
    _save(model, folder)
    EncodecFeatureExtractor(feature_size=1, sampling_rate=24_000).save_pretrained(folder)
