"""What HTTP, the process border and the scheduler cost a transcription."""

import time
import wave
from collections.abc import Callable
from pathlib import Path

import httpx2
from faster_whisper import WhisperModel

from benchmarks.report import Figure
from benchmarks.running import Servers
from benchmarks.speech import TIMEOUT_S, write_minute_of_speech
from voice_stack.asr.engine_factory import engine_specs, load_engine, open_store
from voice_stack.asr.listening.workload import AsrWorkload
from voice_stack.asr.request import AsrWorkerConfig, AudioFile, DecodeOptions, TranscriptionRequest, WindowText
from voice_stack.asr.settings import AsrSettings
from voice_stack.core.feeds import Inbox
from voice_stack.core.jobs import Again, Job, Output, Unit, Urgency
from voice_stack.core.system.cpus import available_cpus

ROUNDS = 3
MODEL = "base"
HTTP_BAR = 1.05


def measure(servers: Servers, folder: Path) -> list[Figure]:
    """Transcribe a minute of speech in turn over HTTP, in this process, and with the bare library."""
    settings = AsrSettings.read(model=MODEL, offline=True)
    config = engine_specs(settings, MODEL)[0].config
    assert isinstance(config, AsrWorkerConfig)
    workload = AsrWorkload(config, lambda: load_engine(config))
    workload.load()
    # The same number format and threads as the server's engine on a CPU.
    library = WhisperModel(
        str(open_store(settings).resolve(MODEL)), device="cpu", compute_type="int8", cpu_threads=available_cpus()
    )
    path = folder / "minute.wav"
    write_minute_of_speech(servers.urls["tts"], path)
    over_http, in_process, bare = [], [], []
    texts: set[str] = set()
    # The first round warms all three up and is not counted.
    for _ in range(ROUNDS + 1):
        over_http.append(_time(lambda: texts.add(transcribe_over_http(servers.urls["asr"], path))))
        in_process.append(_time(lambda: texts.add(_transcribe_in_process(workload, path))))
        bare.append(_time(lambda: _transcribe_bare(library, path)))
    if len(texts) != 1:
        raise AssertionError(f"HTTP and the process itself heard different words: {texts}")
    name = f"Transcribe {_duration_s(path):.0f} s of speech, model {MODEL}"
    return [
        Figure(f"{name}: over HTTP / in the process", "s", tuple(over_http[1:]), tuple(in_process[1:]), HTTP_BAR),
        Figure(f"{name}: over HTTP / faster-whisper alone", "s", tuple(over_http[1:]), tuple(bare[1:])),
    ]


def _time(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def transcribe_over_http(url: str, path: Path) -> str:
    """Text that the server hears in a file."""
    with httpx2.Client(trust_env=False, timeout=TIMEOUT_S) as client, path.open("rb") as audio:
        fields = {"model": "whisper-1", "language": "en", "response_format": "json"}
        answer = client.post(f"{url}/v1/audio/transcriptions", data=fields, files={"file": (path.name, audio)})
    answer.raise_for_status()
    text: str = answer.json()["text"]
    return text.strip()


def _transcribe_in_process(workload: AsrWorkload, path: Path) -> str:
    """The work of the engine process without process, scheduler and HTTP."""
    job = Job("bench", TranscriptionRequest(AudioFile(path), DecodeOptions("en")), "bench")
    waiting = [step for step in workload.plan(job, Inbox()) if isinstance(step, Unit)]
    texts: dict[int, str] = {}
    while waiting:
        key = waiting[0].batch_key
        batch = [unit for unit in waiting if unit.batch_key == key][: workload.max_batch]
        taken = {unit.index for unit in batch}
        waiting = [unit for unit in waiting if unit.index not in taken]
        for result in workload.run(batch, Urgency.LONG):
            if isinstance(result, Again):
                waiting.append(result.unit)
            elif isinstance(result, Output) and isinstance(result.payload, WindowText):
                texts[result.index] = "".join(segment.text for segment in result.payload.segments)
    workload.finish(job)
    workload.forget(job)
    return "".join(texts[index] for index in sorted(texts)).strip()


def _transcribe_bare(library: WhisperModel, path: Path) -> str:
    segments, _ = library.transcribe(str(path), beam_size=5, vad_filter=True, language="en")
    return "".join(segment.text for segment in segments)


def _duration_s(path: Path) -> float:
    with wave.open(str(path)) as audio:
        return float(audio.getnframes() / audio.getframerate())
