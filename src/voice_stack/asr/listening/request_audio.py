"""From a request and the settings to what the audio side works with: the source and the VAD's options."""

from dataclasses import fields

from voice_stack.asr.request import AsrWorkerConfig, DetectionRequest, TranscriptionRequest, VadChoice
from voice_stack.utils.audio.sources import AudioSource, has_media_header
from voice_stack.utils.audio.vad import VadOptions


def describe_source(request: TranscriptionRequest | DetectionRequest) -> AudioSource:
    """The uploaded file and how it is to be read."""
    if (pcm := request.pcm) is None or has_media_header(request.path):
        return AudioSource(request.path, request.audio_track if isinstance(request, TranscriptionRequest) else None)
    return AudioSource.pcm(request.path, sample_rate=pcm.sample_rate, channels=pcm.channels, big_endian=pcm.big_endian)


def choose_vad(config: AsrWorkerConfig, choice: VadChoice) -> VadOptions | None:
    """The settings, overruled by what the request names; None: nothing is left out.

    `neg_threshold` is taken as at most the threshold: above it, speech would end while it goes on.
    """
    if not (config.vad_enabled if choice.enabled is None else choice.enabled):
        return None
    named = {field.name: value for field in fields(choice) if (value := getattr(choice, field.name)) is not None}
    named.pop("enabled", None)
    options = {"threshold": config.vad_threshold, **named}
    if "neg_threshold" in options:
        options["neg_threshold"] = min(options["neg_threshold"], options["threshold"])
    return VadOptions(**options)
