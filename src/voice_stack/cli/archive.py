"""`voice-stack archive`: thousands of recordings to texts, each of them once."""

import asyncio
import hashlib
import itertools
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import click

from voice_stack.archive.heard import Wanted
from voice_stack.archive.manifest import WHOLE, Manifest, Shard
from voice_stack.archive.outputs import STATE_FOLDER, Outputs, open_outputs
from voice_stack.archive.report import RunFacts, make_metrics, make_report, tell_failure, tell_report
from voice_stack.archive.sources import Source
from voice_stack.archive.transcribers import MAX_OUTAGE_S, RunningServer, Transcriber, own_engine
from voice_stack.archive.work import Run, Tally
from voice_stack.asr.rendering import DIARIZED_JSON, TRANSCRIPT_FORMATS
from voice_stack.asr.settings import AsrSettings
from voice_stack.cli.progress import Display, open_display
from voice_stack.cli.transcribe import EXIT_INTERRUPTED, EXIT_SOME_FAILED, language_code, target_language
from voice_stack.client import AsyncVoiceStackClient
from voice_stack.core.errors import ConfigurationError, UnsupportedValueError, VoiceStackError
from voice_stack.core.logging import configure_logging
from voice_stack.core.settings import user_folder
from voice_stack.core.system.files import write_whole
from voice_stack.core.system.objects import SCHEME

SHOWN_EVERY_S, METRICS_EVERY = 0.5, 20
INTERRUPTED = "interrupted"
EXIT_STOPPED = 3
SHORT_OUTAGE_S = 20.0
ANSWER_TIMEOUT_S = 1800.0
"""The longest that a server may take for a recording of some MB, before which others may be in line."""


def _names(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(str.strip, (value or "").split(",")))))


def _shard(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Shard:
    if value is None:
        return WHOLE
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", value)
    if match is None or int(match[1]) >= int(match[2]):
        raise click.BadParameter(f"{value!r} is no part such as 0/8: the first of eight, 7/8 is the last")
    return Shard(int(match[1]), int(match[2]))


@click.command()
@click.argument("source")
@click.option("-o", "--out", required=True, metavar="DIR|s3://...", help="Where the texts go, laid out as the source.")
@click.option("-f", "--format", "formats", default="srt", show_default=True, callback=_names, metavar="FORMATS",
              help=f"What to write, separated by commas: {', '.join(TRANSCRIPT_FORMATS)}.")  # fmt: skip
@click.option("-w", "--workers", envvar="VOICE_STACK_URL", callback=_names, metavar="URL,URL",
              help="Running servers [VOICE_STACK_URL]; without: no server needed.")  # fmt: skip
@click.option("--api-key", envvar="VOICE_STACK_API_KEY", help="If they want one [VOICE_STACK_API_KEY].")
@click.option("--ray", "address", metavar="ADDRESS",
              help="On engines of a Ray cluster: auto, or HOST:PORT; its nodes see SOURCE and --out.")  # fmt: skip
@click.option("--cpus", default=2.0, show_default=True, help="With --ray: CPUs of each engine.",
              type=click.FloatRange(min=0, min_open=True))  # fmt: skip
@click.option("--gpus", default=0.0, show_default=True, help="With --ray: GPUs of each engine; 0.25 puts four on one.",
              type=click.FloatRange(min=0))  # fmt: skip
@click.option("-l", "--language", callback=language_code, help="Spoken language, as en; found per recording if absent.")
@click.option("-m", "--model", default="whisper-1", show_default=True, help="whisper-1 is the default model.")
@click.option("--task", default="transcribe", show_default=True, type=click.Choice(["transcribe", "translate"]),
              help="translate: English text, whatever is spoken.")  # fmt: skip
@click.option("--to", "target", metavar="LANG", callback=target_language,
              help="Put into this language, as de or pt-BR, by the language model of ASR_LLM_URL.")  # fmt: skip
@click.option("--original", is_flag=True, help="With --to: what was said stands beside it.")
@click.option("--prompt", help="A sample of the style and of names to expect.")
@click.option("--diarize", is_flag=True, help="Tell who speaks.")
@click.option("--again", is_flag=True, help="Do everything anew, not only what is new or changed.")
@click.option("--retry", is_flag=True, help="Try what was refused before, too.")
@click.option("--shard", callback=_shard, metavar="I/N", help="Only part I, from 0, of N: for several machines.")
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="The file that knows what is done.")
def archive(
    source: str,
    out: str,
    formats: tuple[str, ...],
    workers: tuple[str, ...],
    api_key: str | None,
    address: str | None,
    cpus: float,
    gpus: float,
    language: str | None,
    model: str,
    task: str,
    target: str | None,
    original: bool,
    prompt: str | None,
    diarize: bool,
    again: bool,
    retry: bool,
    shard: Shard,
    state: Path | None,
) -> None:
    """Turn an archive into texts: a second run does only what is new or changed.

    SOURCE is a folder, a list of recordings (.txt, .jsonl, .csv) or s3://bucket/prefix. Exit code: 0 all done, 1 some
    cannot be, 2 wrong usage, 3 it stopped before it was through, 130 interrupted; the same command goes on.
    """
    configure_logging("WARNING", "text", "archive")
    if address and workers:
        raise click.UsageError("--ray has engines of its own: leave --workers away")
    try:
        wanted = Wanted(
            formats,
            model,
            task,
            language,
            prompt,
            diarize=diarize or DIARIZED_JSON in formats,
            target=target,
            original=original,
        )
    except UnsupportedValueError as error:
        raise click.UsageError(error.message) from None
    outputs, found = open_outputs(out), Source(source)
    state = state or _usual_state(out, shard)
    with Manifest(state) as manifest:
        manifest.take_stock(found.items(), wanted.digest, shard=shard, again=again, retry=retry)
        manifest.require_outputs(outputs.has)
        stock = manifest.summary()
        if not stock.found and not found.problems:
            raise click.ClickException(f"no audio or video files in {source}")
        facts = RunFacts(source, f"archive-report{_part(shard)}.json", time.time(), found.problems)
        if stock.counts.get("waiting"):
            if address:
                work = _on_ray(manifest, out, wanted, address, cpus, gpus)
            else:
                work = _on_transcribers(manifest, outputs, wanted, _hire(workers, api_key, wanted))
            _work(manifest, facts, work, state.with_suffix(".prom"))
        code = _conclude(manifest, outputs, facts)
    sys.exit(code)


