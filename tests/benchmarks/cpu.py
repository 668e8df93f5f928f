"""CPU time by group of processes, from ``/proc``. Only processes that are known by their pid are counted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from worker.settings import WorkerSettings

TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
GROUPS = ("client", "worker", "broker", "postgres", "redis")
LISTENING = "0A"

Snapshot = dict[str, dict[int, float]]
"""Group -> pid -> milliseconds of CPU since its start."""


class Servers:
    """The three servers' processes. One that runs elsewhere, or as a user we may not look at, is not counted."""

    def __init__(self, settings: WorkerSettings, connection: asyncpg.Connection, postmaster: int | None) -> None:
        self._connection = connection
        self._postmaster = postmaster
        self._broker = listener(urlsplit(settings.amqp_urls[0]).port or 5672)
        self._redis = listener(urlsplit(settings.redis_url.get_secret_value()).port or 6379)

    @classmethod
    async def find(cls, settings: WorkerSettings, connection: asyncpg.Connection) -> Servers:
        backend = await connection.fetchval("select pg_backend_pid()")
        title = _read(backend, "cmdline")
        return cls(settings, connection, parent(backend) if title.startswith("postgres") else None)

    @property
    def unseen(self) -> list[str]:
        """The groups whose CPU cannot be told."""
        found = {"broker": self._broker, "redis": self._redis, "postgres": self._postmaster}
        return [group for group, pid in found.items() if pid is None]

    async def snapshot(self, clients: Iterable[int], workers: Iterable[int]) -> Snapshot:
        """All groups now. Other databases' backends are their own business and are left out."""
        others = await self._connection.fetch(
            "select pid from pg_stat_activity where datname <> current_database() or pid = pg_backend_pid()"
        )
        postgres = children(self._postmaster) - {row["pid"] for row in others} if self._postmaster else set()
        pids: Mapping[str, Iterable[int]] = {
            "client": clients,
            "worker": workers,
            "broker": [self._broker] if self._broker else [],
            "postgres": postgres,
            "redis": [self._redis] if self._redis else [],
        }
        return {group: {pid: spent_ms(pid) for pid in members} for group, members in pids.items()}


class Machine:
    """What all of the machine does from now on."""

    def __init__(self) -> None:
        self._busy, self._all = _machine_ms()

    def others(self, ours_ms: float) -> float:
        """The share of it that went to processes not ours since then."""
        busy, all_ = _machine_ms()
        return max(busy - self._busy - ours_ms, 0.0) / max(all_ - self._all, 1.0)


def _machine_ms() -> tuple[float, float]:
    """Busy and whole time of all cores since the machine started."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) * TICK_MS, sum(ticks) * TICK_MS


def between(before: Snapshot, after: Snapshot) -> dict[str, float]:
    """Milliseconds each group spent from one snapshot to the next."""
    return {
        group: sum(max(spent - before[group].get(pid, 0.0), 0.0) for pid, spent in after[group].items())
        for group in GROUPS
    }


def spent_ms(pid: int) -> float:
    """What a process and all its threads have used since it began; 0 when it has ended."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) * TICK_MS if fields else 0.0


def parent(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def children(pid: int) -> set[int]:
    return {number for number in _pids() if parent(number) == pid}


def listener(port: int) -> int | None:
    """The process that listens on this TCP port of this machine."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    for pid in _pids():
        try:
            if any(str(entry.readlink()) in sockets for entry in Path(f"/proc/{pid}/fd").iterdir()):
                return pid
        except OSError:  # it has ended, or is none of our business
            continue
    return None


def _inodes(port: int) -> set[str]:
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            fields = line.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """The fields after the name, which may itself hold spaces and parentheses."""
    return _read(pid, "stat").rpartition(") ")[2].split()


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""
