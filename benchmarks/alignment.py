"""Forced alignment: times against those that the voice knows, and what becomes of words that nobody says.

The TTS server tells when each word of its speech is said: Piper by the lengths of its phonemes.
"""

from collections.abc import Sequence
from statistics import median
from typing import TypedDict

import httpx2

from benchmarks.real_speech import find_clips
from benchmarks.report import Figure, percentile_95
from benchmarks.running import Servers
from benchmarks.speech import CLIP_VOICE, MINUTE_TEXT, PARAGRAPH, TIMEOUT_S, Clip

MEDIAN_BAR_MS, WORST_BAR_MS = 50.0, 200.0
INVENTED_BAR, UNHEARD_BAR = 0.0, 5.0


class _Word(TypedDict):
    """A word as both servers have it."""

    word: str
    start: float | None
    end: float | None


def measure(servers: Servers) -> list[Figure]:
    """The errors of starts and ends; the words of a text that nobody says which got times; those said that got none."""
    with httpx2.Client(trust_env=False, timeout=TIMEOUT_S) as client:
        sound, spoken = _speak(client, servers.urls["tts"], f"{MINUTE_TEXT}\n{PARAGRAPH}")
        told = _align(client, servers.urls["asr"], sound, " ".join(word["word"] for word in spoken))
        foreign = [_align(client, servers.urls["asr"], sound, text) for text in (_FOREIGN, _FOREIGN * 4)]
        errors_ms = _errors_ms(spoken, told)
        title = f"alignment of {len(spoken)} words"
        figures = [
            Figure(f"{title}: start and end, median error", "ms", (median(errors_ms),), bar=MEDIAN_BAR_MS),
            Figure(f"{title}: start and end, 95th percentile", "ms", (percentile_95(errors_ms),), bar=WORST_BAR_MS),
            Figure(f"{title}: said, without a time", "%", (100 - _heard(told),), bar=UNHEARD_BAR),
            Figure("alignment of another text: words with a time", "%", tuple(map(_heard, foreign)), bar=INVENTED_BAR),
        ]
        return figures + _measure_real(client, servers.urls["asr"], find_clips())


def _measure_real(client: httpx2.Client, url: str, clips: Sequence[Clip]) -> list[Figure]:
    """Each clip with its own text, and with that of the next."""
    own, others = list[float](), list[float]()
    for clip, other in zip(clips, (*clips[1:], *clips[:1]), strict=True):
        sound = clip.path.read_bytes()
        own.append(100 - _heard(_align(client, url, sound, clip.text or "")))
        others.append(_heard(_align(client, url, sound, other.text or "")))
    title = f"alignment of real speech, {len(clips)} files"
    return [
        Figure(f"{title}: said, without a time", "%", tuple(own), bar=UNHEARD_BAR),
        Figure(f"{title}, each with another's text: words with a time", "%", tuple(others), bar=INVENTED_BAR),
    ][: 2 * bool(clips)]


def _speak(client: httpx2.Client, url: str, text: str) -> tuple[bytes, list[_Word]]:
    body = {"model": CLIP_VOICE, "input": text, "response_format": "wav", "stream": False, "timestamps": True}
    answer = client.post(f"{url}/v1/audio/speech", json=body).raise_for_status()
    captions = client.get(f"{url}{answer.headers['x-captions']}").raise_for_status().json()
    return answer.content, [word for sentence in captions["sentences"] for word in sentence["words"]]


def _align(client: httpx2.Client, url: str, sound: bytes, text: str) -> list[_Word]:
    answer = client.post(f"{url}/v1/audio/alignments", data={"text": text}, files={"file": ("a.wav", sound)})
    words: list[_Word] = answer.raise_for_status().json()["words"]
    return words


def _heard(words: Sequence[_Word]) -> float:
    """Words with a time in a hundred."""
    return 100 * sum(word["start"] is not None for word in words) / len(words)


def _errors_ms(spoken: Sequence[_Word], told: Sequence[_Word]) -> list[float]:
    errors_ms = []
    for one, other in zip(spoken, told, strict=True):
        for known, found in ((one["start"], other["start"]), (one["end"], other["end"])):
            if known is not None and found is not None:
                errors_ms.append(1000 * abs(found - known))
    return errors_ms


_FOREIGN = """\
When the letter arrived she had already left for the mountains, and her brother, who knew nothing of the quarrel, put it
on the shelf behind the radio. It stayed there for eleven years. Nobody in the house ever asked about it, although the
stamp was from a country that did not exist any more, and the handwriting was that of their father.
"""
