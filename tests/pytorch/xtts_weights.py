"""A small XTTS checkpoint with random weights: the genuine architecture and files, for code that loads and runs them.

What it says is noise, and it never knows when to stop. The library fixes the widths of the vocoder and of the speaker
encoder, so those are the real ones; the rest is as narrow as it works.
"""

from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Whitespace
from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
from TTS.tts.models import xtts

from voice_stack.tts.models import XTTS_MAX_CHARS

WIDTH = 32
CODES = 64
MAX_AUDIO_TOKENS = 46
"""The longest clause lasts so many times 46 ms: 2 s."""
SPEAKERS = ("Claribel Dervla", "Damien Black")
LANGUAGES = [*sorted(XTTS_MAX_CHARS.keys() - {"zh"}), "zh-cn"]
_LETTERS = "abcdefghijklmnopqrstuvwxyzäöüßéèçñабвгдежзийклмнопрстуфхцчшщыьэюя0123456789.,!?'-"


def make_checkpoint(folder: Path, *, speakers: bool = True) -> Path:
    """Write `config.json`, `model.pth`, `vocab.json` and, unless told otherwise, `speakers_xtts.pth`."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    tokenizer = _make_tokenizer()
    tokenizer.save(str(folder / "vocab.json"))
    config = _make_config(tokenizer)
    config.save_json(str(folder / "config.json"))
    model = xtts.Xtts(config)
    with torch.no_grad():
        # It never ends by itself: the code for the end gets no chance.
        model.gpt.mel_head.bias[CODES:] = -30.0
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    if speakers:
        torch.save({name: _make_speaker(number) for number, name in enumerate(SPEAKERS)}, folder / "speakers_xtts.pth")
    return folder


def make_old(checkpoint: Path, folder: Path) -> Path:
    """The same checkpoint in the form of 2023, which XTTS-v2 itself has: the configuration is in it as an object."""
    folder.mkdir(parents=True)
    for file in checkpoint.iterdir():
        (folder / file.name).symlink_to(file)
    weights = torch.load(checkpoint / "model.pth", weights_only=True)
    (folder / "model.pth").unlink()
    config = XttsConfig()
    config.load_json(str(checkpoint / "config.json"))
    # Its classes were in another module then.
    with xtts._legacy_safe_globals():
        torch.save({**weights, "config": config}, folder / "model.pth")
    return folder


def _make_tokenizer() -> Tokenizer:
    special = ["[STOP]", "[UNK]", "[SPACE]", "[START]", *(f"[{language}]" for language in LANGUAGES)]
    vocabulary = {token: number for number, token in enumerate([*special, *_LETTERS])}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    return tokenizer


def _make_config(tokenizer: Tokenizer) -> XttsConfig:
    arguments = XttsArgs(
        gpt_layers=2,
        gpt_n_model_channels=WIDTH,
        gpt_n_heads=2,
        decoder_input_dim=WIDTH,
        gpt_max_audio_tokens=MAX_AUDIO_TOKENS,
        gpt_number_text_tokens=tokenizer.get_vocab_size(),
        gpt_start_text_token=tokenizer.token_to_id("[START]"),
        gpt_stop_text_token=tokenizer.token_to_id("[STOP]"),
        gpt_num_audio_tokens=CODES + 2,
        gpt_start_audio_token=CODES,
        gpt_stop_audio_token=CODES + 1,
        gpt_use_perceiver_resampler=True,
    )
    return XttsConfig(model_args=arguments, gpt_cond_len=6, gpt_cond_chunk_len=2, max_ref_len=6, languages=LANGUAGES)


def _make_speaker(seed: int) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    embedding = torch.randn(1, 512, 1, generator=draw)
    latent = 0.1 * torch.randn(1, 32, WIDTH, generator=draw)
    return {"gpt_cond_latent": latent, "speaker_embedding": embedding / embedding.norm()}
