"""`python -m benchmarks.live`: words while they are spoken, and speech while its text is written, for clients.

Recordings are played at real time over `/v1/realtime`, in frames on the clock, as a microphone sends them. Speech
begins and ends where its sound does, not where a model hears it; the silence that ends a turn is inside "final".
"""

import asyncio
import base64
import difflib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import click
import httpx2
import jiwer
import numpy as np
import psutil
import soxr
from websockets.asyncio.client import ClientConnection, connect
from whisper_normalizer.english import EnglishTextNormalizer

from benchmarks.first_audio import measure_over_time
from benchmarks.libraries import Samples
from benchmarks.real_speech import SPEECH_DIR, words_of
from benchmarks.report import ISA_LIMITS, Figure, percentile_95, show
from benchmarks.running import Servers, run_servers
from benchmarks.speech import TIMEOUT_S, Clip, join_clips, speak_clips
from benchmarks.transcribing import TranscriptionServer, one_by_one
from voice_stack.utils.audio.decode import decode_blocks

RATE = 24_000
FRAME_S = 0.04
PAUSE_S, LAST_S = 1.5, 12.0
"""Silence between two turns of one session alone; how long the last text is waited for."""
SPEECH_SHARE, SEVERAL_S = 0.4, 40.0
LONG_TURN_S = 2.0
FILM_S, FILM_ALONE_S = 1800.0, 8.0
PARTS = ("alone", "4", "16", "film", "speech")
LOUD = 0.03
"""Of a recording's loud parts: what is louder is speech."""

_normalize = EnglishTextNormalizer()

BARS: dict[str, tuple[float, float, float, float]] = {
    "first word": (1.1, 1.7, 1.25, 1.8),
    "final, silence 500 ms": (0.5, 0.6, 0.65, 1.2),
    "final, silence 200 ms": (0.25, 0.4, 0.45, 0.9),
    "4 sessions": (0.55, 0.7, 0.75, 1.3),
    "16 sessions": (0.55, 0.8, 0.95, 1.7),
    "processor": (0.4, 0.4, 0.7, 0.7),
}
"""Median and 95th percentile with AVX-512, the same with AVX2; seconds."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaks at a time: the sound of a file at `RATE`, and where in it speech begins and ends."""

    sound: Samples
    start_s: float
    end_s: float
    clip: Clip

    @property
    def speech_s(self) -> float:
        """Length of it."""
        return self.end_s - self.start_s


@dataclass(slots=True)
class Item:
    """What a client got of one item; times by the clock of the sound."""

    end_s: float | None = None
    first_word_s: float | None = None
    completed_s: float | None = None
    shown: str = ""
    said: str = ""


@dataclass(slots=True)
class Heard:
    """A turn that was played at a time, and the items that it became."""

    turn: Turn
    at_s: float
    items: list[Item] = field(default_factory=list)

    @property
    def first_word_s(self) -> float | None:
        """From the start of its speech to its first words."""
        firsts = [item.first_word_s for item in self.items if item.first_word_s is not None]
        return min(firsts) - self.at_s - self.turn.start_s if firsts else None

    @property
    def final_s(self) -> float | None:
        """From the end of its speech to its last text; None: lost."""
        ends = [item.completed_s for item in self.items if item.completed_s is not None]
        return max(ends) - self.at_s - self.turn.end_s if ends and len(ends) == len(self.items) else None


