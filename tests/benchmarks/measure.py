"""One measurement: start client processes, let them call for a while, and tell what it took."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from time import perf_counter
from typing import Any

from tests.benchmarks.cells import Cell
from tests.benchmarks.cpu import Machine, between
from tests.benchmarks.stage import Process, Stage
from tests.benchmarks.systems import OURS, THREADED
from tests.benchmarks.work import EXECUTIONS

LEAD_S = 0.2
"""From the last process's ready to the first call."""
ANSWER_S = 60.0
WARM_CALLS_S = 1.0


@dataclass(frozen=True, slots=True)
class Figure:
    """What one system did in one cell in one round."""

    system: str
    cell: Cell
    calls_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms_per_call: dict[str, float]
    others: float = 0.0
    """The share of the machine that strangers used meanwhile."""

    def row(self) -> dict[str, Any]:
        """As ``BENCH_JSON`` has it."""
        return {
            "system": self.system,
            "workload": self.cell.workload,
            "setting": self.cell.setting,
            "callers": self.cell.callers,
            "workers": self.cell.workers,
            "calls_per_s": self.calls_per_s,
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
            "cpu_ms_per_call": self.cpu_ms_per_call,
        }


class Bench:
    """Measures, one system and one cell at a time."""

    def __init__(self, stage: Stage, seconds: float) -> None:
        self._stage = stage
        self._seconds = seconds
        self._next_execution = 0
        self._others = 0.0

    async def measure(self, system: str, cell: Cell, seed: int) -> Figure:
        if system in OURS:
            await self._stage.workers(cell.workers)
        clients = await self._start(system, cell, seed)
        try:
            return await self._run(system, cell, clients)
        except Exception as error:
            logs = "\n".join(client.last_words for client in clients[:1])
            raise RuntimeError(f"{system}, {cell.name}: {error!r}\n{logs}") from error
        finally:
            for client in clients:
                assert client.process.stdin is not None
                client.process.stdin.close()
            await asyncio.gather(*(_gone(client) for client in clients))

    async def _start(self, system: str, cell: Cell, seed: int) -> list[Process]:
        threaded = cell.setting == "sync" and system in THREADED
        words = ["-m", "tests.benchmarks.sync_client" if threaded else "tests.benchmarks.client"]
        clients = [await self._stage.start("client", words) for _ in range(cell.processes)]
        place = replace(self._stage.place, callers=cell.callers_each)
        share = EXECUTIONS // 16 // cell.processes
        for n, client in enumerate(clients):
            job = {"system": system, "workload": cell.workload, "place": asdict(place), "seed": seed * 100 + n}
            await client.tell(job | {"first_execution": self._next_execution + n * share})
        if cell.workload == "mixed":
            self._next_execution += EXECUTIONS // 16
        return clients

    async def _run(self, system: str, cell: Cell, clients: Sequence[Process]) -> Figure:
        await asyncio.gather(*(client.hear() for client in clients))
        begin = perf_counter() + LEAD_S
        start = begin + WARM_CALLS_S
        stop = start + self._seconds
        for client in clients:
            await client.tell({"begin": begin, "start": start, "stop": stop})
        spent = await self._spent(system, [client.pid for client in clients], start, stop)
        answers = [json.loads(line) for line in await asyncio.gather(*(client.hear(ANSWER_S) for client in clients))]
        latencies = sorted(latency for answer in answers for latency in answer["latencies_us"])
        if not latencies:
            raise RuntimeError("not one call was answered")
        return self._figure(system, cell, latencies, spent)

    async def _spent(self, system: str, clients: list[int], start: float, stop: float) -> dict[str, float]:
        """CPU by group from start to stop, scaled to that time should a snapshot have been late."""
        servers, workers = self._stage.servers, self._stage.serving(system)
        await asyncio.sleep(start - perf_counter())
        before, began, machine = await servers.snapshot(clients, workers), perf_counter(), Machine()
        await asyncio.sleep(stop - perf_counter())
        after, ended = await servers.snapshot(clients, workers), perf_counter()
        spent = between(before, after)
        self._others = machine.others(sum(spent.values()))
        scale = (stop - start) / (ended - began)
        return {group: ms * scale for group, ms in spent.items()}

    def _figure(self, system: str, cell: Cell, latencies_us: list[int], spent_ms: dict[str, float]) -> Figure:
        calls = len(latencies_us)
        per_call = {group: round(spent / calls, 4) for group, spent in spent_ms.items()}
        per_call["total"] = round(sum(spent_ms.values()) / calls, 4)
        p50, p99 = (latencies_us[min(int(calls * share), calls - 1)] / 1000 for share in (0.5, 0.99))
        return Figure(system, cell, round(calls / self._seconds, 1), p50, p99, per_call, self._others)


async def _gone(client: Process) -> None:
    """It ends when its input does; one that does not is ended."""
    try:
        await asyncio.wait_for(client.process.wait(), 3)
    except TimeoutError:
        await client.stop()
