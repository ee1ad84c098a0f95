"""`python -m benchmarks.diarization`: who speaks when, by pyannote's own sample and by speech that was put together.

The error is that of the field (DER): of all speech, what is missed, false (nobody speaks) or another's, without
a collar and with what is said at once. References are the times of words: the voice's own, or the transcriber's.
"""

import io
import os
import re
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import distribution
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import click
import httpx2
import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from benchmarks.corpora import CACHE
from benchmarks.real_speech import find_clips
from benchmarks.report import Figure, show
from benchmarks.running import Servers, run_servers
from benchmarks.speech import MINUTE_TEXT, PARAGRAPH, TEXTS, TIMEOUT_S
from voice_stack.asr.models import SPEAKER_CATALOGUE
from voice_stack.asr.request import EngineOptions, SpeakerChoice
from voice_stack.asr.speakers.base import SAMPLE_RATE
from voice_stack.asr.speakers.community import CommunityEngine
from voice_stack.core.models.store import ModelStore
from voice_stack.tts.engine.base import EngineVoice, VoiceOptions
from voice_stack.tts.engine.kokoro import KokoroEngine
from voice_stack.tts.engine.kokoro_model import SAMPLE_RATE as KOKORO_RATE
from voice_stack.tts.models import TTS_CATALOGUE
from voice_stack.utils.audio.decode import decode_excerpt
from voice_stack.utils.audio.pcm import to_int16, wav_header

SAMPLE_BAR, MIXED_BAR, WORDS_BAR, COST_BAR, LABELS_BAR = 6.0, 9.0, 3.0, 0.15, 1.35
FRAME_S = 0.005
_JOINED_S = 0.3
"""Words of one person with a shorter pause between them are one turn."""
_LINES = 6


class Turn(NamedTuple):
    """Somebody speaks from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    who: str


class Errors(NamedTuple):
    """Seconds of speech that are missed, false or another's, and of speech in all."""

    missed_s: float
    false_s: float
    confused_s: float
    speech_s: float

    @property
    def percent(self) -> float:
        """The diarization error rate."""
        return 100 * (self.missed_s + self.false_s + self.confused_s) / self.speech_s


def compare(reference: Sequence[Turn], found: Sequence[Turn]) -> Errors:
    """The errors of what was found, with the names that fit best; what two say at once counts twice."""
    length = round(max((turn.end_s for turn in (*reference, *found)), default=0.0) / FRAME_S) + 1
    real, heard = _grid(reference, length), _grid(found, length)
    shared = real @ heard.T
    right = shared[linear_sum_assignment(shared, maximize=True)].sum()
    real_count, heard_count = real.sum(0), heard.sum(0)
    missed = np.maximum(real_count - heard_count, 0).sum()
    false = np.maximum(heard_count - real_count, 0).sum()
    confused = np.minimum(real_count, heard_count).sum() - right
    return Errors(*(FRAME_S * float(frames) for frames in (missed, false, confused, real_count.sum())))


def _grid(turns: Sequence[Turn], length: int) -> NDArray[np.float64]:
    names = list(dict.fromkeys(turn.who for turn in turns))
    grid = np.zeros((len(names), length))
    for turn in turns:
        grid[names.index(turn.who), round(turn.start_s / FRAME_S) : round(turn.end_s / FRAME_S)] = 1
    return grid


def read_sample() -> tuple[NDArray[np.float32], list[Turn]]:
    """Thirty seconds of two people on the telephone, and who of them speaks when, out of pyannote's package."""
    folder = Path(str(distribution("pyannote-audio").locate_file("pyannote/audio/sample")))
    rows = [line.split() for line in (folder / "sample.rttm").read_text("utf-8").splitlines()]
    turns = [Turn(float(row[3]), float(row[3]) + float(row[4]), row[7]) for row in rows if row[:1] == ["SPEAKER"]]
    return decode_excerpt(folder / "sample.wav", 0.0, 60.0), turns


