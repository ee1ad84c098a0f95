"""`python -m benchmarks.hallucinations`: words heard in sounds in which nobody speaks; they should be none."""

import io
import time
import wave

import click
import httpx2
import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Figure, show
from benchmarks.running import run_servers
from benchmarks.sounds import SAMPLE_RATE, SOUNDS

MINUTES = 10.0
TIMEOUT_S = 3600.0


def measure(asr_url: str, minutes: float = MINUTES, *, condition: str, bar: float | None) -> list[Figure]:
    """One figure for each sound: words heard in it; and one for the time it took in all."""
    figures, started = list[Figure](), time.perf_counter()
    with httpx2.Client(base_url=asr_url, trust_env=False, timeout=TIMEOUT_S) as client:
        for name, make in SOUNDS.items():
            words = _count_words(client, wave_file(make(60 * minutes)))
            figures.append(Figure(f"{name}, {minutes:g} min, {condition}", "words", (float(words),), bar=bar))
    taken_s = time.perf_counter() - started
    return [*figures, Figure(f"all sounds, {minutes:g} min each, {condition}", "s", (taken_s,))]


def _count_words(client: httpx2.Client, sound: bytes) -> int:
    answer = client.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files={"file": ("a.wav", sound)})
    answer.raise_for_status()
    return len(answer.json()["text"].split())


def wave_file(samples: NDArray[np.float32]) -> bytes:
    """A WAV file of samples at 16 kHz, in -1 to 1."""
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return memory.getvalue()


@click.command()
@click.option("--minutes", default=MINUTES, help="Length of each sound.")
@click.option("--without-vad", is_flag=True, help="Also with the VAD switched off: the model hears every second.")
@click.option("--markdown", is_flag=True, help="Print the table for docs/performance.md.")
def main(minutes: float, without_vad: bool, markdown: bool) -> None:
    """Count the words that the default model hears in silence, noise, hum, music and applause."""
    with run_servers() as servers:
        figures = measure(servers.urls["asr"], minutes, condition="as delivered", bar=0.0)
    if without_vad:
        with run_servers(ASR_VAD_ENABLED="false") as servers:
            figures += measure(servers.urls["asr"], minutes, condition="VAD off", bar=None)
        with run_servers(ASR_VAD_ENABLED="false", ASR_SUPPRESS="none") as servers:
            figures += measure(servers.urls["asr"], minutes, condition="VAD off, nothing suppressed", bar=None)
    show(figures, markdown=markdown)


if __name__ == "__main__":
    main()
