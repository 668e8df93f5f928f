"""What was measured, as tables for people and rows for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

from tests.benchmarks.cells import CAPACITY, DEMANDS, Cell, Demand, capacity
from tests.benchmarks.cpu import GROUPS
from tests.benchmarks.measure import Figure

Table = list[list[str]]


class Results:
    """All figures of a run, in the order of its rounds."""

    def __init__(self) -> None:
        self._figures: dict[tuple[Cell, str], list[Figure]] = {}

    def add(self, figure: Figure) -> None:
        self._figures.setdefault((figure.cell, figure.system), []).append(figure)

    def cells(self) -> list[Cell]:
        return list(dict.fromkeys(cell for cell, _ in self._figures))

    def systems(self, cell: Cell) -> list[str]:
        return [system for found, system in self._figures if found == cell]

    @property
    def others(self) -> float:
        """The share of the machine that strangers used, in the middle of all measurements."""
        return median(figure.others for figures in self._figures.values() for figure in figures)

    def rows(self) -> list[dict[str, Any]]:
        """One row for every system and cell: the medians over the rounds."""
        return [self._median(cell, system).row() for cell, system in self._figures]

    def ratios(self, cell: Cell, system: str, figure: str) -> list[float]:
        """Rowcall's figure by the system's, round by round."""
        ours = self._figures.get((cell, "rowcall"), [])
        if system == CAPACITY:
            return [one.calls_per_s / capacity(cell) for one in ours]
        theirs = self._figures.get((cell, system), [])
        return [getattr(one, figure) / getattr(other, figure) for one, other in zip(ours, theirs, strict=False)]

    def table(self, cell: Cell) -> Table:
        head = ["system", "calls/s", "p50 ms", "p99 ms", *(f"CPU {group}" for group in GROUPS), "CPU total", "ours ÷"]
        return [head, *(self._line(cell, system) for system in self.systems(cell))]

    def _line(self, cell: Cell, system: str) -> list[str]:
        figure = self._median(cell, system)
        cpu = [f"{figure.cpu_ms_per_call[group]:.3f}" for group in (*GROUPS, "total")]
        ratio = "" if system == "rowcall" else _range(self.ratios(cell, system, "calls_per_s"))
        times = [f"{figure.p50_ms:.2f}", f"{figure.p99_ms:.2f}"]
        return [system, f"{figure.calls_per_s:,.0f}".replace(",", " "), *times, *cpu, ratio]

    def _median(self, cell: Cell, system: str) -> Figure:
        figures = self._figures[cell, system]

        def middle(value: Callable[[Figure], float]) -> float:
            return round(median(map(value, figures)), 4)

        cpu = {group: middle(lambda f, g=group: f.cpu_ms_per_call[g]) for group in (*GROUPS, "total")}
        rate, p50, p99 = (middle(value) for value in (_rate, lambda f: f.p50_ms, lambda f: f.p99_ms))
        return Figure(system, cell, rate, p50, p99, cpu)

    def must_show(self) -> Table:
        """The issue's table, as far as it was measured."""
        lines = [self._demand(demand) for demand in DEMANDS]
        return [["cell", "against", "measured", "at least", "stretch", ""], *filter(None, lines)]

    def _demand(self, demand: Demand) -> list[str] | None:
        ratios = self.ratios(demand.cell, demand.against, demand.figure)
        if not ratios:
            return None
        ratio = median(ratios)
        verdict = "met" if demand.met(ratio, demand.at_least) else "MISSED"
        if demand.stretch is not None and demand.met(ratio, demand.stretch):
            verdict = "stretch met"
        what = "p50 of " if demand.figure == "p50_ms" else ""
        stretch = "" if demand.stretch is None else f"{demand.sign} {demand.stretch:g}"
        bounds = [f"{demand.sign} {demand.at_least:g}", stretch]
        return [demand.cell.name, what + demand.against, _range(ratios), *bounds, verdict]


def _rate(figure: Figure) -> float:
    return figure.calls_per_s


def _range(ratios: Sequence[float]) -> str:
    if not ratios:
        return ""
    spread = f" ({min(ratios):.2f}–{max(ratios):.2f})" if len(ratios) > 1 else ""
    return f"{median(ratios):.2f}{spread}"


def aligned(table: Table) -> str:
    """For a terminal."""
    widths = [max(len(line[n]) for line in table) for n in range(len(table[0]))]
    return "\n".join("  ".join(_pad(line, widths)).rstrip() for line in table)


def _pad(line: Sequence[str], widths: Sequence[int]) -> Iterable[str]:
    yield line[0].ljust(widths[0])
    for cell, width in zip(line[1:], widths[1:], strict=True):
        yield cell.ljust(width) if cell[:1].isalpha() else cell.rjust(width)


def markdown(table: Table) -> str:
    """For a document."""
    head, *lines = table
    right = "|".join(["---", *("---:" for _ in head[1:])])
    return "\n".join([f"| {' | '.join(head)} |", f"|{right}|", *(f"| {' | '.join(line)} |" for line in lines)])
