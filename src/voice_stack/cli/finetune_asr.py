"""`voice-stack finetune asr`: a Whisper model learns from clips, and is used where it hears better than before."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path, PurePath

import click

from voice_stack.asr.models import ASR_MODELS, ENGINE
from voice_stack.cli.finetune_data import (
    find_run,
    listen_to,
    open_trainable,
    print_findings,
    read_tokenizer,
    require_free_name,
    resumable,
    show_stages,
)
from voice_stack.cli.progress import format_duration
from voice_stack.core.errors import ConfigurationError, InvalidRequestError, UnsupportedValueError
from voice_stack.finetune.check import divide
from voice_stack.finetune.folders import read_clips
from voice_stack.finetune.plan import AsrPlan, Mode, RunResult, Score
from voice_stack.finetune.record import (
    ADAPTER,
    Record,
    alone_in,
    find_licence,
    hash_base,
    register,
    run_folder,
)
from voice_stack.utils.language import require_language

EXIT_INTERRUPTED = 130
COMMAND = "voice-stack finetune asr"
LICENCES = {spec.name: "MIT" for spec in ASR_MODELS}
"""Whisper's weights by OpenAI, and what was distilled from them."""
_FOLDER = click.Path(exists=True, path_type=Path)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is trained; the options of the command have the names."""

    data: Path
    name: str
    base: str | None
    held_out: Path | None
    general: Path | None
    mode: Mode
    steps: int | None
    device: str
    language: str | None
    terms: tuple[str, ...]


def _language(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    try:
        return require_language(value).code if value else None
    except UnsupportedValueError as error:
        raise click.BadParameter(error.message) from None


def _steps(_context: click.Context, _parameter: click.Parameter, value: str) -> int | None:
    if value == "auto":
        return None
    if not (value.isascii() and value.isdecimal() and 0 < int(value) <= 1_000_000):
        raise click.BadParameter(f"{value!r} is neither auto nor a number from 1 to 1000000")
    return int(value)


def _terms(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """`Zyrtolex,Quandelion`, or a file with one a line."""
    lines = value.split(",")
    try:
        if len(lines) == 1 and Path(value).is_file():
            lines = Path(value).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{value} cannot be read: {error}") from None
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))


@click.command()
@click.option("--data", type=_FOLDER, help="Folder, or table, with clips and their texts.")
@click.option("--name", help="What the model is to be called: ASR_MODEL=NAME, model=NAME.")
@click.option("--base", help="Model that learns: a name, a hub repository, a folder; by default the server's.")
@click.option("--held-out", type=_FOLDER, help="Other clips to measure with; else a tenth of the data is kept back.")
@click.option("--general", "--keep-general", type=_FOLDER, help="Other speech, which must be heard no worse.")
@click.option("--lora/--full", "is_lora", default=True, help="Train a few matrices (default), or all weights.")
@click.option("--steps", default="auto", show_default=True, callback=_steps, help="Updates of the weights.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option("-l", "--language", callback=_language, help="Spoken language, as en; found from the clips if absent.")
@click.option("--terms", default="", callback=_terms, help="Words to count one by one, by commas, or a file of them.")
@click.option("--resume", metavar="NAME", help="Go on with a run that was interrupted, or was refused.")
@click.option("--force", is_flag=True, help="Use the model though it got worse; replace one of that name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def asr(
    data: Path | None,
    name: str | None,
    base: str | None,
    held_out: Path | None,
    general: Path | None,
    steps: int | None,
    device: str,
    language: str | None,
    terms: tuple[str, ...],
    resume: str | None,
    *,
    is_lora: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Train a Whisper model on clips; it is used by its name if it hears them better than its base does."""
    _require_extra()
    if resume is not None:
        if data or name or base or held_out or general:
            raise click.UsageError("--resume goes on with what was begun: it takes no other data, name or base")
        plan, record = find_run(resume, AsrPlan)
    elif data is None or name is None:
        raise click.UsageError("--data FOLDER and --name NAME are needed, or --resume NAME")
    else:
        mode: Mode = "lora" if is_lora else "full"
        wanted = _Wanted(data, name, base, held_out, general, mode, steps, device, language, terms)
        plan, record = _begin(wanted, force=force)
    with alone_in(plan.run_dir), resumable(COMMAND, record.name):
        record.save(plan.run_dir)
        result = _train(plan)
        record = record.completed(result.settings, dict(_scores(result)), result.refusal)
        record.save(plan.run_dir)
        if as_json:
            worst = [asdict(one) for one in result.worst]
            click.echo(json.dumps({**asdict(record), "worst": worst}, indent=2, ensure_ascii=False, default=str))
        else:
            _print_result(result)
        folder = _use(record, result, force=force)
    shutil.rmtree(plan.run_dir)
    click.echo(f"{folder}\nASR_MODEL={record.name}, or model={record.name} in requests", err=True)


