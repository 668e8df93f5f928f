"""What the reader of the demo sees: steps in plain sentences, progress, and the figures at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from worker.demo.check import Finding
from worker.demo.ears import RECENT, Ears, shown
from worker.demo.measured import Tally

STEPS = 7
REFRESH_PER_S = 8
LABEL_WIDTH = 6


class Screen:
    """A terminal, or a file that somebody reads later."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._step = 0

    def title(self, text: str) -> None:
        """What this is all about."""
        self._console.print(Text(text, style="bold"), soft_wrap=not self._console.is_terminal)

    def step(self, text: str) -> None:
        """What comes next, and why."""
        self._step += 1
        self._console.print()
        self._print(Text(f"{self._step}/{STEPS}", style="cyan"), Text(text, style="bold cyan"))

    def say(self, text: str, style: str = "") -> None:
        """What happened, or why."""
        self._print(Text(), Text(text, style=style))

    def _print(self, label: Text, text: Text) -> None:
        """A label and its text, beside each other; in a file a line stays a line."""
        label.pad_right(LABEL_WIDTH - len(label))
        if not self._console.is_terminal:
            self._console.print(Text.assemble(label, text), soft_wrap=True)
            return
        grid = Table.grid()
        grid.add_column(width=LABEL_WIDTH)
        grid.add_column()
        grid.add_row(label, text)
        self._console.print(grid)

    @contextlib.contextmanager
    def progress(self, tally: Tally, ears: Ears) -> Iterator[Board]:
        """Show how far the executions are while the block runs: moving where that can be seen, else line by line."""
        if not self._console.is_terminal:
            yield Lines(self, tally, ears)
            return
        moving = Moving(tally, ears)
        with Live(moving, console=self._console, refresh_per_second=REFRESH_PER_S):
            yield moving

    def figures(self, rows: dict[str, str]) -> None:
        """The table at the end."""
        table = Table("figure", "value", title="What happened", title_justify="left")
        for name, value in rows.items():
            table.add_row(name, value)
        self._console.print()
        self._console.print(table)

    def findings(self, findings: list[Finding]) -> None:
        """What the database says, claim by claim."""
        for finding in findings:
            verdict = Text("ok", style="green") if finding.good else Text("WRONG", style="bold red")
            wanted = "" if finding.good else f", not {finding.wanted:,}"
            self._print(verdict, Text(f"{finding.claim} ({finding.found:,}{wanted})"))


class Board(Protocol):
    """Where progress is shown."""

    def advance(self) -> None:
        """One more execution is done."""


class Moving:
    """A progress bar, and under it the events as they come."""

    def __init__(self, tally: Tally, ears: Ears) -> None:
        self._tally = tally
        self._ears = ears
        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("executions · {task.fields[calls]:,} calls · {task.fields[rate]:,.0f} calls/s"),
            TimeElapsedColumn(),
            expand=True,
        )
        self._task = self._bar.add_task("", total=tally.wanted, calls=0, rate=0.0)

    def advance(self) -> None:
        """One more execution is done."""
        tally = self._tally
        self._bar.update(self._task, completed=tally.done, calls=tally.calls, rate=tally.rate)

    def __rich__(self) -> Group:
        lines = [shown(event) for event in list(self._ears.recent)]
        body = Text("\n".join(lines + [""] * (RECENT - len(lines))), style="dim", no_wrap=True, overflow="ellipsis")
        return Group(self._bar, Panel(body, title=f"committed and heard live: {self._ears.heard:,} events"))


class Lines:
    """A line for every tenth of the executions."""

    def __init__(self, screen: Screen, tally: Tally, ears: Ears) -> None:
        self._screen = screen
        self._tally = tally
        self._ears = ears

    def advance(self) -> None:
        """One more execution is done."""
        tally = self._tally
        if tally.done * 10 // tally.wanted == (tally.done - 1) * 10 // tally.wanted:
            return
        share = f"{tally.done * 100 // tally.wanted:3} %  {tally.done} of {tally.wanted} executions"
        self._screen.say(f"{share}, {tally.calls:,} calls, {tally.rate:,.0f} calls/s, {self._ears.heard:,} events")
        if self._ears.recent:
            self._screen.say(f"       {shown(self._ears.recent[-1])}")
