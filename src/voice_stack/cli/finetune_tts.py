"""`voice-stack finetune tts`: XTTS learns how a person speaks, and is used where it got better."""

import json
import shutil
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

from voice_stack.cli.finetune_data import find_run, listen_to, print_findings, require_free_name, resumable, show_stages
from voice_stack.core.errors import ConfigurationError, InvalidRequestError
from voice_stack.finetune.check import divide
from voice_stack.finetune.plan import XttsPlan
from voice_stack.finetune.record import Record, alone_in, hash_base, register, run_folder
from voice_stack.tts.engine_factory import open_store
from voice_stack.tts.models import CPML_ENGINE, CPML_NAME, check_licence
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.voices.uploads import VoiceUploads

if TYPE_CHECKING:
    from voice_stack.finetune.xtts import XttsResult

COMMAND = "voice-stack finetune tts"
_FOLDER = click.Path(exists=True, path_type=Path)
NOT_YET = {
    "piper": "Piper's package comes without a part that its trainer needs, and no checkpoint to go on from is in one",
    "kokoro": "nobody has published what trains Kokoro; voices can be blended",
}
"""Why these cannot be trained; docs/guides/fine-tuning.md says more."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is trained; the options of the command have the names."""

    data: Path
    name: str
    base: str
    held_out: Path | None
    training_files: Path | None
    language: str
    epochs: int
    device: str
    consent: str


@click.command()
@click.option("--engine", type=click.Choice([CPML_ENGINE, *NOT_YET]), default=CPML_ENGINE, show_default=True)
@click.option("--data", type=_FOLDER, help="Folder, or table, with clips of one person and their texts.")
@click.option("--name", help="What the model and its speaker are to be called: TTS_MODEL=NAME, voice=NAME.")
@click.option("--base", default="xtts_v2", show_default=True, help="Checkpoint that learns: a name or a folder.")
@click.option("--held-out", type=_FOLDER, help="Other clips to measure with; else a tenth of the data is kept back.")
@click.option("--training-files", type=_FOLDER, help="Folder with dvae.pth and mel_stats.pth; else that of the base.")
@click.option("-l", "--language", default="en", show_default=True, help="What the person speaks.")
@click.option("--epochs", type=click.IntRange(1, 1000), default=10, show_default=True, help="How often a clip is seen.")
@click.option("--device", default="auto", show_default=True, help="auto (a GPU), cuda; cpu for a try.")
@click.option("--consent", default="", help="The speaker's agreement: an id (cons_...) or a sentence.")
@click.option("--resume", metavar="NAME", help="Go on with a run that was interrupted, or was refused.")
@click.option("--force", is_flag=True, help="Use the model though it got no better; replace one of that name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def tts(
    engine: str,
    data: Path | None,
    name: str | None,
    base: str,
    held_out: Path | None,
    training_files: Path | None,
    language: str,
    epochs: int,
    device: str,
    consent: str,
    resume: str | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Train XTTS on clips of one person, who agrees; the model then speaks as that person, by its name."""
    if engine in NOT_YET:
        raise InvalidRequestError(f"engine {engine} cannot be trained yet: {NOT_YET[engine]}; {CPML_ENGINE} can")
    settings = TtsSettings.read()
    check_licence(CPML_ENGINE, accepted=settings.accept_cpml)
    if resume is not None:
        if data or name:
            raise click.UsageError("--resume goes on with what was begun: it takes no other data or name")
        _require_extra()
        plan, record = find_run(resume, XttsPlan)
    elif data is None or name is None:
        raise click.UsageError("--data FOLDER and --name NAME are needed, or --resume NAME")
    else:
        consent = _check_consent(settings, consent)
        _require_extra()
        wanted = _Wanted(data, name, base, held_out, training_files, language, epochs, device, consent)
        plan, record = _begin(settings, wanted, force=force)
    with alone_in(plan.run_dir), resumable(COMMAND, record.name):
        record.save(plan.run_dir)
        result = _train(plan)
        scores = {"loss_before": result.loss_before, "loss_after": result.loss_after}
        record = record.completed(result.settings, scores, result.refusal)
        record.save(plan.run_dir)
        if as_json:
            click.echo(json.dumps(asdict(record), indent=2, ensure_ascii=False))
        else:
            click.echo(f"loss on the kept-back clips: {result.loss_before:.3f} before, {result.loss_after:.3f} after")
        if result.refusal and not force:
            again = f"{COMMAND} --resume {record.name} --force uses it all the same"
            raise InvalidRequestError(f"{result.refusal} So it is not used; {again}")
        folder = register(open_store(settings), record, result.model_dir)
    shutil.rmtree(plan.run_dir)
    click.echo(f"{folder}\nTTS_ENGINE={CPML_ENGINE} TTS_MODEL={record.name}, voice={record.name}", err=True)


def _require_extra() -> None:
    if missing := [module for module in ("torch", "TTS", "trainer") if find_spec(module) is None]:
        raise ConfigurationError(f"{', '.join(missing)} not installed: pip install 'voice-stack[xtts]'")


def _check_consent(settings: TtsSettings, consent: str) -> str:
    """The id of a recorded consent, or a sentence where none has to be recorded.

    Raises:
        InvalidRequestError: There is none.
    """
    if not consent:
        raise InvalidRequestError(
            "--consent is needed: the speaker's agreement, as the id of a recorded consent (cons_...: POST one to "
            "/v1/audio/voice_consents) or as a sentence that says who agreed to what"
        )
    if settings.require_consent or consent.startswith("cons_"):
        VoiceUploads(settings.voice_dir).consent(consent)
    return consent


def _begin(settings: TtsSettings, wanted: _Wanted, *, force: bool) -> tuple[XttsPlan, Record]:
    from voice_stack.finetune.xtts import check_device

    check_device(wanted.device)
    store = open_store(settings)
    require_free_name(store, wanted.name, COMMAND, force=force)
    base_dir = Path(wanted.base) if Path(wanted.base).is_dir() else store.resolve(wanted.base)
    checked, kept = listen_to("tts", wanted.data, wanted.held_out, None)
    material = divide(checked, kept)
    print_findings([*checked.findings, *(kept.findings if kept else ()), *material.findings], is_aside=True)
    run_dir = run_folder(store.model_dir, wanted.name)
    with alone_in(run_dir):  # nobody else trains a model of that name
        pass
    shutil.rmtree(run_dir)
    plan = XttsPlan(
        run_dir,
        base_dir,
        wanted.training_files or base_dir,
        material.train,
        material.held_out,
        wanted.name,
        wanted.language,
        wanted.epochs,
        wanted.device,
    )
    record = Record(
        name=wanted.name,
        engine=CPML_ENGINE,
        base=PurePath(wanted.base).name,
        base_sha256=hash_base(base_dir),
        licence=CPML_NAME,
        languages=(),
        data_sha256=material.digest,
        clips=len(material.train),
        held_out_clips=len(material.held_out),
        minutes=round((checked.duration_s + (kept.duration_s if kept else 0.0)) / 60, 2),
        consent=wanted.consent,
    )
    return plan, record


def _train(plan: XttsPlan) -> "XttsResult":
    from voice_stack.finetune.xtts import train_xtts

    with show_stages() as tell:
        result = train_xtts(plan, tell)
    for one in result.left_out:
        click.echo(f"left out: {one.place}: {one.reason}", err=True)
    return result
