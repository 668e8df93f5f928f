"""What is measured: the cells, and what the issue demands of them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal

from tests.benchmarks.systems import MODULES, OURS, THREADED, can

POOL = 10
SLOW_S = 0.02


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One workload in one setting."""

    workload: str
    setting: str
    processes: int = 1
    callers_each: int = 1
    workers: int = 1

    @property
    def callers(self) -> int:
        return self.processes * self.callers_each

    @property
    def name(self) -> str:
        many = "" if self.workers == 1 else f", {self.workers} workers"
        return f"{self.workload}, {self.setting} ({self.callers} callers{many})"

    def fits(self, system: str, pattern: str) -> bool:
        return fnmatch(f"{system}/{self.workload}/{self.setting}", pattern)


@dataclass(frozen=True, slots=True)
class Demand:
    """One line of the issue's table: Rowcall's ratio to a system."""

    cell: Cell
    against: str
    at_least: float
    stretch: float | None
    figure: Literal["calls_per_s", "p50_ms"] = "calls_per_s"

    @property
    def sign(self) -> str:
        return "≤" if self.figure == "p50_ms" else "≥"

    def met(self, ratio: float, bound: float) -> bool:
        return ratio <= bound if self.figure == "p50_ms" else ratio >= bound


def busy(workload: str, callers: int = 64) -> Cell:
    """One client process."""
    return Cell(workload, "busy", 1, callers)


def spread(workload: str) -> Cell:
    """Many client processes with few callers each: little can travel together."""
    return Cell(workload, "spread", 16, 4)


def lone(workload: str) -> Cell:
    """One caller: nothing can travel together."""
    return Cell(workload, "lone", 1, 1)


def sync(workload: str) -> Cell:
    """One client process whose callers are threads."""
    return Cell(workload, "sync", 1, 64)


def slow(workers: int) -> Cell:
    """More callers than there are database connections to serve them."""
    return Cell("slow", "busy", 1, 4 * workers * POOL, workers)


def capacity(cell: Cell) -> float:
    """Calls/s that the connections of all workers can serve, each call 20 ms."""
    return cell.workers * POOL / SLOW_S


CAPACITY = "workers × pool ÷ 20 ms"
DEMANDS = (
    Demand(busy("read"), "aio_pika", 12, 20),
    Demand(busy("read"), "http", 6, 10),
    Demand(busy("read"), "direct", 1.2, 1.6),
    Demand(busy("write"), "aio_pika", 4.5, 8),
    Demand(busy("write"), "http", 3, 6),
    Demand(busy("write"), "direct", 1.0, 1.5),
    Demand(busy("write"), "direct_receipt", 1.3, 1.8),
    Demand(busy("list"), "http", 3, 5),
    Demand(busy("mixed"), "http", 2, 4),
    Demand(spread("read"), "aio_pika", 2, 5),
    Demand(spread("read"), "http", 1.2, 2),
    Demand(spread("write"), "aio_pika", 2, 4),
    Demand(spread("write"), "http", 1.2, 2),
    Demand(lone("read"), "aio_pika", 0.75, 0.5, "p50_ms"),
    Demand(lone("read"), "http", 1.2, 1.0, "p50_ms"),
    Demand(lone("write"), "aio_pika", 0.9, 0.6, "p50_ms"),
    Demand(lone("write"), "http", 1.3, 1.0, "p50_ms"),
    Demand(sync("read"), "http", 3, 6),
    Demand(sync("read"), "rowcall_async", 0.5, None),
    Demand(slow(1), CAPACITY, 0.9, None),
    Demand(slow(2), CAPACITY, 0.85, None),
    Demand(slow(4), CAPACITY, 0.7, None),
)

Plan = dict[Cell, list[str]]
"""Each cell with the systems that are measured in it."""


def demanded() -> Plan:
    """The cells of the issue's table."""
    plan: Plan = {}
    for demand in DEMANDS:
        systems = plan.setdefault(demand.cell, ["rowcall"])
        if demand.against in MODULES:
            systems.append(demand.against)
    return plan


def full() -> Plan:
    """Every system in every setting."""
    cells = [
        cell
        for workload in ("noop", "read", "write", "list", "mixed")
        for cell in (lone(workload), busy(workload, 16), busy(workload), busy(workload, 256), spread(workload))
    ]
    others = [system for system in MODULES if system not in OURS]
    plan = {cell: ["rowcall", *(other for other in others if can(other, cell.workload))] for cell in cells}
    plan |= {sync(workload): [*THREADED, "rowcall_async"] for workload in ("noop", "read")}
    return plan | {slow(workers): ["rowcall"] for workers in (1, 2, 4)}


def only(plan: Plan, patterns: str) -> Plan:
    """What of the plan fits one of ``system/workload/setting``; each part may be a pattern, or missing at the end."""
    wholes = ["/".join([*pattern.split("/"), "*", "*"][:3]) for pattern in patterns.split(",")]
    chosen = {
        cell: [system for system in systems if any(cell.fits(system, whole) for whole in wholes)]
        for cell, systems in plan.items()
    }
    return {cell: systems for cell, systems in chosen.items() if systems}
