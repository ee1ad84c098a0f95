"""The server over HTTP against faster-whisper called in this process: short clips, many clients, long files."""

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import jiwer
from faster_whisper import BatchedInferencePipeline, WhisperModel
from whisper_normalizer.english import EnglishTextNormalizer

from benchmarks.report import Figure, percentile_95
from benchmarks.running import Servers
from benchmarks.speech import Clip, join_clips, speak_clips
from benchmarks.transcribing import (
    Answer,
    TranscriptionServer,
    beside_long,
    first_text,
    many_clients,
    one_by_one,
)
from voice_stack.asr.engine_factory import open_store
from voice_stack.asr.settings import AsrSettings

ROUNDS = 2
CLIENTS = 8
LONG_S = 3600.0
MEDIUM_S = 360.0
BEAM_SIZE = 5
LIBRARY_BATCH = 8

_normalize = EnglishTextNormalizer()


def measure(servers: Servers, folder: Path, model: str, *, is_default: bool) -> list[Figure]:
    """All figures of one model; the hour-long file only for the default one."""
    clips = speak_clips(servers.urls["tts"], folder)
    library = WhisperModel(
        str(open_store(AsrSettings.read(offline=True)).resolve(model)), device="cpu", compute_type="int8"
    )
    server = TranscriptionServer(servers.urls["asr"], model)
    asyncio.run(one_by_one(server, clips[:1]))
    figures, idle_s = _measure_short(server, library, clips, model)
    figures += _measure_unknown_language(server, clips, model) if is_default else []
    long = join_clips(clips, folder / f"{model}-long.wav", LONG_S if is_default else MEDIUM_S)
    return figures + _measure_long(server, library, servers, clips, long, model, idle_s)


def _measure_short(
    server: TranscriptionServer, library: WhisperModel, clips: Sequence[Clip], model: str
) -> tuple[list[Figure], float]:
    alone: list[Answer] = []
    bare: list[Answer] = []
    together_s: list[float] = []
    for _ in range(ROUNDS):
        bare += [_time(lambda clip=clip: _transcribe_bare(library, clip)) for clip in clips]  # type: ignore[misc]
        alone += asyncio.run(one_by_one(server, clips))
        total_s, answers = asyncio.run(many_clients(server, [*clips] * 2, CLIENTS))
        together_s.append(total_s / len(answers))
    one_after_another = statistics.mean(answer.time_s for answer in bare)
    ours = tuple(answer.time_s for answer in alone)
    return [
        Figure(f"{model}: one client, short clips", "s", ours, tuple(answer.time_s for answer in bare), 0.35),
        Figure(f"{model}: {CLIENTS} clients, time per clip", "s", tuple(together_s), (one_after_another,), 0.25),
        Figure(
            f"{model}: words wrong in short clips, points above the library's",
            "%",
            (_error_rate(clips, alone) - _error_rate(clips, bare),),
            bar=0.3,
        ),
    ], statistics.median(ours)


def _measure_unknown_language(server: TranscriptionServer, clips: Sequence[Clip], model: str) -> list[Figure]:
    given = asyncio.run(one_by_one(server, clips))
    found = asyncio.run(one_by_one(replace(server, language=""), clips))
    found_s, given_s = (tuple(answer.time_s for answer in answers) for answers in (found, given))
    return [Figure(f"{model}: short clips, language not given / given", "s", found_s, given_s, 1.15)]


def _measure_long(
    server: TranscriptionServer,
    library: WhisperModel,
    servers: Servers,
    clips: Sequence[Clip],
    long: Clip,
    model: str,
    idle_s: float,
) -> list[Figure]:
    name = f"{model}: file of {long.duration_s / 60:.0f} min"
    pipeline = BatchedInferencePipeline(library)
    bare = _time(lambda: _transcribe_batched(pipeline, long))
    engine = servers.engine_process("asr", model)
    before = engine.memory_info().rss
    first_s = asyncio.run(first_text(server, long))
    ours = asyncio.run(one_by_one(server, [long]))[0]
    grown_mb = (servers.peak_rss(engine) - before) / 1e6
    _, short = asyncio.run(beside_long(server, [*clips] * 2, long))
    return [
        Figure(f"{name}, in all, against batches of {LIBRARY_BATCH}", "s", (ours.time_s,), (bare.time_s,), 0.6),
        Figure(f"{name}, first text, upload included", "s", (first_s,), bar=3.0),
        Figure(f"{name}, memory above the loaded model", "MB", (grown_mb,), bar=500.0),
        Figure(
            f"{name}, words wrong, points above the library's",
            "%",
            (_error_rate([long], [ours]) - _error_rate([long], [bare]),),
            bar=0.3,
        ),
        Figure(
            f"{name}, short clip beside it, 95th percentile / one client alone",
            "s",
            (percentile_95([answer.time_s for answer in short]),),
            (idle_s,),
            3.0,
        ),
    ]


def _time(work: Callable[[], str]) -> Answer:
    started = time.perf_counter()
    text = work()
    return Answer(text, time.perf_counter() - started)


def _transcribe_bare(library: WhisperModel, clip: Clip) -> str:
    segments, _ = library.transcribe(str(clip.path), beam_size=BEAM_SIZE, language="en")
    return "".join(segment.text for segment in segments)


def _transcribe_batched(pipeline: BatchedInferencePipeline, clip: Clip) -> str:
    segments, _ = pipeline.transcribe(str(clip.path), beam_size=BEAM_SIZE, language="en", batch_size=LIBRARY_BATCH)
    return "".join(segment.text for segment in segments)


def _error_rate(clips: Sequence[Clip], answers: Sequence[Answer]) -> float:
    """Words wrong in a hundred, over rounds of the same clips."""
    said = [_normalize(clip.text or "") for clip in clips] * (len(answers) // len(clips))
    return 100 * float(jiwer.wer(said, [_normalize(answer.text) for answer in answers]))
