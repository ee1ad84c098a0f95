"""What a benchmark gives: figures with their bar, and how they are shown, for a terminal or docs/performance.md."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

WIDTH = 160
COLUMNS = ("Figure", "Voice Stack", "Reference", "Ratio", "Bar", "n", "Verdict")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing.

    Attributes:
        name: What was measured.
        unit: Of the measured values, as `s` or `MB`.
        ours: Every measurement of Voice Stack.
        reference: Every measurement of what it is compared with; empty: the bar is on the value itself.
        bar: Highest ratio, or highest value where there is no reference; None: for information only.
    """

    name: str
    unit: str
    ours: tuple[float, ...]
    reference: tuple[float, ...] = ()
    bar: float | None = None

    @property
    def ratio(self) -> float | None:
        """Median of ours over the median of the reference."""
        return statistics.median(self.ours) / statistics.median(self.reference) if self.reference else None

    @property
    def judged(self) -> float:
        """What the bar is held against."""
        return statistics.median(self.ours) if self.ratio is None else self.ratio

    @property
    def is_within_bar(self) -> bool | None:
        """Whether the bar is kept; None where there is none."""
        return None if self.bar is None else self.judged <= self.bar

    def cells(self) -> tuple[str, ...]:
        """The figure as one row of the table."""
        verdict = {None: "for information", True: "kept", False: "missed"}[self.is_within_bar]
        bar = "" if self.bar is None else f"{self.bar:g}" if self.reference else f"{self.bar:g} {self.unit}"
        ratio = "" if self.ratio is None else f"{self.ratio:.3f}"
        return (self.name, self._show(self.ours), self._show(self.reference), ratio, bar, str(len(self.ours)), verdict)

    def _show(self, values: Sequence[float]) -> str:
        if not values:
            return ""
        return f"{statistics.median(values):.3f} {self.unit} ({min(values):.3f} to {max(values):.3f})"

    def as_json(self) -> dict[str, object]:
        """The figure for `latest.json`."""
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": self.ours,
            "reference": self.reference,
            "ratio": self.ratio,
            "bar": self.bar,
            "is_within_bar": self.is_within_bar,
        }


INSTRUCTIONS = {"avx512_vnni": "AVX-512 with VNNI", "avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX"}
"""Name in /proc/cpuinfo -> what people call it, the best first."""
ISA_LIMITS = {"CT2_FORCE_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
"""What lets CTranslate2 act as on a processor without AVX-512: the first its own code, the second its products of
matrices, where most of the time goes."""


def describe_machine() -> str:
    """CPU model, instructions, cores, system and Python in one line."""
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text("utf-8").splitlines() if cpu_info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cpu = models[0] if models else platform.processor() or platform.machine()
    known = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    best = next((name for flag, name in INSTRUCTIONS.items() if flag in known), "unknown instructions")
    limits = ", ".join(f"{name}={os.environ[name]}" for name in ISA_LIMITS if name in os.environ)
    instructions = f"{best}, limited by {limits}" if limits else best
    return f"{cpu} ({instructions}), {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def as_table(figures: Sequence[Figure], machine: str) -> Table:
    """The table for a terminal."""
    table = Table(*COLUMNS, title="Medians (lowest to highest)", caption=machine)
    for figure in figures:
        table.add_row(*figure.cells())
    return table


def percentile_95(values: list[float]) -> float:
    """The 95th percentile; of a single value that value, of none 0."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


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
