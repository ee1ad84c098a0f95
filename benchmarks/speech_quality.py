"""How good the speech is: served, and as the bare library makes it of the same weights."""

import io
import statistics
import wave

import numpy as np

from benchmarks.dnsmos import Rating, rate_speech
from benchmarks.libraries import Library, Samples
from benchmarks.speaking_server import SpeakingServer
from voice_stack.bench.figures import Figure
from voice_stack.bench.speech import TEXTS

SENTENCES = 10
BELOW_BAR = 0.05
"""Ratings of ten sentences of one voice differ by 0.1 to 0.2, so their mean is known to about this much."""


def measure(server: SpeakingServer, voices: tuple[str, ...], sentences: int = SENTENCES) -> list[Figure]:
    """Two figures for each voice: the ratings on both sides, and how far the served speech is below the library's."""
    return [figure for voice in voices for figure in _measure_voice(server, voice, sentences)]


def _measure_voice(server: SpeakingServer, voice: str, sentences: int) -> list[Figure]:
    # The longest ones: what is shorter than nine seconds is repeated before it is rated.
    texts = sorted(TEXTS, key=len)[-sentences:]
    ours = [_rate_file(server.speak(text, voice)) for text in texts]
    bare = [_rate_library(server.library, text, voice) for text in texts]
    title = f"{server.library.name}, {voice}: DNSMOS of {len(texts)} sentences"
    overall = tuple(rating.overall for rating in ours), tuple(rating.overall for rating in bare)
    below = statistics.mean(overall[1]) - statistics.mean(overall[0])
    return [
        Figure(f"{title}, overall: served / library", "MOS", *overall),
        Figure(f"{title}, speech itself: served / library", "MOS", _signals(ours), _signals(bare)),
        Figure(f"{title}, overall: points below the library's", "MOS", (below,), bar=BELOW_BAR),
    ]


def _signals(ratings: list[Rating]) -> tuple[float, ...]:
    return tuple(rating.signal for rating in ratings)


def _rate_library(library: Library, text: str, voice: str) -> Rating:
    return rate_speech(np.concatenate(list(library.speak(text, voice))), library.sample_rate)


def _rate_file(data: bytes) -> Rating:
    with wave.open(io.BytesIO(data)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        samples: Samples = (pcm / 32768).astype(np.float32)
        return rate_speech(samples, file.getframerate())
