"""What a run shall be: everything about it that can be chosen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FAMILIES = ("worker.services.platform:family", "accounts.services:family", "tests.chaos.family:family")
RATE = 85.0
CRASH_POINTS = ",".join(f"K{number}:1/8000" for number in range(12))


@dataclass(frozen=True, slots=True)
class Plan:
    """A run. One seed decides the schedule of faults, and what each client does."""

    seed: int
    duration_s: float
    folder: Path
    workers: int = 4
    clients: int = 5
    rate: float = RATE
    """Calls a second, of all clients together."""
    without: frozenset[str] = frozenset()
    """Faults that shall not happen."""
    only: frozenset[str] | None = None
    """The faults that shall, if not all of them."""
    crash_points: str = CRASH_POINTS
    kill_every_s: float = 4.0
    plant: str | None = None
    """The name of a bug that the processes shall have: tests of the checker."""
    judge_times: bool = True

    def wants(self, fault: str) -> bool:
        return fault not in self.without and (self.only is None or fault in self.only)
