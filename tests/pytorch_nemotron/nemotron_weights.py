"""Nemotron 3 Diarization in small, with random weights: the genuine classes and files.

Who it says speaks is chance; that nobody does in silence is not: the bias of its last layer is chosen so.
"""

from pathlib import Path

import numpy as np
import torch
from transformers import (
    Nemotron3DiarizationConfig,
    Nemotron3DiarizationForAudioFrameClassification,
    Nemotron3DiarizationProcessor,
    NemotronAsrStreamingFeatureExtractor,
)

SPEAKERS = 8


def make_nemotron(folder: Path) -> Path:
    """Write the model with what prepares its input."""
    torch.manual_seed(0)
    audio = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    head = {"hidden_size": 16, "audio_hidden_size": 32, "num_speakers": SPEAKERS, "subsampling_factor": 8}
    config = Nemotron3DiarizationConfig(
        audio_config={**audio, "num_mel_bins": 128, "subsampling_factor": 8}, head_config=head
    )
    model = Nemotron3DiarizationForAudioFrameClassification(config).eval()
    processor = Nemotron3DiarizationProcessor(
        NemotronAsrStreamingFeatureExtractor(feature_size=128, sampling_rate=16_000)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
        silence = model(**processor(np.zeros(160_000, np.float32), sampling_rate=16_000, return_tensors="pt")).logits
        bias = model.classifier.out_proj.bias

        bias -= silence[0].amax(dim=0) + 0.7
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
