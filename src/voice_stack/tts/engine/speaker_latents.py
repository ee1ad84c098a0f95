"""What XTTS knows of a cloned voice, computed once from its recordings and kept on disk by content."""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from voice_stack.core.logging import log_event
from voice_stack.core.system.files import DRAFT_PREFIX, digest_file, write_whole

logger = logging.getLogger(__name__)

FORMAT = "1"
UNUSED_DAYS = 30
"""After so long without use a file goes: the voice it belongs to may have been deleted since."""
PARTIAL_LIFE_S = 3600.0
"""Writing takes a second: what is so old was left by a process that was killed."""
_IN_MEMORY = 256


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerLatents:
    """A voice as the model sees it.

    Attributes:
        gpt_cond_latent: Manner of speaking, float32 of shape (1, 32, width).
        speaker_embedding: Timbre, float32 of shape (1, 512, 1).
    """

    gpt_cond_latent: torch.Tensor
    speaker_embedding: torch.Tensor


class LatentStore:
    """Latents in memory and, where there is a folder, on disk.

    A file's name is the SHA-256 of the recordings' bytes, of the weights that make the latents and of how they are
    made: equal recordings are computed once whatever they are called, and nothing goes out of date.

    Args:
        folder: Made when first needed; None: nothing is kept on disk.
        model_key: Stands for the weights and the way the latents are made.
        compute: Makes the latents of some recordings, where they are not known yet.
    """

    def __init__(
        self, folder: Path | None, model_key: str, compute: Callable[[tuple[Path, ...]], SpeakerLatents]
    ) -> None:
        self._folder, self._model_key, self._compute = folder, model_key, compute
        self._find = lru_cache(_IN_MEMORY)(self._read_or_compute)
        self._remove_unused()

    def get(self, recordings: tuple[Path, ...]) -> SpeakerLatents:
        """The latents of a voice.

        Raises:
            OSError: A recording cannot be read.
        """
        digests = [bytes.fromhex(digest_file(recording)) for recording in recordings]
        parts = [FORMAT.encode(), self._model_key.encode(), *digests]
        return self._find(hashlib.sha256(b"\0".join(parts)).hexdigest(), recordings)

    def _read_or_compute(self, key: str, recordings: tuple[Path, ...]) -> SpeakerLatents:
        file = None if self._folder is None else self._folder / f"{key}.safetensors"
        if file is not None and (latents := _read(file)) is not None:
            return latents
        started = time.monotonic()
        latents = self._compute(recordings)
        seconds = round(time.monotonic() - started, 2)
        log_event(logger, logging.INFO, "speaker latents computed", recordings=len(recordings), seconds=seconds)
        if file is not None:
            _write(file, latents)
        return latents

    def _remove_unused(self) -> None:
        now = time.time()
        for file in self._folder.glob("*") if self._folder is not None else ():
            is_unfinished = file.name.startswith(DRAFT_PREFIX)
            life_s = PARTIAL_LIFE_S if is_unfinished else UNUSED_DAYS * 86_400
            try:
                if now - file.stat().st_mtime >= life_s and (is_unfinished or file.suffix == ".safetensors"):
                    shutil.rmtree(file) if file.is_dir() else file.unlink()
            except OSError as error:
                log_event(logger, logging.WARNING, "old speaker latents stay", file=file, reason=str(error))


def _read(file: Path) -> SpeakerLatents | None:
    if file.is_file():
        try:
            latents = SpeakerLatents(**load_file(file))
            os.utime(file)
        except (SafetensorError, OSError, TypeError) as error:
            reason = str(error)
            log_event(logger, logging.WARNING, "damaged speaker latents are computed again", file=file, reason=reason)
        else:
            log_event(logger, logging.INFO, "speaker latents read", file=file)
            return latents
    return None


def _write(file: Path, latents: SpeakerLatents) -> None:
    tensors = {f.name: getattr(latents, f.name).detach().cpu().contiguous() for f in fields(latents)}
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(file, save(tensors))
    except (SafetensorError, OSError) as error:
        # Speech goes on without: it only costs computing them again after the next start.
        log_event(logger, logging.WARNING, "speaker latents not kept", folder=file.parent, reason=str(error))


def fingerprint(parts: Iterable[tuple[str, torch.Tensor]], *versions: object) -> str:
    """A digest of weights and of whatever else shapes the latents."""
    digest = hashlib.sha256(repr(versions).encode())
    for name, tensor in parts:
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
