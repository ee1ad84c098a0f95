"""How long a listener waits for the first sound."""

import time

import httpx2
from piper import PiperVoice

from benchmarks.running import Servers
from benchmarks.speech import PARAGRAPH, REQUEST_TIMEOUT_S
from voice_stack.bench.figures import Figure
from voice_stack.tts.engine_factory import open_store
from voice_stack.tts.settings import TtsSettings

ROUNDS = 5
FORMATS = ("mp3", "pcm")
FIRST_AUDIO_BAR = 1.3


def measure(servers: Servers) -> list[Figure]:
    """First audio byte over HTTP against the bare library's first sentence, in turn, models warm."""
    settings = TtsSettings.read(offline=True)
    voice = PiperVoice.load(next(open_store(settings).resolve(settings.model).glob("*.onnx")))
    bare: list[float] = []
    ours: dict[str, list[float]] = {name: [] for name in FORMATS}
    for _ in range(ROUNDS + 1):
        bare.append(_first_sentence_s(voice))
        for name in FORMATS:
            ours[name].append(_first_byte_s(servers.urls["tts"], name))
    # The first round warms up and is not counted.
    return [
        Figure(
            f"First audio of a 60-word paragraph, {name}: over HTTP / first sentence of Piper alone",
            "s",
            tuple(ours[name][1:]),
            tuple(bare[1:]),
            FIRST_AUDIO_BAR,
        )
        for name in FORMATS
    ]


def _first_sentence_s(voice: PiperVoice) -> float:
    started = time.perf_counter()
    next(iter(voice.synthesize(PARAGRAPH)))
    return time.perf_counter() - started


def _first_byte_s(url: str, audio_format: str) -> float:
    body = {"model": "tts-1", "input": PARAGRAPH, "response_format": audio_format}
    with httpx2.Client(trust_env=False, timeout=REQUEST_TIMEOUT_S) as client:
        started = time.perf_counter()
        with client.stream("POST", f"{url}/v1/audio/speech", json=body) as answer:
            answer.raise_for_status()
            chunks = (chunk for chunk in answer.iter_raw() if chunk)
            next(chunks)
            first_s = time.perf_counter() - started
            # The rest is read, so that the next measurement finds the engine idle.
            for _ in chunks:
                pass
    return first_s
