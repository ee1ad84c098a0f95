"""`voice-stack bench`: how fast is a server, this one or another."""

import asyncio
import json
import tempfile
from pathlib import Path

import click
import httpx2
from rich.console import Console

from voice_stack.asr.settings import AsrSettings
from voice_stack.bench.figures import Figure, as_table, describe_machine, percentile_95
from voice_stack.bench.speech import Clip, join_clips, open_clips, speak_clips
from voice_stack.bench.transcribing import TranscriptionServer, beside_long, first_text, many_clients, one_by_one
from voice_stack.cli.up import server_url
from voice_stack.tts.settings import TtsSettings


@click.command()
@click.option("--asr-url", help="Server to measure; by default this machine's ASR server.")
@click.option("--tts-url", help="Server that speaks the clips; by default this machine's TTS server.")
@click.option("--audio", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="WAV clip to measure with (mono, 16 bit), in place of spoken ones; may be repeated.")  # fmt: skip
@click.option("--model", default="whisper-1", show_default=True, help="Model in the requests.")
@click.option("--language", default="en", show_default=True, help="Language in the requests; empty: not given.")
@click.option("--clients", default=8, show_default=True, type=click.IntRange(1, 256), help="Clients at once.")
@click.option("--minutes", default=6.0, show_default=True, type=click.FloatRange(0.5, 120), help="Long file's length.")
@click.option("--api-key", default="", envvar="VOICE_STACK_API_KEY", help="If the servers want one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(
    asr_url: str | None,
    tts_url: str | None,
    audio: tuple[Path, ...],
    model: str,
    language: str,
    clients: int,
    minutes: float,
    api_key: str,
    as_json: bool,
) -> None:
    """Measure a transcription server that speaks OpenAI's API, with short clips and a long file."""
    server = TranscriptionServer(asr_url or server_url(AsrSettings.read()), model, language, api_key)
    speaker_url = tts_url or server_url(TtsSettings.read())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            clips = open_clips(audio) or speak_clips(speaker_url, folder, api_key)
            figures = asyncio.run(measure(server, clips, folder, clients=clients, long_s=60 * minutes))
        except httpx2.HTTPError as error:
            reason = f"{error.__class__.__name__}: {error}"
            message = f"{reason} (measured: {server.url}, clips from {', '.join(map(str, audio)) or speaker_url})"
            raise click.ClickException(message) from None
    if as_json:
        click.echo(json.dumps([figure.as_json() for figure in figures], indent=2))
    else:
        Console(width=140).print(as_table(figures, f"measured from: {describe_machine()}"))


async def measure(
    server: TranscriptionServer, clips: list[Clip], folder: Path, *, clients: int, long_s: float
) -> list[Figure]:
    """All figures of one server; the model is warm when the clock starts.

    Raises:
        httpx2.HTTPError: The server does not answer, or answers with an error.
    """
    long = join_clips(clips, folder / "long.wav", long_s)
    await one_by_one(server, clips[:1])
    alone = await one_by_one(server, clips)
    total_s, answers = await many_clients(server, clips * 3, clients)
    first_s = await first_text(server, long)
    long_answer, short = await beside_long(server, clips * 4, long)
    return [
        Figure("One client, short clips", "s", tuple(answer.time_s for answer in alone)),
        Figure(f"{clients} clients, short clips", "s", tuple(answer.time_s for answer in answers)),
        Figure(f"{clients} clients, requests per second", "1/s", (len(answers) / total_s,)),
        Figure(f"First text of a file of {long_s / 60:g} min", "s", (first_s,)),
        Figure(f"File of {long_s / 60:g} min, with short clips beside it", "s", (long_answer.time_s,)),
        Figure("Short clip beside it", "s", tuple(answer.time_s for answer in short)),
        Figure("Short clip beside it, 95th percentile", "s", (percentile_95([answer.time_s for answer in short]),)),
    ]
