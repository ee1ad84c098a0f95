"""The speech that is measured: said by the TTS server itself, so that nothing has to be downloaded."""

import wave
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import httpx2

MINUTE_TEXT = """\
The old harbour wakes before the town does. At five in the morning the first boats come back, their lamps still
burning, and the gulls follow them in a long white line. Men in heavy coats carry boxes across the stones, and a woman
with a red scarf writes the weight of each one into her book.

By eight the market is open. There are tables with herring, mackerel and crab, and at the end of the row a baker sells
warm bread from the back of his van. Tourists arrive with the nine o'clock train. Most of them buy nothing.

In the afternoon the wind turns, and the water in the basin becomes as flat as glass. Children jump from the wall,
although a sign forbids it. An old captain, who has not been at sea for twenty years, sits on his bench and names every
ship that passes the lighthouse. When the sun goes down, the lamps along the quay are lit one by one,
the boats are made ready again, and the whole day begins from the start.
"""

PARAGRAPH = """\
The museum opens at ten in the morning and closes at six. Tickets can be bought at the door or on the telephone, and
children below the age of twelve pay nothing. The large hall on the first floor shows ships from four centuries,
while the cellar holds maps, clocks and compasses. Guided tours begin every hour beside the anchor.
"""
"""A paragraph of 60 words."""

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


CLIP_VOICE = "en_US-joe-medium"
"""Who speaks what is recognised: the same in all versions, whatever the default voice is."""


def write_minute_of_speech(tts_url: str, path: Path) -> None:
    """Have the TTS server speak for about a minute into a WAV file."""
    body = {"model": CLIP_VOICE, "input": MINUTE_TEXT, "response_format": "wav", "stream": False}
    with httpx2.Client(trust_env=False, timeout=TIMEOUT_S) as client:
        answer = client.post(f"{tts_url}/v1/audio/speech", json=body)
    answer.raise_for_status()
    path.write_bytes(answer.content)


def speak_clips(tts_url: str, folder: Path) -> list[Clip]:
    """Have a TTS server speak the texts into WAV files.

    Raises:
        httpx2.HTTPError: The server does not answer, or answers with an error.
    """
    clips = []
    with httpx2.Client(base_url=tts_url, trust_env=False, timeout=TIMEOUT_S) as client:
        for number, text in enumerate(TEXTS):
            body = {"model": CLIP_VOICE, "voice": "alloy", "input": text, "response_format": "pcm"}
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
