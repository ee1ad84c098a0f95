"""How figures are shown: a table for a terminal, or Markdown for docs/performance.md."""

from collections.abc import Sequence

import click
from rich.console import Console

from voice_stack.bench.figures import COLUMNS, Figure, as_table, describe_machine

WIDTH = 160


def show(figures: Sequence[Figure], *, markdown: bool) -> None:
    """Print the figures."""
    machine = describe_machine()
    if markdown:
        click.echo(as_markdown(figures, machine))
    else:
        Console(width=WIDTH).print(as_table(figures, machine))


def as_markdown(figures: Sequence[Figure], machine: str) -> str:
    """The table for docs/performance.md."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(figure.cells() for figure in figures)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\nMachine: {machine}. Medians (lowest to highest)."
