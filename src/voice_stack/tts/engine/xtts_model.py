"""XTTS from disk to memory, by the library's own code; the files are only read."""

import itertools
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import StoppingCriteria, StoppingCriteriaList
from TTS import __version__
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.models import xtts

from voice_stack.tts.engine.speaker_latents import Latents, fingerprint, read_beginning
from voice_stack.utils.audio.pcm import Samples
from voice_stack.utils.transformers_log import take_over_log

CLONE_RATE = 22_050
"""Sample rate at which recordings are read, in Hz: that of the model's ear."""


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerLatents:
    """A voice as the model sees it.

    Attributes:
        gpt_cond_latent: Manner of speaking, float32 of shape (1, 32, width).
        speaker_embedding: Timbre, float32 of shape (1, 512, 1).
    """

    gpt_cond_latent: torch.Tensor
    speaker_embedding: torch.Tensor


class XttsModel(xtts.Xtts):
    """The library's model, with two differences.

    A checkpoint in the form of 2023 holds its configuration as an object. The library's loader reads such a file
    safely, and writes it anew in place: the model's file would no longer be the one whose digest is on record. Here it
    is read in the same safe way and left as it is.

    Several recordings of a voice have an equal share in its manner of speaking; the library would take the first ones
    until it has enough.
    """

    def _load_checkpoint(self, model_path: Path) -> dict[str, torch.Tensor]:
        with xtts._legacy_safe_globals():
            checkpoint = torch.load(model_path, map_location="cpu", weights_only=True)
        weights: dict[str, torch.Tensor] = checkpoint["model"]
        return weights

    def make(self, max_tokens: int, **arguments: object) -> Samples:
        """Speak a whole clause.

        Args:
            max_tokens: After so many it is stopped, wherever it is; a token is a piece of 46 ms.
            **arguments: Those of `inference`.

        Returns:
            1-D float32.
        """
        limit = StoppingCriteriaList([TokenLimit(max_tokens)])
        made = self.inference(**arguments, stopping_criteria=limit)
        return np.atleast_1d(made["wav"]).astype(np.float32, copy=False)

    def stream(self, chunk_tokens: int, **arguments: object) -> Generator[Samples, None, None]:
        """Speak a clause piece by piece; each piece is made anew from all tokens so far and joined by a cross-fade.

        Args:
            chunk_tokens: Length of a piece.
            **arguments: Those of `inference_stream`.

        Yields:
            1-D float32.
        """
        with closing(self.inference_stream(**arguments, stream_chunk_size=chunk_tokens)) as pieces:
            for piece in pieces:
                yield np.atleast_1d(piece.cpu().numpy()).astype(np.float32, copy=False)

    def clone(self, recordings: tuple[Path, ...]) -> Latents:
        """Compute what the model needs to speak as somebody else: what `SpeakerLatents` has, by name.

        Raises:
            InvalidAudioError: A file holds no sound.
            AudioTooShortError: One is shorter than a third of a second, which the model cannot hear.
            OSError: A file cannot be read.
        """
        heard_s = int(self.config.max_ref_len)
        share_s = max(int(self.config.gpt_cond_chunk_len), int(self.config.gpt_cond_len) // len(recordings))
        heard = (read_beginning(recording, CLONE_RATE, heard_s) for recording in recordings)
        voices = [torch.from_numpy(samples)[None] for samples in heard]
        embeddings = torch.stack([self.get_speaker_embedding(voice, CLONE_RATE) for voice in voices])
        manner = torch.cat([voice[:, : share_s * CLONE_RATE] for voice in voices], dim=-1)
        latent = self.get_gpt_cond_latents(
            manner, CLONE_RATE, length=-1, chunk_length=int(self.config.gpt_cond_chunk_len)
        )
        return {"gpt_cond_latent": latent.cpu(), "speaker_embedding": embeddings.mean(dim=0).cpu()}

    def latents_key(self) -> str:
        """Stands for everything that shapes the result of `clone`: the same for checkpoints that differ elsewhere."""
        config = self.config
        shape = (__version__, config.max_ref_len, config.gpt_cond_len, config.gpt_cond_chunk_len)
        makers = [self.gpt.conditioning_encoder, self.hifigan_decoder.speaker_encoder]
        if self.args.gpt_use_perceiver_resampler:
            makers.append(self.gpt.conditioning_perceiver)
        weights = itertools.chain.from_iterable(maker.state_dict().items() for maker in makers)
        return fingerprint(itertools.chain(weights, [("mel_stats", self.mel_stats)]), *shape)

    def speakers(self) -> dict[str, SpeakerLatents]:
        """The voices that came with the checkpoint; none if it has no file of speakers."""
        if self.speaker_manager is None:
            return {}
        return {name: SpeakerLatents(**latents) for name, latents in self.speaker_manager.speakers.items()}


class TokenLimit(StoppingCriteria):
    """Ends a clause after so many tokens; the library's own limit is that of the model alone."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._end: int | None = None

    def __call__(self, input_ids: torch.Tensor, _scores: object, **_further: object) -> torch.Tensor:
        """True for every clause of the batch once the limit is reached; first asked after the first token."""
        length = input_ids.shape[1]
        self._end = self._end or length + self._max_tokens - 1
        return torch.full((input_ids.shape[0],), length >= self._end, dtype=torch.bool, device=input_ids.device)


def load_model(model_dir: Path, device: str) -> XttsModel:
    """Load a checkpoint.

    Args:
        model_dir: With `config.json`, `model.pth` and `vocab.json`, and `speakers_xtts.pth` for its own voices.
        device: `cpu`, `cuda:0` and so on.

    Raises:
        OSError: A file is missing.
        RuntimeError: The weights are not those of such a model.
        pickle.UnpicklingError: The file holds other things than weights, or is damaged.
    """
    take_over_log()
    config = XttsConfig()
    config.load_json(str(model_dir / "config.json"))
    model = XttsModel(config)
    model.load_checkpoint(config, checkpoint_dir=model_dir, eval=True)
    model.to(device)
    return model
