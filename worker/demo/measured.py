"""Calls with a clock beside them, and what the clock said."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rpc_client import AsyncClient, RPCError
from rpc_client.contract import Method
from worker.demo.orders import Report

R = TypeVar("R")


class Measured:
    """Passes calls on to a client; keeps how long each took, and what went wrong."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._ms: dict[str, list[float]] = {"read": [], "write": []}
        self._failed: list[str] = []

    async def call(self, method: Method[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        """The client's own call, timed."""
        started = time.perf_counter()
        try:
            return await self._client.call(method, args, kwargs)
        except RPCError as error:
            self._failed.append(f"{method.name}: {type(error).__name__}: {error}")
            raise
        finally:
            self._ms[method.lane].append(round((time.perf_counter() - started) * 1000, 3))

    def report(self) -> Report:
        """Everything since the beginning."""
        return Report(reads=self._ms["read"], writes=self._ms["write"], failed=self._failed)


@dataclass
class Tally:
    """The sum of the executors' reports."""

    wanted: int
    """Executions."""
    done: int = 0
    writes: int = 0
    ms: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0

    def add(self, report: Report) -> None:
        """One more finished execution."""
        self.done += 1
        self.writes += len(report.writes)
        self.ms += report.reads + report.writes
        self.failed += report.failed
        self.seconds = time.perf_counter() - self.started

    @property
    def calls(self) -> int:
        """Calls that ended, whichever way."""
        return len(self.ms)

    @property
    def rate(self) -> float:
        """Calls per second since the beginning."""
        return self.calls / self.seconds if self.seconds else 0.0

    def slowest_of(self, share: float) -> float:
        """The milliseconds that this share of the calls did not exceed: 0.5 is the median, 1 the slowest call."""
        ordered = sorted(self.ms)
        return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered)) - 1))] if ordered else 0.0
