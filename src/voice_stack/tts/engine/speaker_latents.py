"""What a model knows of a cloned voice, computed once from its recordings and kept on disk by content."""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from voice_stack.core.errors import AudioTooShortError, InvalidRequestError
from voice_stack.core.logging import log_event
from voice_stack.core.system.files import DRAFT_PREFIX, digest_file, write_whole
from voice_stack.utils.audio.decode import decode_blocks
from voice_stack.utils.audio.pcm import Samples

logger = logging.getLogger(__name__)

FORMAT = "1"
UNUSED_DAYS = 30
"""After so long without use a file goes: the voice it belongs to may have been deleted since."""
PARTIAL_LIFE_S = 3600.0
"""Writing takes a second: what is so old was left by a process that was killed."""
CLONE_MIN_S = 0.34
"""XTTS's library leaves out pieces below 0.33 s, and fails where nothing is left."""

Latents = Mapping[str, torch.Tensor]
"""A voice as a model sees it: its tensors by name."""


class LatentStore:
    """Latents in memory and, where there is a folder, on disk.

    A file's name is the SHA-256 of the recordings' bytes, of the weights that make the latents and of how they are
    made: equal recordings are computed once whatever they are called, and nothing goes out of date.

    Args:
        folder: Made when first needed; None: nothing is kept on disk.
        model_key: Stands for the weights and the way the latents are made.
        compute: Makes the latents of some recordings, where they are not known yet.
        in_memory: Of so many voices they stay there.
    """

    def __init__(
        self,
        folder: Path | None,
        model_key: str,
        compute: Callable[[tuple[Path, ...]], Latents],
        *,
        in_memory: int = 256,
    ) -> None:
        self._folder, self._model_key, self._compute = folder, model_key, compute
        self._find = lru_cache(in_memory)(self._read_or_compute)
        self._remove_unused()

    def get(self, recordings: tuple[Path, ...]) -> Latents:
        """The latents of a voice.

        Raises:
            InvalidRequestError: A recording cannot be read or holds too little sound.
        """
        try:
            digests = [bytes.fromhex(digest_file(recording)) for recording in recordings]
            parts = [FORMAT.encode(), self._model_key.encode(), *digests]
            return self._find(hashlib.sha256(b"\0".join(parts)).hexdigest(), recordings)
        except (OSError, InvalidRequestError) as error:
            names = ", ".join(recording.name for recording in recordings)
            raise InvalidRequestError(f"the voice cannot be cloned from {names}: {error}", param="voice") from error

    def _read_or_compute(self, key: str, recordings: tuple[Path, ...]) -> Latents:
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


def _read(file: Path) -> Latents | None:
    if file.is_file():
        try:
            latents: Latents = load_file(file)
            os.utime(file)
        except (SafetensorError, OSError) as error:
            reason = str(error)
            log_event(logger, logging.WARNING, "damaged speaker latents are computed again", file=file, reason=reason)
        else:
            log_event(logger, logging.INFO, "speaker latents read", file=file)
            return latents
    return None


def _write(file: Path, latents: Latents) -> None:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in latents.items()}
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


def read_beginning(recording: Path, sample_rate: int, max_s: float) -> Samples:
    """The beginning of a recording: mono float32 of shape (samples,).

    Raises:
        InvalidAudioError: The file holds no sound.
        AudioTooShortError: It is shorter than a third of a second, which no model can hear.
        OSError: It cannot be read.
    """
    samples = next(decode_blocks(recording, sample_rate=sample_rate, block_s=max_s))
    if samples.size < CLONE_MIN_S * sample_rate:
        heard_s = samples.size / sample_rate
        raise AudioTooShortError(f"{recording.name} lasts {heard_s:.2f} s; {CLONE_MIN_S} s are the least, 6 s are good")
    return samples
