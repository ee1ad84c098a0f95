"""How figures are shown: a table for a terminal, or Markdown for docs/performance.md."""

from collections.abc import Sequence

import click
from rich.console import Console

from voice_stack.bench.figures import Figure, as_markdown, as_table, describe_machine

WIDTH = 160


def show(figures: Sequence[Figure], *, markdown: bool) -> None:
    """Print the figures."""
    machine = describe_machine()
    if markdown:
        click.echo(as_markdown(figures, machine))
    else:
        Console(width=WIDTH).print(as_table(figures, machine))
