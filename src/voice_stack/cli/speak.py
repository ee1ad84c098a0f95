"""`voice-stack speak`: a text as an audio file, on a running server or without one."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Final, get_args

import click

from voice_stack.cli.progress import Display, format_duration, open_display
from voice_stack.client import AsyncVoiceStackClient, AudioFormat, FileHead, SpeechChunk, VoiceStackClientError
from voice_stack.client.upload import format_of, replacing
from voice_stack.core.errors import VoiceStackError
from voice_stack.core.logging import configure_logging

if TYPE_CHECKING:
    from voice_stack.tts.settings import TtsSettings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is said and how; no language: that of the text."""

    text: str
    voice: str
    model: str
    format: AudioFormat
    speed: float
    language: str | None


async def speak_on_server(client: AsyncVoiceStackClient, wanted: Wanted) -> AsyncGenerator[SpeechChunk, None]:
    """Speak on a running server.

    Raises:
        VoiceStackClientError: It does not answer, or refuses.
    """
    options = asdict(wanted)
    async with client:
        async for chunk in client.synthesize_chunks(options.pop("text"), **options):
            yield chunk


async def speak_by_itself(settings: "TtsSettings", wanted: Wanted) -> AsyncGenerator[SpeechChunk, None]:
    """Speak in engine processes of our own, which end with the iterator; what the cache has needs none.

    Raises:
        ConfigurationError: The engine is not there.
        VoiceStackError: The request does not fit, or the engine fails.
    """
    from voice_stack.tts.schemas import check_speech
    from voice_stack.tts.setup import create_service

    service = create_service(settings)
    try:
        body = check_speech(_json_body(wanted))
        plan = await service.plan(body)
        speech = await service.begin(body, plan, await service.key(body, plan))
        try:
            async for piece in speech.reader.pieces():
                characters = (piece.note or {}).get("characters")
                yield SpeechChunk(piece.audio, characters if isinstance(characters, int) else None)
            facts = speech.reader.recording.facts
            assert facts is not None
            head = FileHead(facts.exact_head.replaces, facts.exact_head.data)
            yield SpeechChunk(b"", head=head, duration_s=facts.audio_s)
        finally:
            speech.close()
    finally:
        await service.cache.close()
        await service.pool.close()
        await service.language_process.close()


def _json_body(wanted: Wanted) -> dict[str, object]:
    """The body a client would send: read by the same checks."""
    body = {**asdict(wanted), "input": wanted.text, "response_format": wanted.format}
    return {name: value for name, value in body.items() if value is not None}


_COPY_BYTES = 1 << 20
EXIT_INTERRUPTED: Final = 130
STANDARD: Final = "-"
LONG_TEXT: Final = 500
"""Characters from which it is shown how far the speech is: half a minute of sound."""


@click.command()
@click.argument("text", nargs=-1, metavar="[TEXT...]")
@click.option("-f", "--file", "text_file", metavar="FILE", help="Speak this text file (UTF-8); - is standard input.")
@click.option("-o", "--output", required=True, metavar="FILE", help="Audio file to write; - is standard output.")
@click.option("--format", "audio_format", type=click.Choice(get_args(AudioFormat)),
              help="By default what the suffix of FILE says; mp3 on standard output.")  # fmt: skip
@click.option("-v", "--voice", default="alloy", show_default=True, help="A voice of the server, or OpenAI's name.")
@click.option("-m", "--model", default="tts-1", show_default=True, help="Engine or model; tts-1 is the default one.")
@click.option("-s", "--speed", type=click.FloatRange(0.25, 4), default=1.0, show_default=True, help="1: its own pace.")
@click.option("-l", "--language", help="Language of the text, as en; found from the text if absent.")
@click.option("--server", "--url", envvar="VOICE_STACK_TTS_URL", metavar="URL",
              help="A running TTS server [VOICE_STACK_TTS_URL]; without: no server needed.")  # fmt: skip
