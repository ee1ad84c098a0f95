"""What is measured with: clips of 2 to 12 s whose words are known, and long files made of them."""

import wave
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import httpx2

from voice_stack.core.errors import ConfigurationError

TEXTS = (
    "Turn on the lamp in the hall.",
    "Set a timer for twenty minutes.",
    "What will the weather be like tomorrow?",
    "Please close the blinds in the bedroom.",
    "The train to the coast leaves at half past nine.",
    "He put the letter back into its envelope and said nothing.",
    "We need flour, butter, two lemons and a bag of brown sugar.",
    "The bridge was closed for repairs, so the bus took the long way round.",
    "A good map shows you where you are, and a better one shows you where you could go.",
    "The library stays open until ten on Thursdays, but the reading room closes an hour earlier.",
    "My grandmother kept bees behind the house, and every summer she gave a jar of honey to each neighbour.",
    "When the rain stopped, the children ran down to the river to see how high the water had risen in the night.",
    "The engineer explained that the old pump could run for years, as long as somebody oiled the bearing every month.",
    "Nobody in the village remembered who had planted the oak, but everyone agreed that it should never be cut down.",
    "She opened the window, listened to the quiet street for a while, and went back to the book that lay on the table.",
    "The museum bought the painting for a small sum, and years later a student found the name under the varnish.",
)
"""Sentences of our own: commands, remarks, and things that are told."""
PAUSE_S = 0.7
TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class Clip:
    """A WAV file and what is said in it; no text where that is not known."""

    path: Path
    text: str | None = None

    @property
    def duration_s(self) -> float:
        """Length of the file."""
        with wave.open(str(self.path)) as audio:
            return float(audio.getnframes() / audio.getframerate())


def open_clips(paths: Sequence[Path]) -> list[Clip]:
    """Clips of the user's own, which can be joined.

    Raises:
        ConfigurationError: One is no WAV file with one channel of 16 bits, or their sample rates differ.
    """
    rates = set()
    for path in paths:
        try:
            with wave.open(str(path)) as audio:
                shape = (audio.getnchannels(), audio.getsampwidth() * 8)
                rates.add(audio.getframerate())
        except (wave.Error, EOFError) as error:
            raise ConfigurationError(f"{path} is no WAV file: {error}") from None
        if shape != (1, 16):
            raise ConfigurationError(
                f"{path} has {shape[0]} channels of {shape[1]} bits; clips need 1 channel of 16 bits"
            )
    if len(rates) > 1:
        raise ConfigurationError(f"the clips have sample rates of {sorted(rates)} Hz; they must all have the same")
    return [Clip(path) for path in paths]


def speak_clips(tts_url: str, folder: Path, api_key: str = "") -> list[Clip]:
    """Have a TTS server speak the texts into WAV files.

    Raises:
        httpx2.HTTPError: The server does not answer, or answers with an error.
    """
    clips = []
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    with httpx2.Client(base_url=tts_url, headers=headers, trust_env=False, timeout=TIMEOUT_S) as client:
        for number, text in enumerate(TEXTS):
            body = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "pcm"}
            answer = client.post("/v1/audio/speech", json=body)
            answer.raise_for_status()
            path = folder / f"clip-{number:02}.wav"
            _write_wav(path, [answer.content], 24_000)
            clips.append(Clip(path, text))
    return clips


def join_clips(clips: Sequence[Clip], path: Path, duration_s: float) -> Clip:
    """One long WAV file: the clips over and over, with pauses, all of one sample rate, mono, 16 bit."""
    parts, texts, total_s = list[bytes](), list[str](), 0.0
    rate = 0
    for clip in cycle(clips):
        if total_s >= duration_s:
            break
        with wave.open(str(clip.path)) as audio:
            rate = audio.getframerate()
            frames = audio.readframes(audio.getnframes())
        parts += [frames, bytes(2 * int(PAUSE_S * rate))]
        texts.append(clip.text or "")
        total_s += len(frames) / 2 / rate + PAUSE_S
    _write_wav(path, parts, rate)
    return Clip(path, " ".join(texts) if all(texts) else None)


def _write_wav(path: Path, parts: Sequence[bytes], sample_rate: int) -> None:
    with wave.open(str(path), "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(sample_rate)
        for part in parts:
            audio.writeframes(part)
