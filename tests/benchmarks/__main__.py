"""``python -m tests.benchmarks``: measure, and print the tables. ``make bench`` is the same."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
import time
from pathlib import Path

from tests.benchmarks.cells import Cell, Plan, demanded, full, only
from tests.benchmarks.document import write_document
from tests.benchmarks.measure import Bench, Figure
from tests.benchmarks.report import Results, aligned
from tests.benchmarks.stage import set_up

TRIES = 3


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of 3 s, at most 6 minutes")
    parser.add_argument("--all", action="store_true", help="every system in every setting")
    parser.add_argument("--only", metavar="PATTERN", help="SYSTEM/WORKLOAD/SETTING, each * or so; several by comma")
    parser.add_argument("--rounds", type=int, help="how often each cell is measured (5)")
    parser.add_argument("--seconds", type=float, help="for how long each time (5)")
    parser.add_argument("--no-reset", action="store_true", help="elide the pools' reset in the peers' servers too")
    parser.add_argument("--calm", type=float, default=1.0, help="measure again where others used more of the machine")
    parser.add_argument("--json", type=Path, default=os.environ.get("BENCH_JSON") or None, help="also $BENCH_JSON")
    parser.add_argument("--document", type=Path, help="write the tables into this Markdown file, between its marks")
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.quick else 5)
    given.seconds = given.seconds or (3.0 if given.quick else 5.0)
    return given


async def run(given: argparse.Namespace) -> Results:
    """Measure everything that was asked for, all systems in turn, round by round."""
    plan = full() if given.all or given.only else demanded()
    plan = only(plan, given.only) if given.only else plan
    if not plan:
        raise SystemExit(f"nothing fits {given.only!r}")
    results = Results()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _cancel, asyncio.current_task())
    systems = {system for systems in plan.values() for system in systems}
    workloads = {cell.workload for cell in plan}
    async with set_up(systems, workloads, reset=not given.no_reset) as stage:
        if stage.servers.unseen:
            print(f"the CPU of {', '.join(stage.servers.unseen)} cannot be seen from here", flush=True)
        bench = Bench(stage, given.seconds)
        for round_ in range(given.rounds):
            await _round(bench, plan, round_, results, given.calm)
    return results


def _cancel(task: asyncio.Task[object] | None) -> None:
    """Leave nothing behind when told to stop."""
    assert task is not None
    task.cancel()


async def _round(bench: Bench, plan: Plan, number: int, results: Results, calm: float) -> None:
    for cell in sorted(plan, key=_by_workers):
        systems = plan[cell]
        turn = number % len(systems)  # nobody is always first
        for system in [*systems[turn:], *systems[:turn]]:
            results.add(await _calmly(bench, system, cell, number, calm))


async def _calmly(bench: Bench, system: str, cell: Cell, number: int, calm: float) -> Figure:
    """Measure; again, up to three times, while strangers use more of the machine than that. The calmest counts."""
    best = None
    for _ in range(TRIES if calm < 1 else 1):
        figure = await bench.measure(system, cell, seed=number)
        _tell(number, figure)
        if best is None or figure.others < best.others:
            best = figure
        if best.others <= calm:
            break
    assert best is not None
    return best


def _tell(round_: int, figure: Figure) -> None:
    """One line of progress; its last number says how far to trust it."""
    rate, others = f"{figure.calls_per_s:9.0f}/s", f"others used {figure.others:.0%} of the machine"
    print(f"  {round_ + 1}  {figure.cell.name:38} {figure.system:15} {rate}  {others}", file=sys.stderr, flush=True)


def _by_workers(cell: Cell) -> int:
    return cell.workers


def show(results: Results) -> None:
    for cell in results.cells():
        print(f"\n{cell.name}\n{aligned(results.table(cell))}")
    must_show = results.must_show()
    if len(must_show) > 1:
        print(f"\nWhat it must show: ours ÷ theirs\n{aligned(must_show)}")


def main() -> None:
    given = options()
    began = time.monotonic()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}", flush=True)
    try:
        results = asyncio.run(run(given))
    except asyncio.CancelledError:
        raise SystemExit("stopped; nothing was left behind") from None
    show(results)
    if given.json:
        given.json.write_text("\n".join(json.dumps(row) for row in results.rows()) + "\n")
    if given.document:
        write_document(given.document, results, rounds=given.rounds, seconds=given.seconds)
    print(f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