def _read_turn(clip: Clip) -> Turn:
    sound = soxr.resample(np.concatenate(list(decode_blocks(clip.path))), 16_000, RATE).astype(np.float32)
    step = RATE // 100
    loudness = np.sqrt((sound[: sound.size // step * step].reshape(-1, step) ** 2).mean(axis=1))
    (loud,) = np.nonzero(loudness > LOUD * np.quantile(loudness, 0.95))
    return Turn(sound, float(loud[0] / 100), float((loud[-1] + 1) / 100), clip)


def find_turns(clips: Sequence[Clip]) -> list[Turn]:
    """Real English speech where its folder is named, then the clips."""
    folder = os.environ.get(SPEECH_DIR)
    names = ("librivox-*.wav", "*_en.wav")
    wavs = [wav for name in names for wav in sorted(Path(folder).glob(name))] if folder else []
    texts = [wav.with_suffix(".txt") for wav in wavs]
    said = [text.read_text("utf-8") if text.exists() else None for text in texts]
    return [_read_turn(clip) for clip in [*map(Clip, wavs, said), *clips]]


class Microphone:
    """One session: turns with their pauses, sent on the clock, and what comes back."""

    def __init__(self, url: str, model: str, silence_ms: int) -> None:
        self._url = f"{url.replace('http', 'ws', 1)}/v1/realtime?intent=transcription&model={model}"
        rules = {"type": "server_vad", "silence_duration_ms": silence_ms}
        heard = {"transcription": {"language": "en"}, "turn_detection": rules}
        self._update = {"type": "session.update", "session": {"type": "transcription", "audio": {"input": heard}}}
        self._items: dict[str, Item] = {}
        self._begun = 0.0

    async def play(self, turns: Sequence[Turn], pauses_s: Sequence[float]) -> list[Heard]:
        """What becomes of turns, each after its pause."""
        played, sound, at_s = list[Heard](), list[Samples](), 0.0
        for turn, pause_s in zip(turns, pauses_s, strict=True):
            silence = np.zeros(round(pause_s * RATE), np.float32)
            sound += [silence, turn.sound]
            played.append(Heard(turn, at_s + silence.size / RATE))
            at_s += (silence.size + turn.sound.size) / RATE
        frames = list(_encode(np.concatenate([*sound, np.zeros(2 * RATE, np.float32)])))
        async with connect(self._url, proxy=None, compression=None, max_size=None) as socket:
            await socket.send(json.dumps(self._update))
            self._begun = time.perf_counter()
            receiving = asyncio.create_task(self._receive(socket))
            for number, frame in enumerate(frames, 1):
                await asyncio.sleep(self._begun + number * FRAME_S - time.perf_counter())
                await socket.send(frame)
            for _ in range(round(LAST_S / 0.1)):
                if all(item.completed_s is not None for item in self._items.values()):
                    break
                await asyncio.sleep(0.1)
            receiving.cancel()
        for item in self._items.values():
            ends_s = item.end_s or at_s
            next((heard for heard in reversed(played) if heard.at_s < ends_s), played[0]).items.append(item)
        return played

    async def _receive(self, socket: ClientConnection) -> None:
        async for message in socket:
            event, now_s = json.loads(message), time.perf_counter() - self._begun
            if event["type"] == "error":
                raise RuntimeError(event["error"]["message"])
            if not (item_id := event.get("item_id")):
                continue
            item = self._items.setdefault(item_id, Item())
            match event["type"].rpartition(".")[2]:
                case "speech_stopped":
                    item.end_s = event["audio_end_ms"] / 1000
                case "delta":
                    item.first_word_s = item.first_word_s or now_s
                    item.shown += event["delta"]
                case "completed":
                    item.completed_s, item.said = now_s, event["transcript"]


def _encode(sound: Samples) -> Iterator[str]:
    samples, step = (sound * 32767).astype("<i2"), round(FRAME_S * RATE)
    for start in range(0, samples.size, step):
        audio = base64.b64encode(samples[start : start + step].tobytes()).decode()
        yield json.dumps({"type": "input_audio_buffer.append", "audio": audio})


def _play_alone(url: str, model: str, turns: Sequence[Turn], silence_ms: int) -> list[Heard]:
    return asyncio.run(Microphone(url, model, silence_ms).play(turns, [PAUSE_S] * len(turns)))


async def _play_together(url: str, model: str, turns: Sequence[Turn], sessions: int) -> list[Heard]:
    """Several sessions, each at 40 % speech, each with the turns in another order."""
    rng = np.random.default_rng(1)

    async def listen() -> list[Heard]:
        said, length_s = list[Turn](), 0.0
        for turn in islice(cycle(rng.permutation(len(turns))), 100):
            if length_s < SEVERAL_S:
                said.append(turns[turn])
                length_s += turns[turn].speech_s / SPEECH_SHARE
        pauses_s = [turn.speech_s * (1 / SPEECH_SHARE - 1) * rng.uniform(0.7, 1.3) for turn in said]
        return await Microphone(url, model, 500).play(said, [max(pause_s, PAUSE_S) for pause_s in pauses_s])

    return [heard for part in await asyncio.gather(*(listen() for _ in range(sessions))) for heard in part]


def _times(name: str, values: Sequence[float | None], bars: str) -> list[Figure]:
    """Median and 95th percentile, against the bars of this processor."""
    known = [value for value in values if value is not None]
    median, most = BARS[bars][2:] if os.environ.keys() & ISA_LIMITS.keys() else BARS[bars][:2]
    return [
        Figure(name, "s", tuple(known), bar=median),
        Figure(f"{name}, 95th percentile of {len(known)}", "s", (percentile_95(known),), bar=most),
    ]


def _lost(name: str, played: Sequence[Heard]) -> Figure:
    lost = sum(heard.final_s is None for heard in played)
    return Figure(f"{name}: turns lost of {len(played)}", "turns", (float(lost),), bar=0.0)


def measure_alone(servers: Servers, model: str, turns: Sequence[Turn]) -> list[Figure]:
    """One session: first words, finals, processor time, and how far deltas, finals and files agree."""
    url, name = servers.urls["asr"], f"live, {model}, 1 session"
    processes = [servers.api_processes["asr"], servers.engine_process("asr", model)]
    before_s = _cpu_s(processes)
    played = _play_alone(url, model, turns, 500)
    used_s = (_cpu_s(processes) - before_s) / sum(turn.speech_s for turn in turns)
    quick = _play_alone(url, model, turns[::2], 200)
    long = [heard for heard in played if heard.turn.speech_s > LONG_TURN_S]
    items = [item for heard in [*played, *quick] for item in heard.items]
    shown = sum(_count_contradicted(item) for item in items) / sum(len(words_of(item.said).split()) for item in items)
    early = sum(heard.first_word_s is not None and heard.first_word_s < heard.turn.speech_s for heard in long)
    return [
        *_times(f"{name}: first word, turns over 2 s", [heard.first_word_s for heard in long], "first word"),
        Figure(f"{name}: turns over 2 s without a word before their end", "turns", (float(len(long) - early),)),
        *_times(f"{name}: final, silence 500 ms", [heard.final_s for heard in played], "final, silence 500 ms"),
        *_times(f"{name}: final, silence 200 ms", [heard.final_s for heard in quick], "final, silence 200 ms"),
        _times(f"{name}: processor per second of speech", [used_s], "processor")[0],
        Figure(f"{name}: words of completed that differ from the deltas", "%", (100 * shown,), bar=4.0),
        _compare_with_files(name, url, model, played),
        _lost(name, [*played, *quick]),
    ]


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _count_contradicted(item: Item) -> int:
    """Words that were shown and are not in the final text there, or that are there between those shown."""
    shown, said = words_of(item.shown).split(), words_of(item.said).split()
    places = difflib.SequenceMatcher(None, shown, said, autojunk=False).get_opcodes()
    *inner, last = [place for place in places if place[0] != "equal"] or [("equal", 0, 0, 0, 0)]
    is_tail = last[2] == len(shown)
    return sum(max(b - a, d - c) for _, a, b, c, d in inner) + (last[2] - last[1] if is_tail else last[4] - last[3])


def _compare_with_files(name: str, url: str, model: str, played: Sequence[Heard]) -> Figure:
    known = [heard for heard in played if heard.turn.clip.text]
    files = asyncio.run(one_by_one(TranscriptionServer(url, model), [heard.turn.clip for heard in known]))
    said = [_normalize(heard.turn.clip.text or "") for heard in known]
    live = [_normalize(" ".join(item.said for item in heard.items)) for heard in known]
    more = 100 * float(jiwer.wer(said, live) - jiwer.wer(said, [_normalize(answer.text) for answer in files]))
    return Figure(f"{name}: words wrong, points above the same sound as files", "%", (more,), bar=0.5)


def measure_together(url: str, model: str, turns: Sequence[Turn], sessions: int) -> list[Figure]:
    """Several sessions at once."""
    played = asyncio.run(_play_together(url, model, turns, sessions))
    long = [heard for heard in played if heard.turn.speech_s > LONG_TURN_S]
    name = f"live, {model}, {sessions} sessions at 40 % speech"
    first = [heard.first_word_s for heard in long if heard.first_word_s is not None]
    return [
        *_times(f"{name}: final", [heard.final_s for heard in played], f"{sessions} sessions"),
        _lost(name, played),
        Figure(f"{name}: first word, turns over 2 s", "s", tuple(first)),
    ]


async def measure_beside_film(url: str, model: str, turns: Sequence[Turn], folder: Path) -> list[Figure]:
    """Four sessions and a film: how much slower it becomes, and what they wait."""
    film = join_clips([turn.clip for turn in turns[-8:]], folder / "film.wav", FILM_S)
    seen, is_new = [(time.perf_counter(), 0)], asyncio.Event()

    async def watch() -> None:
        fields = {"model": model, "language": "en", "stream": "true"}
        files = {"file": ("film.wav", film.path.read_bytes(), "audio/wav")}
        async with (
            httpx2.AsyncClient(base_url=url, trust_env=False, timeout=TIMEOUT_S) as client,
            client.stream("POST", "/v1/audio/transcriptions", data=fields, files=files) as answer,
        ):
            async for line in answer.aiter_lines():
                event = json.loads(line[6:]) if line.startswith("data: {") else {}
                if words := len(str(event.get("delta", "")).split()):
                    seen.append((time.perf_counter(), seen[-1][1] + words))
                    is_new.set()

    async def await_words() -> float:
        """Wait for the next words; they come a batch at a time, so rates go from one batch to another."""
        is_new.clear()
        await asyncio.wait_for(is_new.wait(), TIMEOUT_S)
        return seen[-1][0]

    watching = asyncio.create_task(watch())
    begun_s = await await_words()
    await asyncio.sleep(FILM_ALONE_S)
    alone_s = await await_words()
    played = await _play_together(url, model, turns, 4)
    beside_s = await await_words()
    watching.cancel()
    counts = dict(seen)
    rates = [(counts[end] - counts[start]) / (end - start) for start, end in ((begun_s, alone_s), (alone_s, beside_s))]
    name = f"live, {model}, 4 sessions at 40 % speech beside a film"
    return [
        *_times(f"{name}: final", [heard.final_s for heard in played], "4 sessions"),
        _lost(name, played),
        Figure(f"{name}: words of the film, of its speed alone", "%", (100 * rates[1] / rates[0],)),
    ]


def measure(servers: Servers, folder: Path, model: str, parts: Sequence[str] = PARTS) -> list[Figure]:
    """All figures, or those of some parts."""
    clips, url, figures = speak_clips(servers.urls["tts"], folder), servers.urls["asr"], list[Figure]()
    asyncio.run(one_by_one(TranscriptionServer(url, model), clips[:1]))
    turns = find_turns(clips)
    figures += measure_alone(servers, model, turns[: -len(clips)] + turns[-len(clips) :: 2]) if "alone" in parts else []
    for sessions in (4, 16):
        figures += measure_together(url, model, turns, sessions) if str(sessions) in parts else []
    figures += asyncio.run(measure_beside_film(url, model, turns, folder)) if "film" in parts else []
    return figures + (measure_over_time(servers.urls["tts"]) if "speech" in parts else [])


@click.command()
@click.option("--model", default="base", help="The one that listens.")
@click.option("--only", default=",".join(PARTS), help="Parts to measure, separated by commas.")
@click.option("--avx2", is_flag=True, help="As on a processor that has AVX2 and no more.")
@click.option("--markdown", is_flag=True, help="Print the table for docs/performance.md.")
def main(model: str, only: str, avx2: bool, markdown: bool) -> None:
    """Measure live transcription and speech over time; takes some five minutes."""
    if avx2:
        os.environ |= ISA_LIMITS
    with run_servers() as servers, tempfile.TemporaryDirectory() as folder:
        show(measure(servers, Path(folder), model, only.split(",")), markdown=markdown)


if __name__ == "__main__":
    main()
