"""Real speech, if there is any: the served words against those of faster-whisper called in this process.

`VOICE_STACK_SPEECH_DIR` names a folder with WAV files and, beside each, its text in a `.txt` file. Speech in several
languages comes from Kokoro, where its weights are on this machine.
"""

import asyncio
import difflib
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx2
import jiwer
import numpy as np
import soxr
from faster_whisper import WhisperModel
from whisper_normalizer.basic import BasicTextNormalizer

from benchmarks.hallucinations import TIMEOUT_S, wave_file
from benchmarks.libraries import KOKORO, Samples, load_libraries
from benchmarks.report import Figure, percentile_95
from benchmarks.running import Servers
from benchmarks.speech import PAUSE_S, TEXTS, Clip, join_clips
from benchmarks.speech_quality import TEXTS_OF
from benchmarks.transcribing import TranscriptionServer, one_by_one
from voice_stack.asr.engine_factory import open_store
from voice_stack.asr.settings import AsrSettings
from voice_stack.utils.audio.decode import decode_blocks

SPEECH_DIR = "VOICE_STACK_SPEECH_DIR"
LONG_S = 600.0
BEAM_SIZE = 5
MAX_MORE = 0.3
MAX_MORE_MIXED = 5.0
VOICES = {"en": "bf_emma", "fr": "ff_siwis", "es": "ef_dora", "it": "if_sara", "pt": "pm_alex"}
RATE = 16_000
CUTS, REAL_CUTS, CLIENTS = 20, 100, 8
MIN_ADDED = 2
"""One word more is as often ours alone as the library's."""

_normalize = BasicTextNormalizer()


def measure(servers: Servers, folder: Path, model: str) -> list[Figure]:
    """Words wrong in the clips, and in ten minutes made of them, each language found by whoever is measured."""
    clips = find_clips()
    if not clips:
        return []
    library = WhisperModel(
        str(open_store(AsrSettings.read(offline=True)).resolve(model)), device="cpu", compute_type="int8"
    )
    server = replace(TranscriptionServer(servers.urls["asr"], model), language="")
    long = join_clips(of_one_reader(clips), folder / "real-long.wav", LONG_S)
    return [
        _compare(f"{model}: real speech, {len(clips)} files", server, library, clips),
        _compare(f"{model}: real speech, {LONG_S / 60:g} min of it", server, library, [long]),
    ]


def measure_languages(servers: Servers, model: str) -> list[Figure]:
    """Words wrong in a file of several languages, in each of them; and segments astray in files of one."""
    speech = {code: (sound, text) for code, sound, text in _speak_languages()}
    files = {code: [sound] for code, (sound, _) in speech.items()} | {"en": _real_english()}
    figures = list[Figure]()
    with httpx2.Client(base_url=servers.urls["asr"], trust_env=False, timeout=TIMEOUT_S) as client:
        if speech:
            mixed = np.concatenate([sound for sound, _ in speech.values()])
            parts = _hear_languages(client, model, mixed)
            for code, (sound, text) in speech.items():
                alone = " ".join(said for _, said in _hear_languages(client, model, sound, language=code))
                heard = " ".join(said for language, said in parts if language == code)
                more = _error_rate([Clip(Path(), text)], [heard]) - _error_rate([Clip(Path(), text)], [alone])
                name = f"{model}: {len(speech)} languages in one file, {code}: words wrong, points above {code} alone"
                figures.append(Figure(name, "%", (more,), bar=MAX_MORE_MIXED))
        astray = [
            sum(language != code for language, _ in _hear_languages(client, model, sound))
            for code, sounds in files.items()
            for sound in sounds
        ]
    if astray:
        name = f"{model}: segments in another language, {len(astray)} files of one language"
        figures.append(Figure(name, "segments", (float(sum(astray)),), bar=0.0))
    return figures


def measure_cuts(servers: Servers, model: str) -> list[Figure]:
    """Clips cut anywhere out of real speech, often in the middle of a word: their times, and the words we add.

    Every recording of the folder is used, with a text or without: what is added is what the library does not hear.
    """
    clips = list(_cut_at_random(_recordings()))
    library = WhisperModel(
        str(open_store(AsrSettings.read(offline=True)).resolve(model)), device="cpu", compute_type="int8"
    )
    ours_s, bare_s, added = list[float](), list[float](), 0
    with httpx2.Client(base_url=servers.urls["asr"], trust_env=False, timeout=TIMEOUT_S) as client:
        for sound in clips:
            started = time.perf_counter()
            heard = " ".join(text for _, text in _hear_languages(client, model, sound, language="en"))
            ours_s.append(time.perf_counter() - started)
            started = time.perf_counter()
            bare = "".join(segment.text for segment in library.transcribe(sound, language="en", beam_size=BEAM_SIZE)[0])
            bare_s.append(time.perf_counter() - started)
            added += _count_added(words_of(heard).split(), words_of(bare).split())
        if not clips:
            return []

        def hear(sound: Samples) -> float:
            begun = time.perf_counter()
            _hear_languages(client, model, sound, language="en")
            return time.perf_counter() - begun

        started = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            crowd_s = list(pool.map(hear, clips))
        crowd_clip_s = (time.perf_counter() - started) / len(clips)
    name = f"{model}: {len(clips)} cuts of real speech, 2.5 to 9 s"
    worst = max(ours / bare for ours, bare in zip(ours_s, bare_s, strict=True))
    return [
        Figure(name, "s", tuple(ours_s), tuple(bare_s), 0.35),
        Figure(f"{name}, {CLIENTS} clients: time per clip", "s", (crowd_clip_s,), (statistics.mean(bare_s),), 1 / 4.5),
        Figure(
            f"{name}, {CLIENTS} clients: 95th percentile against one client's median",
            "s",
            (percentile_95(crowd_s),),
            (statistics.median(ours_s),),
            8.0,
        ),
        Figure(f"{name}: the slowest of them against the library", "times", (worst,), bar=1.0),
        Figure(f"{name}: words in rows of two or more that the library has not", "words", (float(added),), bar=0.0),
    ]


