"""`voice-stack transcribe`: files to subtitles or text, on a running server or without one."""

import asyncio
import glob
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from voice_stack.archive.heard import Wanted, suffix_of
from voice_stack.archive.transcribers import RunningServer, Transcriber, own_engine
from voice_stack.asr.rendering import DIARIZED_JSON, TRANSCRIPT_FORMATS
from voice_stack.asr.settings import AsrSettings
from voice_stack.cli.progress import Display, format_duration, open_display
from voice_stack.client import AsyncVoiceStackClient
from voice_stack.client.upload import replacing
from voice_stack.core.errors import UnsupportedValueError, VoiceStackError
from voice_stack.core.logging import configure_logging
from voice_stack.utils.audio.sources import MEDIA_SUFFIXES
from voice_stack.utils.language import LANGUAGES, require_language


def find_files(arguments: Iterable[str]) -> Iterator[Path]:
    """The files that arguments mean: files, folders (all media files below them), patterns.

    A name that means nothing comes back as it is, so that opening it says what is wrong.
    """
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            yield from _media_below(path)
        elif not path.exists() and (matches := sorted(glob.glob(argument, recursive=True))):  # noqa: PTH207 - absolute
            yield from (Path(match) for match in matches if Path(match).is_file())
        else:
            yield path


def _media_below(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in MEDIA_SUFFIXES and path.is_file())
    return sorted(path for path in found if not path.name.startswith("."))


def output_path(source: Path, text_format: str, language: str, folder: Path | None) -> Path:
    """`film.mkv` -> `film.en.srt`, the name that players and Bazarr look for, beside the film or in `folder`."""
    return (folder or source.parent) / f"{source.stem}.{language}.{suffix_of(text_format)}"


def existing_output(source: Path, text_format: str, language: str | None, folder: Path | None) -> Path | None:
    """A text that is there already; in any language, if that is to be found from the audio."""
    codes: Iterable[str] = LANGUAGES if language is None else (language,)
    paths = (output_path(source, text_format, code, folder) for code in codes)
    return next((path for path in paths if path.exists()), None)


EXIT_SOME_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
STDOUT: Final = "-"


@dataclass(frozen=True, slots=True)
class Target:
    """Where texts go: a folder, None for beside the input; or stdout."""

    folder: Path | None
    is_stdout: bool
    overwrite: bool


