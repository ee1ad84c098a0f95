"""`voice-stack listen`: what is said, while it is said, on a running server."""

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Final, get_args

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from voice_stack.client import (
    ListeningStarted,
    SpeakerSegment,
    TextCompleted,
    TextDelta,
    TextFailed,
    VoiceStackClient,
    VoiceStackClientError,
)
from voice_stack.client.options import ListenOptions, TranscriptFormat
from voice_stack.core.errors import VoiceStackError

EXIT_SOME_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
STANDARD: Final = "-"
FILE_RATE: Final = 16_000
"""Of the sound of files: that which models hear."""
BLOCK_S: Final = 0.1


def play_file(path: Path, stop: Event) -> Iterator[bytes]:
    """The sound of a file at the pace in which it was recorded: 16 bit, mono, at `FILE_RATE`.

    Raises:
        VoiceStackError: It is no audio or video.
    """
    import numpy as np

    from voice_stack.utils.audio.decode import decode_blocks

    began = time.monotonic()
    for number, block in enumerate(decode_blocks(path, sample_rate=FILE_RATE, block_s=BLOCK_S), start=1):
        # A block is there when its last sample was said.
        if stop.wait(max(0.0, began + number * BLOCK_S - time.monotonic())):
            return
        yield (block.clip(-1, 1) * np.iinfo(np.int16).max).astype("<i2").tobytes()


def read_standard_input(sample_rate: int, stop: Event) -> Iterator[bytes]:
    """Samples as they come, until they end or are to stop."""
    while not stop.is_set():
        # Windows can only wait for sockets this way.
        if sys.platform == "win32" or select.select([sys.stdin.fileno()], [], [], BLOCK_S)[0]:
            if not (data := os.read(sys.stdin.fileno(), round(sample_rate * BLOCK_S) * 2)):
                return
            yield data


class Captions:
    """What is said: a line for each turn; on a terminal also the words so far, in grey."""

    def __init__(self, console: Console, *, has_speakers: bool = False) -> None:
        self._console, self._has_speakers = console, has_speakers
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._drafts: dict[str, str] = {}
        self.failed = 0

    def show(self, event: object) -> None:
        """Show what an event tells."""
        match event:
            case TextDelta(item_id, delta):
                self._drafts[item_id] = self._drafts.get(item_id, "") + delta
            case TextCompleted(item_id, text):
                self._drafts.pop(item_id, None)
                if not self._has_speakers:
                    self._print(text)
            case SpeakerSegment(_, speaker, text):
                self._print(f"{speaker}: {text}")
            case TextFailed(item_id, message):
                self._drafts.pop(item_id, None)
                self.fail(message)
        if self._live:
            self._live.update(Text(" ".join(self._drafts.values()), style="dim"), refresh=True)

    def _print(self, line: str) -> None:
        if line:
            self._console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def fail(self, message: str) -> None:
        """Tell that something was not heard."""
        self.failed += 1
        click.echo(f"not heard: {message}", err=True)

    def __enter__(self) -> "Captions":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()


@click.command()
@click.argument("source", metavar="FILE|-")
@click.option("-f", "--format", "text_format", type=click.Choice(get_args(TranscriptFormat)),
              help="At the end all of it goes to standard output; the lines before it to standard error.")  # fmt: skip
@click.option("-l", "--language", help="Spoken language, as en; found if absent.")
@click.option("-m", "--model", default="whisper-1", show_default=True, help="whisper-1 is the default model.")
@click.option("--prompt", help="A sample of the style and of names to expect.")
@click.option("--diarize", is_flag=True, help="Begin each line with who speaks: A, B, or a name the server knows.")
@click.option("--silence-ms", type=click.IntRange(50, 60_000), default=500, show_default=True,
              help="The silence that ends a turn.")  # fmt: skip
@click.option("--rate", type=click.IntRange(8_000, 48_000), default=16_000, show_default=True,
              help="Samples a second on standard input.")  # fmt: skip
@click.option("--url", envvar="VOICE_STACK_URL", default="http://127.0.0.1:5001", show_default=True,
              help="A running server [VOICE_STACK_URL].")  # fmt: skip
@click.option("--api-key", envvar="VOICE_STACK_API_KEY", help="If the server wants one [VOICE_STACK_API_KEY].")
def listen(
    source: str,
    text_format: TranscriptFormat | None,
    language: str | None,
    model: str,
    prompt: str | None,
    diarize: bool,
    silence_ms: int,
    rate: int,
    url: str,
    api_key: str | None,
) -> None:
    """Show what is said while it is said: FILE plays as fast as it was recorded, - is a microphone.

    On standard input samples are 16 bit, little-endian, mono. Ctrl-C ends the sound: the last words still come. Exit
    code: 0 all was heard, 1 some was not, 2 wrong usage, 130 interrupted twice.
    """
    is_input = source == STANDARD
    if not is_input and not Path(source).is_file():
        raise click.UsageError(f"{source}: there is no such file")
    try:
        client = VoiceStackClient(url, api_key=api_key)
    except ValueError as error:
        raise click.UsageError(f"--url or --api-key: {error}") from None
    asked: ListenOptions = {"sample_rate": rate if is_input else FILE_RATE, "model": model, "silence_ms": silence_ms}
    asked |= {"language": language, "prompt": prompt, "diarize": diarize}
    stop = _stop_at_interrupt()
    sound = read_standard_input(rate, stop) if is_input else play_file(Path(source), stop)
    try:
        with client:
            failed = _listen(client, sound, text_format, asked)
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except VoiceStackClientError as error:
        raise VoiceStackError(str(error)) from error
    except OSError as error:
        raise VoiceStackError(f"{source}: {error.strerror or error}") from error
    if failed:
        sys.exit(EXIT_SOME_FAILED)


def _stop_at_interrupt() -> Event:
    """Is set by the first Ctrl-C; the second one ends the command."""
    stop = Event()

    def interrupt(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    signal.signal(signal.SIGINT, interrupt)
    return stop


def _listen(
    client: VoiceStackClient, sound: Iterator[bytes], text_format: TranscriptFormat | None, asked: ListenOptions
) -> int:
    """Show what is said; returns how much of it was not heard."""
    session_id = ""
    has_speakers = asked.get("diarize", False)
    with Captions(Console(stderr=text_format is not None), has_speakers=has_speakers) as captions:
        try:
            for event in client.listen(sound, **asked):
                if isinstance(event, ListeningStarted):
                    session_id = event.session_id
                captions.show(event)
        except VoiceStackClientError as error:
            if not (text_format and session_id):
                raise
            # What was heard before is still to be had; why no more is may have been told.
            if not captions.failed:
                captions.fail(str(error))
    if text_format:
        click.echo(client.session_transcript_as(session_id, text_format), nl=False)
    return captions.failed