def _recordings() -> list[Samples]:
    folder = os.environ.get(SPEECH_DIR)
    wavs = sorted(Path(folder).glob("*.wav")) if folder else []
    return [np.concatenate(list(decode_blocks(wav))) for wav in wavs]


def _cut_at_random(sounds: Sequence[Samples]) -> Iterator[Samples]:
    """Pieces of a recording; every fourth one with a second voice, every fourth one ending in another recording."""
    rng = np.random.default_rng(1)

    def cut(size: int) -> Samples:
        sound = sounds[rng.choice(len(sounds), p=weights)]
        start = rng.integers(0, max(1, sound.size - size))
        return sound[start : start + size]

    weights = np.array([sound.size for sound in sounds], float) / max(1, sum(sound.size for sound in sounds))
    for n in range(REAL_CUTS if sounds else 0):
        piece = cut(int(rng.uniform(2.5, 9) * RATE))
        other = cut(piece.size // 2)
        if n % 4 == 1:
            piece = piece + 0.5 * np.pad(other, (piece.size - other.size, 0))
        if n % 4 == 2:
            piece = np.concatenate([piece[: piece.size - other.size], other])
        yield piece.astype(np.float32)


def _count_added(ours: list[str], bare: list[str]) -> int:
    """Words of ours that make a place longer by two or more."""
    places = difflib.SequenceMatcher(None, bare, ours, autojunk=False).get_opcodes()
    more = ((end - start) - (bare_end - bare_start) for _, bare_start, bare_end, start, end in places)
    return sum(words for words in more if words >= MIN_ADDED)


def _speak_languages() -> list[tuple[str, Samples, str]]:
    """Some 12 s of each language, at 16 kHz, with the text."""
    kokoro = next((library for library in load_libraries() if library.model == KOKORO), None)
    spoken = []
    for code, voice in VOICES.items() if kokoro else ():
        assert kokoro is not None
        texts = TEXTS_OF.get(voice[0], TEXTS[-2:])
        pieces = [piece for text in texts for piece in (*kokoro.speak(text, voice), _pause(kokoro.sample_rate))]
        resampled = soxr.resample(np.concatenate(pieces), kokoro.sample_rate, RATE).astype(np.float32)
        spoken.append((code, resampled, " ".join(texts)))
    return spoken


def _pause(sample_rate: int) -> Samples:
    return np.zeros(int(PAUSE_S * sample_rate), np.float32)


def _real_english() -> list[Samples]:
    """The reader's clips, and what is cut out of them one after another, wherever that begins."""
    clips = of_one_reader(find_clips()) if find_clips() else []
    sounds = [np.concatenate(list(decode_blocks(clip.path))) for clip in clips]
    if not sounds:
        return []
    whole = np.concatenate([part for sound in sounds for part in (sound, _pause(RATE))])
    rng = np.random.default_rng(1)
    starts = rng.integers(0, whole.size // 2, CUTS)
    return [*sounds, *(whole[start : start + rng.integers(4, 15) * RATE] for start in starts)]


def _hear_languages(client: httpx2.Client, model: str, sound: Samples, **fields: str) -> list[tuple[str, str]]:
    """Language and text of each segment."""
    form = {"model": model, "response_format": "verbose_json", **fields}
    answer = client.post("/v1/audio/transcriptions", data=form, files={"file": ("a.wav", wave_file(sound))})
    answer.raise_for_status()
    return [(segment["language"], segment["text"]) for segment in answer.json()["segments"]]


def find_clips() -> list[Clip]:
    """The recordings with their texts; none where the variable names no folder."""
    folder = os.environ.get(SPEECH_DIR)
    wavs = sorted(Path(folder).glob("*.wav")) if folder else []
    return [Clip(wav, wav.with_suffix(".txt").read_text("utf-8")) for wav in wavs if wav.with_suffix(".txt").is_file()]


def of_one_reader(clips: Sequence[Clip]) -> list[Clip]:
    """The clips whose names begin as most names do: readings cut from one recording."""
    names = [clip.path.name.split("-")[0] for clip in clips]
    reader = max(names, key=names.count)
    return [clip for clip, name in zip(clips, names, strict=True) if name == reader]


def words_of(text: str) -> str:
    """A text without marks and capitals."""
    return str(_normalize(text)).strip()


def _compare(name: str, server: TranscriptionServer, library: WhisperModel, clips: Sequence[Clip]) -> Figure:
    ours = [answer.text for answer in asyncio.run(one_by_one(server, clips))]
    bare = [_transcribe(library, clip) for clip in clips]
    more = _error_rate(clips, ours) - _error_rate(clips, bare)
    return Figure(f"{name}: words wrong, points above the library's", "%", (more,), bar=MAX_MORE)


def _transcribe(library: WhisperModel, clip: Clip) -> str:
    segments, _ = library.transcribe(str(clip.path), beam_size=BEAM_SIZE)
    return "".join(segment.text for segment in segments)


def _error_rate(clips: Sequence[Clip], texts: Sequence[str]) -> float:
    """Words wrong in a hundred."""
    said = [_normalize(clip.text or "") for clip in clips]
    return 100 * float(jiwer.wer(said, [_normalize(text) for text in texts]))
