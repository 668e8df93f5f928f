"""The demo's own look at the database: by SQL, on a connection of its own, past everything of Rowcall's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import asyncpg

from worker.demo.agent import Agent
from worker.settings import WorkerSettings
from worker.statements import Statement, read_statements

CONNECT_S = 10.0
STATEMENT_S = 30.0
EVENTS = "demo.count_committed_events"


@dataclass(frozen=True, slots=True)
class Expected:
    """What must stand in the database after a run."""

    agent: Agent
    executions: int
    users: int
    granted: int
    """Cents, over all users."""
    writes: int
    """Calls that change something, the preparations included."""

    @property
    def left(self) -> int:
        """Cents, over all users."""
        return self.granted - self.executions * self.agent.cost

    def parameters(self) -> dict[str, object]:
        """By the names that ``check.sql`` uses."""
        return {
            "executions": self.executions,
            "nodes": len(self.agent.graph.nodes),
            "outputs": self.agent.outputs,
            "answers": json.dumps(self.agent.answers),
            "cost": self.agent.cost,
            "users": self.users,
            "granted": self.granted,
            "writes": self.writes,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    claim: str
    found: int
    wanted: int

    @property
    def good(self) -> bool:
        """Whether the claim holds."""
        return self.found == self.wanted


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything looked at, and how many events were committed."""

    checks: list[Finding]
    events: int


async def look(settings: WorkerSettings, expected: Expected) -> Findings:
    """Run every statement of ``check.sql``."""
    statements = read_statements("demo", files("worker.demo"))
    count_events = statements.pop(EVENTS)
    url = settings.postgres_url.get_secret_value()
    connection = await asyncpg.connect(url, timeout=CONNECT_S, command_timeout=STATEMENT_S)
    try:
        checks = [await _check(connection, one, expected.parameters()) for one in statements.values()]
        return Findings(checks, await connection.fetchval(count_events.sql))
    finally:
        await connection.close(timeout=CONNECT_S)


async def _check(connection: asyncpg.Connection, statement: Statement, parameters: Mapping[str, object]) -> Finding:
    row = await connection.fetchrow(statement.sql, *statement.bind(parameters))
    assert row is not None, "every check is an aggregate"
    claim = statement.text.splitlines()[0].removeprefix("-- ")
    return Finding(claim, row["found"] or 0, row["wanted"])