class Word(NamedTuple):
    """Of a recording."""

    text: str
    start_s: float
    end_s: float
    who: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """Some sound and its words."""

    samples: NDArray[np.float32]
    words: tuple[Word, ...]

    def cut(self, first: int, last: int) -> "Speech":
        """From one word to before another."""
        start_s, end_s = max(0.0, self.words[first].start_s - 0.1), self.words[last - 1].end_s + 0.15
        words = (_moved(word, -start_s) for word in self.words[first:last])
        return Speech(self.samples[int(start_s * SAMPLE_RATE) : int(end_s * SAMPLE_RATE)], tuple(words))

    def sentences(self, *, least_s: float = 2.0, most_s: float = 6.0) -> list["Speech"]:
        """Pieces of that length, cut where the voice pauses."""
        pieces, first = list[Speech](), 0
        for place, word in enumerate(self.words):
            length_s = word.end_s - self.words[first].start_s
            is_last = place == len(self.words) - 1
            pauses = is_last or self.words[place + 1].start_s - word.end_s >= 0.25
            if is_last or (pauses and length_s >= least_s) or length_s >= most_s:
                pieces.append(self.cut(first, place + 1))
                first = place + 1
        return pieces

    @property
    def turns(self) -> list[Turn]:
        """When each speaks, by the words."""
        turns = dict[str, list[Turn]]()
        for word in sorted(self.words, key=lambda word: word.start_s):
            own = turns.setdefault(word.who, [])
            if own and word.start_s - own[-1].end_s <= _JOINED_S:
                own[-1] = own[-1]._replace(end_s=max(own[-1].end_s, word.end_s))
            else:
                own.append(Turn(word.start_s, word.end_s, word.who))
        return [turn for own in turns.values() for turn in own]


def _moved(word: Word, by_s: float, who: str = "") -> Word:
    """The same word at another time, of somebody."""
    return word._replace(start_s=word.start_s + by_s, end_s=word.end_s + by_s, who=who or word.who)


def join(parts: Iterable[tuple[str, Speech]], seed: int, overlaps: float = 0.0) -> Speech:
    """A talk: each part after a short pause, or before the last one ends; loudness differs a little."""
    chance, at_s, last = np.random.default_rng(seed), 0.3, ""
    samples, words = np.zeros(0, np.float32), list[Word]()
    for who, part in parts:
        speech = part.cut(0, len(part.words))
        overlap = last not in ("", who) and chance.random() < overlaps
        at_s += float(-chance.uniform(0.4, 1.2) if overlap else chance.uniform(0.15, 0.7))
        at = max(0, int(at_s * SAMPLE_RATE))
        level = 0.08 / float(np.sqrt(np.mean(speech.samples**2))) * 10 ** (chance.uniform(-3, 3) / 20)
        samples = np.pad(samples, (0, max(0, at + speech.samples.size - samples.size)))
        samples[at : at + speech.samples.size] += speech.samples * np.float32(level)
        words += [_moved(word, at / SAMPLE_RATE, who) for word in speech.words]
        at_s, last = (at + speech.samples.size) / SAMPLE_RATE, who
    noise = chance.normal(0, 3e-4, samples.size)
    return Speech((samples / max(1.0, float(np.abs(samples).max())) + noise).astype(np.float32), tuple(words))


def talk(lines: dict[str, list[Speech]], seed: int, length_s: float, overlaps: float = 0.0) -> Speech:
    """Each of the speakers once, then in a random order, as long as it is to be."""
    chance, parts, total_s = np.random.default_rng(seed), list[tuple[str, Speech]](), 0.0
    waiting, used = list(lines), dict.fromkeys(lines, 0)
    while total_s < length_s:
        others = [who for who in lines if not parts or who != parts[-1][0]]
        who = waiting.pop(0) if waiting else others[int(chance.integers(len(others)))]
        speech = lines[who][used[who] % len(lines[who])]
        used[who] += 1
        parts.append((who, speech))
        total_s += speech.words[-1].end_s - speech.words[0].start_s + 0.5
    return join(parts, seed, overlaps)


VOICES = (
    "af_heart", "af_bella", "af_sarah", "af_nova", "am_michael", "am_fenrir", "am_puck", "am_adam", "bf_emma",
    "bf_isabella", "bm_george", "bm_fable",
)  # fmt: skip
_DIALOGUES = ((0, 4), (1, 10), (2, 6, 8), (3, 5, 9), (7, 8), (11, 0))


def speak_lines() -> dict[str, list[Speech]]:
    """Some sentences by each of twelve of Kokoro's voices; kept, for they take minutes."""
    told = re.split(r"(?<=[.])\s", MINUTE_TEXT + PARAGRAPH)
    sentences = [*TEXTS, *(" ".join(text.split()) for text in told if text.strip())]
    models = ModelStore(TTS_CATALOGUE, CACHE.parent / "models", offline=False)
    engine: KokoroEngine | None = None
    lines = dict[str, list[Speech]]()
    for row, voice in enumerate(VOICES):
        for number in range(_LINES):
            path = CACHE / "spoken" / f"{voice}-{number}.npz"
            if not path.exists():
                engine = engine or KokoroEngine(models.resolve("kokoro"), device="cpu", threads=0)
                text = sentences[(row * 5 + number * 7) % len(sentences)]
                (said,) = engine.synthesize(text, VoiceOptions(EngineVoice(voice), "en"))
                samples = soxr.resample(said.samples, KOKORO_RATE, SAMPLE_RATE).astype(np.float32)
                times = [(word.start_s, word.end_s) for word in said.words]
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(path, samples=samples, times=times, texts=[word.text for word in said.words])
            with np.load(path) as kept:
                words = tuple(
                    Word(str(text), float(start_s), float(end_s))
                    for text, (start_s, end_s) in zip(kept["texts"], kept["times"], strict=True)
                )
                lines.setdefault(voice, []).append(Speech(kept["samples"], words))
    return lines


