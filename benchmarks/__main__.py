"""`python -m benchmarks`: all figures in one table, and in benchmarks/results/latest.json."""

import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks import (
    alignment,
    conversation,
    diarization,
    footprint,
    hallucinations,
    http_cost,
    live,
    page,
    providers,
    reading,
    real_speech,
    speaking,
    speed,
    whole_files,
)
from benchmarks.report import ISA_LIMITS, Figure, describe_machine, show
from benchmarks.running import run_servers

RESULTS = Path(__file__).parent / "results" / "latest.json"


def measure_all() -> list[Figure]:
    """Every benchmark, one after the other."""
    figures = footprint.measure() + reading.measure() + conversation.measure() + providers.measure()
    with run_servers() as servers, tempfile.TemporaryDirectory() as folder:
        figures += page.measure(servers)
        figures += http_cost.measure(servers, Path(folder))
        figures += speaking.measure(servers)
        figures += speed.measure(servers, Path(folder), "base", is_default=True)
        figures += speed.measure(servers, Path(folder), "tiny.en", is_default=False)
        figures += real_speech.measure(servers, Path(folder), "base")
        figures += real_speech.measure_cuts(servers, "base")
        figures += whole_files.measure(servers.urls["asr"])
        figures += alignment.measure(servers)
        figures += diarization.measure(servers)
        figures += live.measure(servers, Path(folder), "base")
        figures += real_speech.measure_languages(servers, "base")
        return figures + hallucinations.measure(servers.urls["asr"], condition="words heard", bar=0.0)


def measure_recognition() -> list[Figure]:
    """What depends on the instructions that the processor has."""
    with run_servers() as servers, tempfile.TemporaryDirectory() as folder:
        figures = speed.measure(servers, Path(folder), "base", is_default=True)
        figures += real_speech.measure_cuts(servers, "base")
        return figures + live.measure(servers, Path(folder), "base")


@click.command()
@click.option("--markdown", is_flag=True, help="Print the table for docs/performance.md.")
@click.option("--avx2", is_flag=True, help="Only recognition, as on a processor that has AVX2 and no more.")
def main(markdown: bool, avx2: bool) -> None:
    """Measure Voice Stack against the bare libraries; takes some thirty minutes."""
    if avx2:
        os.environ |= ISA_LIMITS
    figures, machine = measure_recognition() if avx2 else measure_all(), describe_machine()
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    result = {"machine": machine, "measured_at": measured_at, "figures": [figure.as_json() for figure in figures]}
    (RESULTS.with_stem("latest-avx2") if avx2 else RESULTS).write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    show(figures, markdown=markdown)


main()
