"""Films as Bazarr uploads them: raw samples, each film with other ones."""

import itertools
from urllib.parse import quote

import numpy as np

FAKE = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_WINDOW_S": "2", "ASR_VAD_ENABLED": "false"}
HEARTBEAT_S = 0.4
GERMAN_LEVEL = 10_000
"""The fake engine takes samples around this for German."""
RATE = 16_000

_numbers = itertools.count(1)


def new_film(duration_s: float, *, level: int = 1000) -> bytes:
    """A film that no test has sent before; its samples lie around `level`, which is no silence."""
    samples = np.full(int(duration_s * RATE), level, "<i2")
    samples[:2] += next(_numbers)
    return samples.tobytes()


def asr_target(
    *, task: str = "transcribe", language: str = "fr", output: str = "srt", prompt: str = "", extra: str = ""
) -> str:
    """The URL of a film's request; a prompt is what the fake engine obeys, Bazarr sends none."""
    told = f"&initial_prompt={quote(prompt)}" if prompt else ""
    return f"/asr?task={task}&language={language}&output={output}&encode=false{told}{extra}"


DETECT = "/detect-language?encode=false"