def _conclude(manifest: Manifest, outputs: Outputs, facts: RunFacts) -> int:
    """Write the report and tell it; returns the exit code."""
    try:
        outputs.write(facts.report, make_report(manifest, facts))
    except (VoiceStackError, OSError) as error:
        facts.stopped = facts.stopped or f"no report: {error}"
    for line in tell_report(manifest, facts):
        click.echo(line, err=True)
    if facts.stopped:
        click.echo(f"{facts.stopped}: the same command goes on with the rest", err=True)
        return EXIT_INTERRUPTED if facts.stopped == INTERRUPTED else EXIT_STOPPED
    is_whole = not facts.problems and manifest.summary().counts.keys() <= {"done"}
    return 0 if is_whole else EXIT_SOME_FAILED


def _usual_state(out: str, shard: Shard) -> Path:
    name = f"archive{_part(shard)}.sqlite"
    if not out.startswith(SCHEME):
        return Path(out, STATE_FOLDER, name)
    # A bucket holds no database that is written to: it stays on this machine.
    return user_folder("STATE") / "archives" / hashlib.sha256(out.encode()).hexdigest()[:16] / name


def _part(shard: Shard) -> str:
    return f"-{shard.index}-of-{shard.count}" if shard.count > 1 else ""


Hired = AbstractAsyncContextManager[Sequence[Transcriber]]


@asynccontextmanager
async def _hire(workers: Sequence[str], api_key: str | None, wanted: Wanted) -> AsyncIterator[Sequence[Transcriber]]:
    """Who hears the recordings: the servers, or an engine of our own."""
    async with AsyncExitStack() as stack:
        if not workers:
            yield [await stack.enter_async_context(own_engine(AsrSettings.read(log_level="WARNING"), wanted))]
            return
        hired = list[Transcriber]()
        for url in workers:
            try:
                client = AsyncVoiceStackClient(url, api_key=api_key, timeout_s=ANSWER_TIMEOUT_S, max_retries=0)
            except ValueError as error:
                raise ConfigurationError(f"--workers or --api-key: {error}") from None
            await stack.enter_async_context(client)
            # Where there are others, they do the film of one that is started anew.
            outage_s = SHORT_OUTAGE_S if len(workers) > 1 else MAX_OUTAGE_S
            hired.append(RunningServer(client, url, wanted, max_outage_s=outage_s))
        yield hired


Work = Callable[[Tally], Awaitable[None]]
"""Does what is left of an archive."""


def _on_transcribers(manifest: Manifest, outputs: Outputs, wanted: Wanted, hiring: Hired) -> Work:
    async def work(tally: Tally) -> None:
        async with hiring as transcribers:
            await Run(manifest, outputs, wanted, tally, transcribers).work()

    return work


def _on_ray(manifest: Manifest, out: str, wanted: Wanted, address: str, cpus: float, gpus: float) -> Work:
    # Else Ray starts a cluster of its own when a run that is broken off leaves the one it was on.
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        from voice_stack.archive.on_ray import Place, RayRun
    except ImportError as error:
        raise click.UsageError(f"--ray needs Ray: pip install 'voice-stack[ray]' ({error})") from None
    return lambda tally: RayRun(manifest, out, wanted, tally, Place(address, cpus, gpus)).work()


def _work(manifest: Manifest, facts: RunFacts, work: Work, metrics: Path) -> None:
    """Do what is left, and show how far it is."""
    # Whoever ends a pod or a service means what Ctrl-C means.
    signal.signal(signal.SIGTERM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
    with open_display() as display:
        tally = Tally(manifest, lambda done: None if done.state == "done" else display.say(tell_failure(done)))

        async def work_and_show() -> None:
            showing = asyncio.create_task(_show(display, tally, metrics))
            try:
                await work(tally)
            finally:
                showing.cancel()

        try:
            asyncio.run(work_and_show())
        except KeyboardInterrupt:
            facts.stopped = INTERRUPTED
        except VoiceStackError as error:
            facts.stopped = error.message
        finally:
            facts.note(tally)
            _write_metrics(tally, metrics)


async def _show(display: Display, tally: Tally, metrics: Path) -> None:
    display.begin("archive")
    for look in itertools.count():
        display.update(tally.percent, tally.eta_s, f"{tally.ended.total()} of {tally.total}")
        if look % METRICS_EVERY == 0:
            await asyncio.to_thread(_write_metrics, tally, metrics)
        await asyncio.sleep(SHOWN_EVERY_S)


def _write_metrics(tally: Tally, path: Path) -> None:
    # Where there is no room the run itself finds out.
    with suppress(OSError):
        write_whole(path, make_metrics(tally, path.stem), mode=0o644)
