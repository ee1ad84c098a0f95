"""How far a transcription is, on stderr: a bar on a terminal, else a line for every tenth."""

import sys
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

_STEP_PERCENT = 10


class Display:
    """Shows one file at a time, with plain lines, for logs and pipes; use it in a `with` statement."""

    def __init__(self) -> None:
        self._name = ""
        self._shown = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Clear the terminal of what moves."""

    def begin(self, name: str) -> None:
        """Work on a file begins."""
        self._name, self._shown = name, 0

    def update(self, percent: float | None, eta_s: float | None, state: str = "") -> None:
        """The file is so far: 0 to 100, seconds left, both None while not known; or what it waits for."""
        step = int((percent or 0) // _STEP_PERCENT)
        if step > self._shown:
            self._shown = step
            left = "" if eta_s is None else f", {format_duration(eta_s)} left"
            click.echo(f"{self._name}: {step * _STEP_PERCENT} %{left}", err=True)

    def end(self, line: str) -> None:
        """Work on the file is over; the line stays."""
        self.say(line)

    def say(self, line: str) -> None:
        """Something worth a line that stays, while work goes on."""
        click.echo(line, err=True)


class Bar(Display):
    """A bar with the time that is left."""

    def __init__(self) -> None:
        super().__init__()
        columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
        console = Console(stderr=True)
        self._progress = Progress(*columns, TextColumn("{task.fields[note]}"), console=console, transient=True)
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def begin(self, name: str) -> None:
        self._task = self._progress.add_task(name, total=None, note="")

    def update(self, percent: float | None, eta_s: float | None, state: str = "") -> None:
        assert self._task is not None
        note = ", ".join(filter(None, (state, "" if eta_s is None else f"{format_duration(eta_s)} left")))
        self._progress.update(self._task, total=None if percent is None else 100, completed=percent or 0, note=note)

    def end(self, line: str) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        self.say(line)

    def say(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


def open_display() -> Display:
    """A bar if somebody looks, else lines."""
    return Bar() if sys.stderr.isatty() else Display()


def format_duration(duration_s: float) -> str:
    """`1:02:03`, or `2:03` below an hour."""
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