def _require_extra() -> None:
    if missing := [module for module in ("torch", "transformers", "peft") if find_spec(module) is None]:
        raise ConfigurationError(
            f"{', '.join(missing)} not installed: training needs pip install 'voice-stack[finetune]', best in an "
            "environment of its own; the servers need nothing of it"
        )


def _begin(wanted: _Wanted, *, force: bool) -> tuple[AsrPlan, Record]:
    store, base = open_trainable(wanted.base)
    require_free_name(store, wanted.name, COMMAND, force=force)
    spec, base_dir = store.require(base), store.resolve(base)
    checked, kept = listen_to("asr", wanted.data, wanted.held_out, read_tokenizer(base))
    material = divide(checked, kept)
    print_findings([*checked.findings, *material.findings], is_aside=True)
    run_dir = run_folder(store.model_dir, wanted.name)
    with alone_in(run_dir):  # nobody else trains a model of that name
        pass
    shutil.rmtree(run_dir)
    plan = AsrPlan(
        run_dir,
        base_dir,
        material.train,
        material.held_out,
        read_clips(wanted.general).clips if wanted.general else (),
        wanted.mode,
        wanted.steps,
        wanted.device,
        wanted.terms,
        wanted.language,
    )
    record = Record(
        name=wanted.name,
        engine=ENGINE,
        base=PurePath(base).name if spec.path else spec.name,
        base_sha256=hash_base(base_dir),
        licence=find_licence(spec, LICENCES, store),
        languages=spec.languages,
        data_sha256=material.digest,
        clips=len(material.train),
        held_out_clips=len(material.held_out),
        minutes=round((checked.duration_s + (kept.duration_s if kept else 0.0)) / 60, 2),
    )
    return plan, record


def _train(plan: AsrPlan) -> RunResult:
    from voice_stack.finetune.training import train_asr

    with show_stages() as tell:
        result = train_asr(plan, tell)
    click.echo(f"done, {format_duration(result.duration_s)} in all", err=True)
    return result


def _scores(result: RunResult) -> Iterator[tuple[str, float]]:
    yield from (("wer_before", result.before.wer), ("wer_after", result.after.wer))
    yield from (("cer_before", result.before.cer), ("cer_after", result.after.cer))
    general: list[tuple[str, Score | None]] = [("before", result.general_before), ("after", result.general_after)]
    yield from ((f"general_wer_{when}", score.wer) for when, score in general if score)


def _print_result(result: RunResult) -> None:
    rows = [
        ("words wrong, kept-back clips", result.before.wer, result.after.wer),
        ("characters wrong", result.before.cer, result.after.cer),
    ]
    if result.general_before and result.general_after:
        rows.append(("words wrong, other speech", result.general_before.wer, result.general_after.wer))
    click.echo(f"{'':<30}{'before':>9}{'after':>9}")
    for name, before, after in rows:
        click.echo(f"{name:<30}{before:>9.1%}{after:>9.1%}")
    for term in result.terms:
        counts = "".join(f"{f'{heard} of {term.said}':>9}" for heard in (term.heard_before, term.heard_after))
        click.echo(f"  {term.term:<28}{counts}")
    for place in result.left_out:
        click.echo(f"not learned from: {place}")
    if result.worst:
        click.echo("heard worst:")
    for one in result.worst:
        click.echo(f"  {one.clip.place}: {one.wer:.0%} wrong\n    said   {one.clip.text}\n    heard  {one.after}")


def _use(record: Record, result: RunResult, *, force: bool) -> Path:
    if result.refusal and not force:
        raise InvalidRequestError(
            f"{result.refusal} So it is not used; {COMMAND} --resume {record.name} --force uses it all the same"
        )
    if result.adapter_dir is not None:
        shutil.copytree(result.adapter_dir, result.model_dir / ADAPTER, dirs_exist_ok=True)
    store, _ = open_trainable(None)
    return register(store, record, result.model_dir)