def mix_recordings(servers: Servers, lines: dict[str, list[Speech]]) -> dict[str, Speech]:
    """Seven recordings of two to four people; those of real ones where there are some."""
    real = _find_readers(servers)
    kokoro = {
        "2 voices, 45 s": (("af_heart", "am_michael"), 3, 45, 0.25),
        "2 voices, 44 s": (("bf_emma", "am_puck"), 4, 44, 0.25),
        "3 voices, 53 s": (("af_bella", "bm_george", "am_fenrir"), 5, 53, 0.25),
        "4 voices, 40 s": (("af_nova", "bm_george", "af_heart", "am_puck"), 7, 40, 0.1),
    }
    mixed = {
        f"Kokoro, {name}": talk({who: lines[who] for who in voices}, seed, length_s, overlaps)
        for name, (voices, seed, length_s, overlaps) in kokoro.items()
    }
    if "librivox" not in real:
        return mixed
    two = {"librivox": real["librivox"], "two_cities": real["two_cities"]}
    beside = [(who, part) for pair in zip(*two.values(), strict=False) for who, part in zip(two, pair, strict=True)]
    others = [("beckett", real["beckett"][0]), ("clone-test", real["clone-test"][0])]
    return mixed | {
        "two readers, 38 s": talk(two, 1, 38),
        "two readers and two more, 55 s": join([*beside[:4], others[0], *beside[4:8], others[1], *beside[8:]], 2, 0.2),
        "a reader and an actor, 17 s": talk({"librivox": two["librivox"], "beckett": real["beckett"]}, 6, 17),
    }


def _find_readers(servers: Servers) -> dict[str, list[Speech]]:
    """Recordings of people with their words, as far as there are any: our own and those beside the model."""
    assets = Path(str(distribution("moonshine-voice").locate_file("moonshine_voice/assets")))
    files = {"librivox": [clip.path for clip in find_clips() if clip.path.name.startswith("librivox")]}
    files |= {name: [assets / f"{name}.wav"] for name in ("two_cities", "beckett", "clone-test")}
    least_s = {"beckett": 1.0}
    return {
        name: [
            piece
            for path in paths
            for piece in _listen(servers, decode_excerpt(path, 0.0, 60.0)).sentences(least_s=least_s.get(name, 2.0))
        ]
        for name, paths in files.items()
        if paths
    }


def _listen(servers: Servers, samples: NDArray[np.float32], **fields: str) -> Speech:
    """The words of some sound as the server hears them, with who says them if it is asked."""
    form = {"model": "whisper-1", "response_format": "verbose_json", "timestamp_granularities[]": "word", **fields}
    with httpx2.Client(base_url=servers.urls["asr"], trust_env=False, timeout=TIMEOUT_S) as client:
        answer = client.post("/v1/audio/transcriptions", data=form, files={"file": ("a.wav", _wav(samples))})
        words = answer.raise_for_status().json()["words"]
    return Speech(samples, tuple(Word(w["word"], w["start"], w["end"], w.get("speaker") or "") for w in words))


def _wav(samples: NDArray[np.float32]) -> bytes:
    file = io.BytesIO(wav_header(samples.size, SAMPLE_RATE))
    file.seek(0, io.SEEK_END)
    file.write(to_int16(samples).astype("<i2").tobytes())
    return file.getvalue()


def wrong_words(spoken: Sequence[Word], heard: Sequence[Word]) -> tuple[int, int]:
    """How many of the words that were recognised have another speaker than who said them, and how many those are.

    A word that was heard is the nearest in time of the same text that was spoken, at most a second away: the same
    sentence may be said twice, and what is said at once has no order.
    """
    one, other = (np.array([re.sub(r"\W", "", word.text).lower() for word in words]) for words in (spoken, heard))
    begin, heard_s = (np.array([word.start_s for word in words]) for words in (spoken, heard))
    near = (one[:, None] == other) * np.maximum(0, 1 - np.abs(begin[:, None] - heard_s))
    places = zip(*linear_sum_assignment(near, maximize=True), strict=True)
    pairs = [(spoken[a].who, heard[b].who) for a, b in places if near[a, b]]
    said, told = (list(dict.fromkeys(names)) for names in zip(*pairs, strict=True))
    counts = np.zeros((len(said), len(told)))
    for who, label in pairs:
        counts[said.index(who), told.index(label)] += 1
    return len(pairs) - int(counts[linear_sum_assignment(counts, maximize=True)].sum()), len(pairs)


