"""`voice-stack voices`: what there is, how good a recording is, adding and removing recorded voices."""

import json
from pathlib import Path

import click

from voice_stack.core.errors import InvalidAudioError, InvalidRequestError, NotFoundError
from voice_stack.core.http.form import check_fields
from voice_stack.tts.engine_factory import open_store
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.voices.mirror import open_mirror
from voice_stack.tts.voices.provided import ProvidedVoices
from voice_stack.tts.voices.recordings import SUFFIXES, RecordedVoice, VoiceForm
from voice_stack.tts.voices.reference import Reference, load_reference
from voice_stack.tts.voices.shelf import Shelf
from voice_stack.tts.voices.sources import ClonedVoices, open_library
from voice_stack.tts.voices.uploads import VoiceUploads
from voice_stack.tts.voices.voice import Voice

_RECORDING = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def voices() -> None:
    """List voices, check recordings, add and remove recorded voices (in TTS_VOICE_DIR)."""


@voices.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def list_command(as_json: bool) -> None:
    """Show every voice of this machine, those that cannot speak with the reason."""
    settings = TtsSettings.read()
    open_mirror(settings).pull()
    store = open_store(settings)
    cloned = ClonedVoices(settings, store, Shelf(settings.voice_dir))
    library = open_library(settings, store, cloned, ProvidedVoices(settings))
    found = [cloned.examine(voice) for voice in library.own_voices().values()]
    if as_json:
        click.echo(json.dumps([voice.describe() for voice in found], indent=2, ensure_ascii=False))
    else:
        _print_table(found)


def _print_table(found: list[Voice]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("id", "name", "languages", "engine", "kind", "licence", "state")
    for voice in found:
        cells = (voice.id, voice.name or voice.id, " ".join(voice.languages), voice.engine, voice.kind, voice.licence)
        # Names are data: what looks like markup in them is none.
        table.add_row(*map(Text, (*cells, "cannot speak" if voice.unavailable else "speaks")))
    Console().print(table)
    for reason in dict.fromkeys(voice.unavailable for voice in found if voice.unavailable):
        ids = ", ".join(voice.id for voice in found if voice.unavailable == reason)
        click.echo(f"{ids}: {reason}")


@voices.command()
@click.argument("files", nargs=-1, required=True, type=_RECORDING, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def check(files: tuple[Path, ...], as_json: bool) -> None:
    """Measure recordings: are they good enough to clone a voice from? Exit code 1 if one is not."""
    rows = [_check(path) for path in files]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        for row in rows:
            click.echo(f"{row['file']}: {row['verdict']}")
    if any(row["refused"] for row in rows):
        raise SystemExit(1)


def _check(path: Path) -> dict[str, object]:
    try:
        reference = load_reference(path)
    except InvalidAudioError as error:
        return {"file": str(path), "refused": True, "verdict": f"refused: {error.message}"}
    figures = reference.figures
    return {
        "file": str(path),
        "refused": bool(reference.refusal),
        "verdict": _verdict(reference),
        "speech_s": round(figures.speech_s, 2),
        "snr_db": round(figures.snr_db, 1),
        "speech_dbfs": round(figures.speech_dbfs, 1),
        "clipped_percent": round(100 * figures.clipped, 3),
        "bandwidth_hz": round(figures.bandwidth_hz),
    }


def _verdict(reference: Reference) -> str:
    if reference.refusal:
        return f"refused: {reference.refusal}"
    figures = reference.figures
    measured = f"{figures.speech_s:.1f} s of speech, {figures.snr_db:.0f} dB above the noise"
    return f"good: {measured}" if not reference.warnings else f"usable: {'; '.join(reference.warnings)}"


@voices.command()
@click.argument("file", type=_RECORDING)
@click.option("--name", help="Shown to people; else the file's name.")
@click.option("--language", default="", help="What the speaker speaks, as en-US.")
@click.option("--description", default="", help="How the voice sounds.")
@click.option("--licence", default="", help="What others may do with it.")
@click.option("--consent", default="", help="The speaker's agreement: an id (cons_...) or a sentence.")
@click.option("--source", default="", help="Where the recording comes from.")
def add(file: Path, name: str | None, **about: str) -> None:
    """Keep a recording as a voice and print its id; a running server has it at once."""
    settings = TtsSettings.read()
    # A consent given here may be a sentence, longer than the ids that the API takes.
    consent = about.pop("consent")
    form = check_fields(VoiceForm, {"name": name or file.stem, **about})
    fields = {**form.model_dump(exclude={"type"}), "consent": consent}
    voice_id, warnings = VoiceUploads(settings.voice_dir, mirror=open_mirror(settings)).add_voice(file, fields)
    for warning in warnings:
        click.echo(f"{file}: {warning}", err=True)
    click.echo(voice_id)


@voices.command("rm")
@click.argument("voice")
def remove(voice: str) -> None:
    """Delete a voice that was added or uploaded, by its id or name."""
    settings = TtsSettings.read()
    mirror = open_mirror(settings)
    mirror.pull()
    recorded = _find(settings, voice)
    if not recorded.is_uploaded:
        files = ", ".join(str(path) for path in recorded.recordings)
        raise InvalidRequestError(f"voice {voice!r} was not added by a command or the API: delete {files} yourself")
    VoiceUploads(settings.voice_dir, mirror=mirror).remove_voice(recorded.id)
    click.echo(f"removed {recorded.id}")


voices.add_command(remove, "remove")


def _find(settings: TtsSettings, name: str) -> RecordedVoice:
    recorded = Shelf(settings.voice_dir).voices()
    called = [recorded[name]] if name in recorded else [v for v in recorded.values() if v.name.lower() == name.lower()]
    if not called:
        there = ", ".join(recorded) or f"none; recordings end in {', '.join(sorted(SUFFIXES))}"
        raise NotFoundError(f"no recorded voice is called {name!r} in {settings.voice_dir}; there are {there}")
    if len(called) > 1:
        ids = ", ".join(voice.id for voice in called)
        raise InvalidRequestError(f"{len(called)} voices are called {name!r}; name one by id: {ids}")
    return called[0]
