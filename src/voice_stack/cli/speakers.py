"""`voice-stack speakers`: people who are called by name wherever their voice is heard."""

import io
import json
import wave
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voice_stack.asr.engine_factory import load_speaker_engine, require_speaker_specs
from voice_stack.asr.request import SpeakerChoice, SpeakersWorkerConfig
from voice_stack.asr.settings import AsrSettings
from voice_stack.asr.speakers.people import add_person, check_person, find_people, keep_voiceprint, remove_person
from voice_stack.core.errors import (
    ConfigurationError,
    InvalidRequestError,
    ModelNotFoundError,
    UnsupportedValueError,
    VoiceStackError,
)
from voice_stack.utils.audio.decode import decode_blocks, probe_duration_s
from voice_stack.utils.audio.pcm import Samples, to_int16
from voice_stack.utils.audio.quality import judge, measure
from voice_stack.utils.audio.vad import SAMPLE_RATE

if TYPE_CHECKING:
    from voice_stack.asr.speakers.base import SpeakerEngine

NEEDED_S, USED_S = 2.0, 30.0
"""Speech of somebody that tells them from others, and as much of a recording as is used."""
OTHERS_S = 1.0
"""Speech of another that makes a recording none of one person; less may be the engine's error."""


@click.group()
def speakers() -> None:
    """People whom the ASR server knows by their voice (in ASR_SPEAKERS_DIR); a running server knows them at once."""


def _require_folder() -> Path:
    folder = AsrSettings.read().speakers_dir
    if folder is None:
        raise ConfigurationError("nobody is known as long as ASR_SPEAKERS_DIR names no folder: set it first")
    return folder


@speakers.command()
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def add(name: str, file: Path) -> None:
    """Know NAME by the voice in FILE, some seconds of them alone; their agreement is yours to ask for."""
    folder, name = _require_folder(), check_person(name)
    samples, is_cut = _decode(file)
    findings = list(judge(measure(samples), needed_s=NEEDED_S))
    if refusal := next((finding for finding in findings if finding.refuses), None):
        raise InvalidRequestError(f"{file} cannot be used: {refusal.message}")
    engine, model = _load_engine(file)
    if engine:
        _require_one_voice(file, engine, samples)
    is_replaced = add_person(folder, name, _encode(samples))
    if engine:
        (person,) = (known for known in find_people(folder) if known.name == name)
        keep_voiceprint(person, model, engine.voice(samples).tolist())
    for warning in [finding.message for finding in findings] + ["longer than 30 s: the rest is not used"] * is_cut:
        click.echo(f"{file}: {warning}", err=True)
    click.echo(f"{name} is known by another recording now" if is_replaced else f"{name} is known")


def _load_engine(file: Path) -> tuple["SpeakerEngine | None", str]:
    """What tells voices apart, and its model; none where no speakers are told apart on this machine."""
    try:
        (spec,) = require_speaker_specs(AsrSettings.read())
    except (UnsupportedValueError, ModelNotFoundError) as error:
        click.echo(f"{file}: whether one person alone speaks is not known: {error.message}", err=True)
        return None, ""
    assert isinstance(spec.config, SpeakersWorkerConfig)
    return load_speaker_engine(spec.config), spec.model


def _require_one_voice(file: Path, engine: "SpeakerEngine", samples: Samples) -> None:
    recording = engine.open()
    recording.add(samples, is_last=True)
    spoken_s = defaultdict[int, float](float)
    for turn in recording.diarize(SpeakerChoice()).turns:
        spoken_s[turn.voice] += turn.end_s - turn.start_s
    heard_s = sorted((seconds for seconds in spoken_s.values() if seconds >= OTHERS_S), reverse=True)
    if len(heard_s) > 1:
        told = " and ".join(f"{seconds:.1f} s" for seconds in heard_s)
        raise InvalidRequestError(f"{file} cannot be used: {len(heard_s)} people speak in it, for {told}")


def _decode(file: Path) -> tuple[Samples, bool]:
    """What is used of a recording, and whether there is more."""
    with closing(decode_blocks(file, sample_rate=SAMPLE_RATE, block_s=USED_S)) as blocks:
        return next(blocks), next(blocks, None) is not None


def _encode(samples: Samples) -> bytes:
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(to_int16(samples).astype("<i2").tobytes())
    return memory.getvalue()


@speakers.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def list_command(as_json: bool) -> None:
    """Show who is known."""
    people = {person.name: _describe(person.recording) for person in find_people(_require_folder())}
    if as_json:
        rows = [{"name": name, **described} for name, described in people.items()]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for name, described in people.items():
        click.echo(f"{name}: {described.get('problem') or str(described['duration_s']) + ' s'}")


def _describe(recording: Path) -> dict[str, object]:
    try:
        return {"duration_s": round(probe_duration_s(recording) or 0.0, 1)}
    except VoiceStackError as error:
        return {"problem": f"cannot be heard: {error.message}"}
    except OSError as error:
        return {"problem": f"cannot be read: {error.strerror}"}


@speakers.command("rm")
@click.argument("name")
def remove(name: str) -> None:
    """Forget NAME: their recording, and all that was made of it."""
    remove_person(_require_folder(), name)
    click.echo(f"{name} is forgotten")


speakers.add_command(remove, "remove")