def measure(servers: Servers) -> list[Figure]:
    """All of it."""
    engine = CommunityEngine(
        ModelStore(SPEAKER_CATALOGUE, CACHE.parent / "models", offline=False).resolve("diarization"),
        EngineOptions(device="cpu"),
    )
    lines = speak_lines()
    sample, reference = read_sample()
    recordings = mix_recordings(servers, lines)
    errors = {"pyannote's sample": compare(reference, _diarize(engine, sample))}
    errors |= {name: compare(mixed.turns, _diarize(engine, mixed.samples)) for name, mixed in recordings.items()}
    total = Errors(*np.sum([*errors.values()], axis=0))
    parts = {"missed": total.missed_s, "false": total.false_s, "another's": total.confused_s}
    return [
        *(
            Figure(f"who speaks: {name}, error", "%", (error.percent,), bar=None if number else SAMPLE_BAR)
            for number, (name, error) in enumerate(errors.items())
        ),
        *(Figure(f"who speaks: {name}", "%", (100 * part / total.speech_s,)) for name, part in parts.items()),
        Figure(f"who speaks: all {len(errors)} recordings, error", "%", (total.percent,), bar=MIXED_BAR),
        _measure_words(servers, lines),
        *_measure_cost(servers, engine.model_dir, recordings["Kokoro, 3 voices, 53 s"].samples),
    ]


def _diarize(engine: CommunityEngine, samples: NDArray[np.float32]) -> list[Turn]:
    recording = engine.open()
    recording.add(samples, is_last=True)
    turns = recording.diarize(SpeakerChoice()).turns
    return [Turn(turn.start_s, turn.end_s, str(turn.voice)) for turn in turns]


def _measure_words(servers: Servers, lines: dict[str, list[Speech]]) -> Figure:
    """Dialogues of twelve voices, a quarter of the turns before the last one's end, through the server."""
    wrong = total = 0
    for seed, rows in enumerate(_DIALOGUES):
        spoken = talk({VOICES[row]: lines[VOICES[row]] for row in rows}, 300 + seed, 50, 0.25)
        of, words = wrong_words(spoken.words, _listen(servers, spoken.samples, diarize="true").words)
        wrong, total = wrong + of, total + words
    return Figure(f"who speaks: {total} words of 12 voices, another's", "%", (100 * wrong / total,), bar=WORDS_BAR)


def _measure_cost(servers: Servers, folder: Path, samples: NDArray[np.float32]) -> list[Figure]:
    """CPU time of the engine, and how long a transcription takes with and without speakers."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in the engine's process; it counts in a new one
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        costs = pool.submit(_cpu_costs, folder, samples).result()
    figures = [Figure("who speaks: CPU seconds for a second", "s", costs, bar=COST_BAR)]
    for length_s in (15, 60):
        sound = np.resize(samples, length_s * SAMPLE_RATE)
        times = {fields: list[float]() for fields in ("", "true")}
        for _ in range(6):
            for diarize, taken in times.items():
                started = time.perf_counter()
                _listen(servers, sound, **({"diarize": diarize} if diarize else {}))
                taken.append(time.perf_counter() - started)
        with_speakers, without = (tuple(times[fields][1:]) for fields in ("true", ""))
        title = f"base: {length_s} s with speakers / without"
        figures.append(Figure(title, "s", with_speakers, without, LABELS_BAR))
    return figures


def _cpu_costs(folder: Path, samples: NDArray[np.float32]) -> tuple[float, ...]:
    engine, costs = CommunityEngine(folder, EngineOptions(device="cpu")), list[float]()
    for _ in range(4):
        started = time.process_time()
        _diarize(engine, samples)
        costs.append((time.process_time() - started) * SAMPLE_RATE / samples.size)
    return tuple(costs[1:])


@click.command()
@click.option("--markdown", is_flag=True, help="Print the table for docs/performance.md.")
def main(markdown: bool) -> None:
    """Measure who speaks; takes some four minutes, the first time some more."""
    with run_servers() as servers:
        figures = measure(servers)
    show(figures, markdown=markdown)


if __name__ == "__main__":
    main()
