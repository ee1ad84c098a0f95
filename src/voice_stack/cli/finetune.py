"""`voice-stack finetune`: models of one's own, from clips of speech with their texts."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import click

from voice_stack.asr.settings import AsrSettings
from voice_stack.cli.finetune_asr import asr
from voice_stack.cli.finetune_data import listen_to, print_findings, read_tokenizer
from voice_stack.cli.finetune_tts import tts
from voice_stack.cli.progress import format_duration
from voice_stack.core.errors import ConfigurationError, InvalidRequestError, ModelLoadError
from voice_stack.core.models.files import OWN_FOLDER, delete_place
from voice_stack.core.models.own import RECORD, is_own_name
from voice_stack.finetune.check import CheckedClips, Kind, Material, divide
from voice_stack.finetune.record import ADAPTER, Record, alone_in, list_records, run_folder

_FOLDER = click.Path(exists=True, path_type=Path)


@click.group()
def finetune() -> None:
    """Models of your own: check clips, train on them, use, pass on and remove what came of it."""


@finetune.command()
@click.argument("kind", type=click.Choice(["asr", "tts"]), default="asr")
@click.option("--data", required=True, type=_FOLDER, help="Folder, or table, with clips and their texts.")
@click.option("--held-out", type=_FOLDER, help="Other clips to measure with; else a tenth of the data is kept back.")
@click.option("--base", help="Model that is to learn, by whose tokenizer texts are looked at.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def check(kind: Kind, data: Path, held_out: Path | None, base: str | None, *, as_json: bool) -> None:
    """Listen to clips and read their texts: what is left out, what to look at. Exit code 1: too few."""
    tokenizer = read_tokenizer(base) if kind == "asr" else None
    checked, kept = listen_to(kind, data, held_out, tokenizer)
    problem, material = "", None
    try:
        material = divide(checked, kept)
    except InvalidRequestError as error:
        problem = error.message
    if as_json:
        click.echo(json.dumps(_describe_check(checked, material, problem), indent=2, ensure_ascii=False))
    else:
        _print_check(checked, material)
    if problem:
        if as_json:
            raise SystemExit(1)
        raise InvalidRequestError(problem)


def _describe_check(checked: CheckedClips, material: Material | None, problem: str) -> dict[str, object]:
    findings = [*checked.findings, *(material.findings if material else ())]
    return {
        "clips": len(checked.heard),
        "minutes": round(checked.duration_s / 60, 2),
        "speech_minutes": round(checked.speech_s / 60, 2),
        "words": checked.words.total(),
        "different_words": len(checked.words),
        "speakers": len({clip.speaker for clip in checked.clips if clip.speaker}),
        "train": len(material.train) if material else 0,
        "held_out": len(material.held_out) if material else 0,
        "split_by": material.by if material else None,
        "data_sha256": material.digest if material else None,
        "problem": problem or None,
        "findings": [asdict(finding) for finding in findings],
    }


def _print_check(checked: CheckedClips, material: Material | None) -> None:
    words, speakers = checked.words, {clip.speaker for clip in checked.clips if clip.speaker}
    click.echo(
        f"{len(checked.heard)} clips, {format_duration(checked.duration_s)} of sound, "
        f"{format_duration(checked.speech_s)} of it speech; {words.total()} words, {len(words)} different"
        + (f"; {len(speakers)} speakers" if speakers else "")
    )
    if material:
        by = "in a folder of their own" if material.by == "folder" else f"no {material.by} on both sides"
        click.echo(f"{len(material.train)} to learn from, {len(material.held_out)} to measure with ({by})")
    print_findings([*checked.findings, *(material.findings if material else ())])


finetune.add_command(asr)
finetune.add_command(tts)


@finetune.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def list_command(*, as_json: bool) -> None:
    """Show the models that were trained here, and runs that are not over."""
    rows = list(_rows(AsrSettings.read().model_dir))
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        click.echo(f"{row['name']:<24} {row['state']}")
    if not rows:
        click.echo("none yet")


def _rows(model_dir: Path) -> Iterator[dict[str, object]]:
    for folder, record in list_records(model_dir):
        if isinstance(record, ModelLoadError):
            yield {"name": folder.name, "state": f"damaged: {record.message}"}
        else:
            yield {**asdict(record), "name": folder.name, "state": _tell_state(folder, record)}


def _tell_state(folder: Path, record: Record) -> str:
    if record.refusal and folder.parent.name.startswith("."):
        return f"refused: {record.refusal}"
    if folder.parent.name.startswith("."):
        return "interrupted: go on with --resume"
    scores = record.scores
    told = [
        f"{one} {scores[f'{one}_before']} -> {scores[f'{one}_after']}" for one in _SCORES if f"{one}_after" in scores
    ]
    made = f"from {record.base}, {record.created_at[:10]}"
    return "; ".join([f"{record.engine}, {made}", *told, f"licence {record.licence}"])


_SCORES = ("wer", "general_wer", "loss")


@finetune.command()
@click.argument("name")
@click.option("--to", "form", type=click.Choice(["ct2", "hf", "adapter"]), default="ct2", show_default=True,
              help="A copy; the same for transformers on PyTorch; what LoRA learned alone.")  # fmt: skip
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder to make.")
def export(name: str, form: str, output: Path) -> None:
    """Copy a model, its record with it, to where it is to be passed on or carried to another machine."""
    source = _find(name, is_model=True)
    if output.exists():
        raise InvalidRequestError(f"{output} is there already")
    if form == "ct2":
        shutil.copytree(source, output)
    elif form == "adapter":
        if not (source / ADAPTER).is_dir():
            raise InvalidRequestError(f"{name} has no adapter: all its weights were trained")
        shutil.copytree(source / ADAPTER, output)
    else:
        _export_hugging_face(source, output)
    if form != "ct2":
        shutil.copyfile(source / RECORD, output / RECORD)
    click.echo(output)


def _export_hugging_face(source: Path, output: Path) -> None:
    if find_spec("safetensors") is None:
        raise ConfigurationError("safetensors is not installed: pip install 'voice-stack[finetune]'")
    from voice_stack.finetune.weights import export_hugging_face

    export_hugging_face(source, output)


@finetune.command("rm")
@click.argument("name")
def remove(name: str) -> None:
    """Delete a model that was trained here, and the run of that name."""
    folder, run_dir = _find(name), run_folder(AsrSettings.read().model_dir, name)
    if run_dir.exists():
        with alone_in(run_dir):  # nobody trains it meanwhile
            pass
    for place in {folder, run_dir}:
        delete_place(place)
    click.echo(f"removed {name}")


finetune.add_command(remove, "remove")


def _find(name: str, *, is_model: bool = False) -> Path:
    """The folder of a model, or of a run if there is no model of that name and it need not be one."""
    model_dir = AsrSettings.read().model_dir.expanduser().absolute()
    places = (model_dir / OWN_FOLDER, run_folder(model_dir, ""))
    for place in places[:1] if is_model else places:
        if is_own_name(name) and (place / name).is_dir():
            return place / name
    there = [folder.name for folder, _ in list_records(model_dir) if folder.parent == places[0] or not is_model]
    raise InvalidRequestError(f"nothing here is called {name!r}; there are {', '.join(there) or 'none'}")