@click.option("--api-key", envvar="VOICE_STACK_API_KEY", help="If the server wants one [VOICE_STACK_API_KEY].")
def speak(
    text: tuple[str, ...],
    text_file: str | None,
    output: str,
    audio_format: AudioFormat | None,
    voice: str,
    model: str,
    speed: float,
    language: str | None,
    server: str | None,
    api_key: str | None,
) -> None:
    """Speak TEXT into an audio file: `voice-stack speak "Good morning." -o morning.mp3`.

    TEXT may be - for standard input. Exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    audio_format = audio_format or _format_of(output)
    if output == STANDARD and sys.stdout.isatty():
        raise click.UsageError("--output -: standard output is a terminal, which plays no audio; write to a pipe")
    wanted = Wanted(_read_text(text, text_file), voice, model, audio_format, speed, language)
    try:
        asyncio.run(_speak(_open_speaker(server, api_key, wanted), wanted, output))
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except VoiceStackClientError as error:
        raise VoiceStackError(str(error)) from error
    except OSError as error:
        raise VoiceStackError(f"{output}: {error.strerror or error}") from error


def _format_of(output: str) -> AudioFormat:
    if output == STANDARD:
        return "mp3"
    try:
        return format_of(Path(output))
    except ValueError as error:
        raise click.UsageError(f"--output {str(error).replace('give format=', 'give --format')}") from None


def _read_text(words: tuple[str, ...], text_file: str | None) -> str:
    if bool(words) == (text_file is not None):
        raise click.UsageError("give a TEXT, or a file with --file; - is standard input")
    source = text_file or (STANDARD if words == (STANDARD,) else None)
    if source is None:
        return " ".join(words)
    try:
        content = sys.stdin.buffer.read() if source == STANDARD else Path(source).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise click.UsageError(f"--file {source}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise click.UsageError(f"--file {source}: no text in UTF-8: {error.reason} at byte {error.start}") from None


def _open_speaker(server: str | None, api_key: str | None, wanted: Wanted) -> AsyncGenerator[SpeechChunk, None]:
    # A line of the log would break the bar: only what is wrong is logged.
    configure_logging("WARNING", "text", "speak")
    if server:
        try:
            return speak_on_server(AsyncVoiceStackClient(tts_url=server, api_key=api_key), wanted)
        except ValueError as error:
            raise click.UsageError(f"--server or --api-key: {error}") from None
    from voice_stack.tts.settings import TtsSettings

    return speak_by_itself(TtsSettings.read(log_level="WARNING"), wanted)


async def _speak(speaking: AsyncGenerator[SpeechChunk, None], wanted: Wanted, output: str) -> None:
    started = time.monotonic()
    is_file, path = output != STANDARD, Path(output)
    async with aclosing(speaking) as chunks:
        with (
            TemporaryFile(dir=path.parent) if is_file else nullcontext(sys.stdout.buffer) as stream,
            open_display() as display,
        ):
            if len(wanted.text) >= LONG_TEXT:
                display.begin(path.name if is_file else "speech")
                chunks = _show(chunks, len(wanted.text), display)
            head, duration_s = await _write(chunks, stream)
            if is_file:
                _keep(path, head, stream)
                length = "" if duration_s is None else f"{_say_seconds(duration_s)} of speech, "
                display.end(f"{output} ({length}made in {_say_seconds(time.monotonic() - started)})")


def _say_seconds(duration_s: float) -> str:
    """`1.4 s`, or `12:34` from a minute on."""
    return f"{duration_s:.1f} s" if duration_s < 60 else format_duration(duration_s)


async def _write(chunks: AsyncGenerator[SpeechChunk, None], stream: IO[bytes]) -> tuple[FileHead, float | None]:
    """Write every piece at once; returns what states the length of the whole, and that in seconds, if they are told."""
    head, duration_s = FileHead(), None
    async for chunk in chunks:
        try:
            stream.write(chunk.audio)
            stream.flush()
        except BrokenPipeError:
            # Or the interpreter tries once more to write the rest when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise
        head, duration_s = chunk.head or head, chunk.duration_s
    return head, duration_s


def _keep(path: Path, head: FileHead, stream: IO[bytes]) -> None:
    """Make the file of a speech that is complete; what is there is replaced."""
    stream.seek(head.replaces)
    with replacing(path) as file:
        file.write(head.data)
        shutil.copyfileobj(stream, file, _COPY_BYTES)


async def _show(
    chunks: AsyncGenerator[SpeechChunk, None], characters: int, display: Display
) -> AsyncGenerator[SpeechChunk, None]:
    """The same chunks; on the way it is shown how much of the text is spoken, and how long the rest will take."""
    display.update(None, None, "begins")
    first_at: float | None = None
    async for chunk in chunks:
        first_at = first_at or time.monotonic()
        if chunk.characters:
            left = characters - chunk.characters
            display.update(100 * chunk.characters / characters, (time.monotonic() - first_at) * left / chunk.characters)
        yield chunk
