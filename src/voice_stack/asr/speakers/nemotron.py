"""Who speaks when, on a GPU: NVIDIA's Nemotron 3 Diarization, up to eight speakers, heard as it comes."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from transformers import AutoModelForAudioFrameClassification, AutoProcessor

from voice_stack.asr.request import EngineOptions, SpeakerChoice
from voice_stack.asr.speakers.base import SAMPLE_RATE, Diarized, Recording, SpeakerEngine, VoiceTurn
from voice_stack.asr.speakers.naming import tidy_turns
from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.core.system.cpus import take_cpus
from voice_stack.core.system.device import choose_device
from voice_stack.utils.transformers_log import take_over_log

THRESHOLD = 0.5
"""Probability above which somebody speaks."""
LEAST_PAUSE_S, LEAST_TURN_S = 0.5, 0.1
"""What the model says flickers: shorter pauses of one speaker are bridged, shorter turns are none."""

LEAST_SAMPLES = SAMPLE_RATE // 10


class NemotronEngine(SpeakerEngine):
    """A folder with `config.json`, `model.safetensors` and `processor_config.json`; see `SpeakerEngine`.

    It numbers speakers as they come, cannot be asked for a number of them, and does not tell what they sound like.
    """

    knows_voices = False

    def __init__(self, model_dir: Path, options: EngineOptions) -> None:
        super().__init__(model_dir, options)
        take_over_log()
        try:
            torch.set_num_threads(options.threads or take_cpus(options.replica, options.replicas))
            device = choose_device(options.device, torch.cuda.device_count(), replica=options.replica)
            self.processor = AutoProcessor.from_pretrained(str(model_dir), local_files_only=True)
            model = AutoModelForAudioFrameClassification.from_pretrained(str(model_dir), local_files_only=True)
            self.model = model.eval().to(str(device))
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, OSError, SafetensorError) as error:
            raise ModelLoadError(f"The model in {model_dir} does not load: {error}.") from error

    def open(self) -> Recording:
        """See `SpeakerEngine.open`."""
        return _NemotronRecording(self)

    def voice(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `SpeakerEngine.voice`: it always fails."""
        raise EngineError("this model does not tell what a voice is like")


class _NemotronRecording(Recording):
    """Goes through the recording in chunks of a second; of what was heard only who spoke when is kept."""

    def __init__(self, engine: NemotronEngine) -> None:
        self._engine, self._processor = engine, engine.processor
        self._rest = np.zeros(0, np.float32)
        self._rest_at = self._heard = self._frame = 0  # where the rest begins, all samples so far, frames that are done
        self._cache: object = None
        self._speaking: list[NDArray[np.uint8]] = []

    def add(self, samples: NDArray[np.float32], *, is_last: bool = False) -> None:
        """See `Recording.add`."""
        self._rest = np.concatenate([self._rest, samples])
        self._heard += samples.size
        try:
            while (chunk := self._next_chunk()) is not None:
                self._hear(chunk, is_last=False)
            if is_last and self._heard:
                # A whole recording may be too short for the model.
                short = 0 if self._frame else max(0, LEAST_SAMPLES - self._rest.size)
                self._hear(np.pad(self._rest, (0, short)), is_last=True)
                self._rest = self._rest[:0]
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"The speaker model failed: {error}") from error

    def _next_chunk(self) -> NDArray[np.float32] | None:
        """The next whole chunk; None if there is not more than that, for the last chunk is another."""
        p, is_first = self._processor, not self._frame
        start = 0 if is_first else int(p.audio_chunk_start(self._frame))
        self._rest, self._rest_at = self._rest[start - self._rest_at :], start
        size = int(p.num_samples_first_audio_chunk if is_first else p.num_samples_per_audio_chunk)
        return self._rest[:size] if self._rest.size > size else None

    def _hear(self, chunk: NDArray[np.float32], *, is_last: bool) -> None:
        inputs = self._processor(
            chunk,
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
            is_streaming=True,
            is_first_audio_chunk=not self._frame,
            is_last_audio_chunk=is_last,
        )
        with torch.inference_mode():
            output = self._engine.model(**inputs.to(self._engine.model.device), speaker_cache=self._cache)
        self._cache = output.speaker_cache
        speaking = (output.logits[0].sigmoid() > THRESHOLD).cpu().numpy()
        self._speaking.append(np.packbits(speaking, axis=1))
        self._frame += int(self._processor.num_mel_frames_per_step)

    def diarize(self, choice: SpeakerChoice) -> Diarized:
        """See `Recording.diarize`; what was asked for does not count."""
        if not self._speaking:
            return Diarized((), np.zeros((0, 0), np.float32))
        frame_s = self._processor.feature_extractor.hop_length / SAMPLE_RATE
        end_s = self._heard / SAMPLE_RATE
        speaking = np.unpackbits(np.concatenate(self._speaking), axis=1)
        changes = np.diff(np.pad(speaking.astype(np.int8), ((1, 1), (0, 0))), axis=0)
        turns = [
            VoiceTurn(float(start * frame_s), float(min(end * frame_s, end_s)), speaker)
            for speaker in range(changes.shape[1])
            for start, end in zip(
                np.flatnonzero(changes[:, speaker] == 1), np.flatnonzero(changes[:, speaker] == -1), strict=True
            )
        ]
        turns.sort(key=lambda turn: (turn.start_s, turn.voice))
        return Diarized(tuple(tidy_turns(turns, LEAST_PAUSE_S, LEAST_TURN_S)), np.zeros((0, 0), np.float32))
