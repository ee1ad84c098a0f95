"""The two ways to a transcript: a running server, or an engine of our own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from voice_stack.asr.settings import AsrSettings
from voice_stack.client import AsyncVoiceStackClient, Job, VoiceStackClientError

if TYPE_CHECKING:
    from voice_stack.client.options import TranscriptFormat

POLL_S = 0.2
ShowProgress = Callable[[float | None, float | None, str], None]
"""Takes percent, seconds left, and what is waited for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What every file is to become; None: the server's choice."""

    text_format: str
    model: str
    task: str
    language: str | None
    prompt: str | None
    temperature: float | None
    word_timestamps: bool
    diarize: bool
    known: Mapping[str, Path]
    num_speakers: int | None = None
    min_speakers: int | None = None
    max_speakers: int | None = None
    target: str | None = None
    original: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """The text of a file to write, the code of the language that was spoken, and what is to be said of the text."""

    content: bytes
    language: str
    warnings: tuple[str, ...] = ()


Transcribe = Callable[[Path, ShowProgress], Awaitable[Rendered]]


@asynccontextmanager
async def server_transcriber(client: AsyncVoiceStackClient, wanted: Wanted) -> AsyncIterator[Transcribe]:
    """Transcribes on a running server, each file as a background job that is removed in the end."""
    async with client:

        async def transcribe(path: Path, show: ShowProgress) -> Rendered:
            show(None, None, "sent")
            job = await _submit(client, path, wanted)
            try:
                done = await client.jobs.wait(job.id, lambda job: show(job.percent, job.eta_s, _describe_wait(job)))
                text = await client.jobs.result_as(job.id, cast("TranscriptFormat", wanted.text_format))
            finally:
                # What it was stopped for, or its result, matters more than the clean-up.
                with suppress(VoiceStackClientError):
                    await client.jobs.cancel(job.id)
            return Rendered(text.encode(), done.language or "und", done.warnings)

        yield transcribe


async def _submit(client: AsyncVoiceStackClient, path: Path, wanted: Wanted) -> Job:
    return await client.jobs.submit(
        path,
        model=wanted.model,
        language=wanted.language,
        prompt=wanted.prompt,
        temperature=wanted.temperature,
        word_timestamps=wanted.word_timestamps,
        translate=wanted.task == "translate",
        diarize=wanted.diarize,
        num_speakers=wanted.num_speakers,
        min_speakers=wanted.min_speakers,
        max_speakers=wanted.max_speakers,
        known_speakers=wanted.known,
        target_language=wanted.target,
        original=wanted.original,
    )


def _describe_wait(job: Job) -> str:
    return f"waits, place {job.queue_place}" if job.queue_place else job.status


@asynccontextmanager
async def own_transcriber(settings: AsrSettings, wanted: Wanted) -> AsyncIterator[Transcribe]:
    """Transcribes in an engine process of our own, which ends with the context.

    Raises:
        ConfigurationError: The engine is not there.
        ModelNotFoundError: The model is not there.
    """
    from voice_stack.asr.app import create_service
    from voice_stack.asr.jobs.record import progress_of
    from voice_stack.asr.rendering import render
    from voice_stack.asr.schemas import check_form
    from voice_stack.core.http.form import Form
    from voice_stack.core.http.spool import SpooledFile

    service = create_service(settings)

    async def transcribe(path: Path, show: ShowProgress) -> Rendered:
        upload = SpooledFile(path, path.name, "", (await asyncio.to_thread(path.stat)).st_size)
        voices = tuple(SpooledFile(voice, voice.name, "", 0) for voice in wanted.known.values())
        checked = check_form(Form(_form_fields(wanted), upload, voices), wanted.task, settings)
        transcription = await service.begin(service.models.resolve(checked.model), checked.request)
        task = asyncio.create_task(transcription.gather())
        try:
            while not task.done():
                progress = progress_of(transcription)
                show(progress.percent, progress.eta_s, "")
                await asyncio.wait({task}, timeout=POLL_S)
        finally:
            task.cancel()
        transcript = task.result()
        content = render(transcript, checked.response_format, checked.render)
        return Rendered(content, transcript.language, transcript.warnings)

    try:
        yield transcribe
    finally:
        await service.pool.close()
        await service.language_model.close()


def _form_fields(wanted: Wanted) -> dict[str, list[str]]:
    """The form a client would send: read by the same checks."""
    single = {
        "model": wanted.model,
        "language": wanted.language,
        "prompt": wanted.prompt,
        "response_format": wanted.text_format,
        "temperature": wanted.temperature,
        "diarize": wanted.diarize,
        "num_speakers": wanted.num_speakers,
        "min_speakers": wanted.min_speakers,
        "max_speakers": wanted.max_speakers,
        "target_language": wanted.target,
        "original": wanted.original or None,
    }
    fields = {name: [str(value)] for name, value in single.items() if value is not None}
    fields |= {"known_speaker_names": list(wanted.known)} if wanted.known else {}
    return fields | ({"timestamp_granularities": ["segment", "word"]} if wanted.word_timestamps else {})
