"""``python -m tests.benchmarks.plot FILE.json [docs/performance.svg]``: calls/s and CPU per call against callers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.benchmarks.systems import MODULES

WORKLOADS = ("read", "write")
COLOURS = {
    "rowcall": "#c2410c",
    "aio_pika": "#2563eb",
    "faststream": "#7c3aed",
    "http": "#0d9488",
    "direct": "#1f2937",
    "direct_grouped": "#9ca3af",
    "direct_receipt": "#6b7280",
}
Row = dict[str, Any]


def main() -> None:
    source = Path(sys.argv[1])
    target = Path(sys.argv[2] if len(sys.argv) > 2 else "docs/performance.svg")
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    draw([row for row in rows if row["setting"] in {"lone", "busy"} and row["workers"] == 1], target)
    print(target)


def draw(rows: list[Row], target: Path) -> None:
    """Two panels for every workload: how many, and at what cost."""
    mpl.rcParams["svg.hashsalt"] = "rowcall"  # the same figures, the same file
    present = [workload for workload in WORKLOADS if any(row["workload"] == workload for row in rows)]
    figure = Figure(figsize=(4.8 * len(present), 7), layout="constrained")
    axes = figure.subplots(2, len(present), squeeze=False, sharex=True)
    for column, workload in enumerate(present):
        found = [row for row in rows if row["workload"] == workload]
        _panel(axes[0][column], found, "calls_per_s", f"{workload}: calls per second")
        _panel(axes[1][column], found, "cpu", f"{workload}: CPU ms per call, all processes")
        axes[1][column].set_xlabel("callers in one client process")
    handles, labels = axes[0][0].get_legend_handles_labels()
    extra = [pair for pair in zip(*axes[0][-1].get_legend_handles_labels(), strict=True) if pair[1] not in labels]
    handles, labels = [*handles, *(h for h, _ in extra)], [*labels, *(label for _, label in extra)]
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)


def _panel(axes: Axes, rows: list[Row], figure: str, title: str) -> None:
    for system in MODULES:
        points = sorted((row["callers"], _value(row, figure)) for row in rows if row["system"] == system)
        if points:
            width = 2.5 if system == "rowcall" else 1.3
            axes.plot(*zip(*points, strict=True), "o-", label=system, color=COLOURS[system], lw=width, ms=4)
    callers = sorted({row["callers"] for row in rows})
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(callers, [str(number) for number in callers])
    axes.minorticks_off()
    axes.grid(visible=True, color="#e5e7eb")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=10, loc="left")


def _value(row: Row, figure: str) -> float:
    return row["cpu_ms_per_call"]["total"] if figure == "cpu" else row[figure]


if __name__ == "__main__":
    main()