def language_code(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """The code of a language, however it is named."""
    try:
        return require_language(value).code if value else None
    except UnsupportedValueError as error:
        raise click.BadParameter(error.message) from None


def target_language(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """The language as it is named, where that is its code with a region or script; else its code."""
    code = language_code(_context, _parameter, value)
    return value if value and code and value.startswith(f"{code}-") else code


def _speaker_counts(_context: click.Context, _parameter: click.Parameter, value: str | None) -> dict[str, int]:
    """`3`, or `2-4`."""
    least, dash, most = (value or "").partition("-")
    texts = {"min_speakers": least, "max_speakers": most} if dash else {"num_speakers": least} if value else {}
    if not all(text.isascii() and text.isdecimal() for text in texts.values()):
        raise click.BadParameter(f"{value!r} is neither a number, as 3, nor two, as 2-4")
    return {name: int(text) for name, text in texts.items()}


def _known_speakers(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Path]:
    parts = {name: Path(path) for name, _, path in (value.partition("=") for value in values) if name and path}
    if len(parts) < len(values):
        raise click.BadParameter("it must be NAME=FILE, each name once")
    if gone := [path for path in parts.values() if not path.is_file()]:
        raise click.BadParameter(f"there is no file {gone[0]}")
    return parts


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("-f", "--format", "text_format", default="srt", show_default=True,
              type=click.Choice(list(TRANSCRIPT_FORMATS)), help="What to write.")  # fmt: skip
@click.option("-l", "--language", callback=language_code, help="Spoken language, as en; found per file if absent.")
@click.option("-m", "--model", default="whisper-1", show_default=True, help="whisper-1 is the default model.")
@click.option("--task", default="transcribe", show_default=True, type=click.Choice(["transcribe", "translate"]),
              help="translate: English text, whatever is spoken.")  # fmt: skip
@click.option("--to", "to_language", metavar="LANG", callback=target_language,
              help="Put into this language, as de or pt-BR, by the language model of ASR_LLM_URL.")  # fmt: skip
@click.option("--original", is_flag=True, help="With --to: what was said stands beside it.")
@click.option("--prompt", help="A sample of the style and of names to expect.")
@click.option("--temperature", type=click.FloatRange(0, 1), help="Where decoding starts.")
@click.option("--word-timestamps", is_flag=True, help="Times of words, too; with --format verbose_json.")
@click.option("--diarize", is_flag=True, help="Tell who speaks.")
@click.option("--speakers", metavar="N", callback=_speaker_counts, help="The same; so many speak, as 3 or 2-4.")
@click.option("--known", metavar="NAME=FILE", multiple=True, callback=_known_speakers,
              help="The same; FILE is 2 to 10 s of NAME's voice. May be repeated.")  # fmt: skip
@click.option("-o", "--output-dir", metavar="DIR", help="Folder to write to; - is standard output. Else beside FILE.")
@click.option("--overwrite", is_flag=True, help="Replace texts that are there; else their files are skipped.")
@click.option("--url", envvar="VOICE_STACK_URL", help="A running server [VOICE_STACK_URL]; without: no server needed.")
@click.option("--api-key", envvar="VOICE_STACK_API_KEY", help="If the server wants one [VOICE_STACK_API_KEY].")
def transcribe(
    files: tuple[str, ...],
    text_format: str,
    language: str | None,
    model: str,
    task: str,
    to_language: str | None,
    original: bool,
    prompt: str | None,
    temperature: float | None,
    word_timestamps: bool,
    diarize: bool,
    speakers: dict[str, int],
    known: dict[str, Path],
    output_dir: str | None,
    overwrite: bool,
    url: str | None,
    api_key: str | None,
) -> None:
    """Turn audio and video into subtitles or text: film.mkv becomes film.en.srt.

    FILE is a file, a folder (all audio and video below it) or a pattern. Exit code: 0 all done or there already, 1 some
    failed, 2 wrong usage, 130 interrupted.
    """
    if word_timestamps and text_format != "verbose_json":
        raise click.UsageError(f"--word-timestamps needs --format verbose_json, not {text_format}")
    if word_timestamps and to_language:
        raise click.UsageError("--word-timestamps are those of what was said: leave them or --to out")
    if original and not to_language:
        raise click.UsageError("--original stands beside a translation: add --to LANG")
    if task == "translate" and language and not to_language:
        raise click.UsageError("--task translate finds the language itself: leave --language out")
    if task == "translate" and text_format == DIARIZED_JSON and not to_language:
        raise click.UsageError("--task translate has no --format diarized_json: verbose_json names the speakers, too")
    diarize = diarize or bool(speakers or known) or text_format == DIARIZED_JSON
    wanted = Wanted(
        (text_format,),
        model,
        task,
        language,
        prompt,
        temperature,
        word_timestamps,
        diarize,
        known,
        target=to_language,
        original=original,
        **speakers,
    )
    is_stdout = output_dir == STDOUT
    target = Target(Path(output_dir) if output_dir and not is_stdout else None, is_stdout, overwrite)
    found = list(dict.fromkeys(find_files(files)))
    if not found:
        raise click.ClickException(f"no audio or video files in {', '.join(files)}")
    try:
        failed = asyncio.run(_transcribe_all(found, _open_transcriber(url, api_key, wanted), wanted, target))
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(EXIT_INTERRUPTED)
    if failed:
        sys.exit(EXIT_SOME_FAILED)


@asynccontextmanager
async def _open_transcriber(url: str | None, api_key: str | None, wanted: Wanted) -> AsyncIterator[Transcriber]:
    # A line of the log would break the bar: only what is wrong is logged.
    configure_logging("WARNING", "text", "transcribe")
    if not url:
        async with own_engine(AsrSettings.read(log_level="WARNING"), wanted) as engine:
            yield engine
        return
    try:
        client = AsyncVoiceStackClient(url, api_key=api_key)
    except ValueError as error:
        raise click.UsageError(f"--url or --api-key: {error}") from None
    async with client:
        # As a job each of them tells how far it is.
        yield RunningServer(client, url, wanted, small_bytes=0)


async def _transcribe_all(
    files: list[Path], opening: AbstractAsyncContextManager[Transcriber], wanted: Wanted, target: Target
) -> int:
    """Work through the files; returns how many failed."""
    failed = 0
    written: set[Path] = set()
    async with opening as transcriber:
        with open_display() as display:
            for path in files:
                failed += not await _transcribe_file(path, transcriber, wanted, target, written, display)
    return failed


async def _transcribe_file(
    path: Path, transcriber: Transcriber, wanted: Wanted, target: Target, written: set[Path], display: Display
) -> bool:
    """One file, from the check for its text to the line that says how it went; returns whether all is well."""
    (text_format,) = wanted.formats
    language = wanted.target or ("en" if wanted.task == "translate" else wanted.language)
    text = output_path(path, text_format, "*", target.folder)
    if not target.is_stdout and text in written:
        display.end(f"{path}: failed: the text of another file is {text}")
        return False
    there = None if target.is_stdout else existing_output(path, text_format, language, target.folder)
    if there and not target.overwrite:
        display.end(f"{path}: skipped, {there} is there (--overwrite replaces it)")
        return True
    display.begin(path.name)
    started = time.monotonic()
    try:
        heard = await transcriber.hear(path, "", display.update)
        content = heard.texts(wanted)[text_format]
        name = _write(path, content, language or heard.transcript.language, text_format, target)
    except (VoiceStackError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        display.end(f"{path}: failed: {reason}")
        return False
    written.add(text)
    warnings = "".join(f"\n  warning: {warning}" for warning in heard.transcript.warnings)
    display.end(f"{path} -> {name} ({format_duration(time.monotonic() - started)}){warnings}")
    return True


def _write(source: Path, content: bytes, language: str, text_format: str, target: Target) -> Path:
    if target.is_stdout:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return Path(STDOUT)
    path = output_path(source, text_format, language, target.folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(content)
    return path
