"""`python -m benchmarks`: all figures in one table, and in benchmarks/results/latest.json."""

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from benchmarks import first_audio, footprint, http_cost
from benchmarks.figures import Figure, as_markdown, as_table, describe_machine
from benchmarks.running import run_servers

RESULTS = Path(__file__).parent / "results" / "latest.json"


def measure_all() -> list[Figure]:
    """Every benchmark, one after the other."""
    figures = footprint.measure()
    with run_servers() as servers, tempfile.TemporaryDirectory() as folder:
        return [*http_cost.measure(servers, Path(folder)), *first_audio.measure(servers), *figures]


@click.command()
@click.option("--markdown", is_flag=True, help="Print the table for docs/performance.md.")
def main(markdown: bool) -> None:
    """Measure Voice Stack against the bare libraries; takes a few minutes."""
    figures, machine = measure_all(), describe_machine()
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    result = {"machine": machine, "measured_at": measured_at, "figures": [figure.as_json() for figure in figures]}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    if markdown:
        click.echo(as_markdown(figures, machine))
    else:
        Console(width=160).print(as_table(figures, machine))


main()
