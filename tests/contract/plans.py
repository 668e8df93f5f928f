"""What running a statement took, by which it is judged.

What is judged is what a plan did, never what its nodes are called: a generic plan can walk a whole index without any
node saying "Seq Scan".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from worker.served import Served
from worker.statements import Statement

LIMIT = 1000
"""Rows that a statement with a small answer may touch, of tables with 20 000 and more."""
MODES = ["force_custom_plan", "force_generic_plan"]


@dataclass(frozen=True)
class Touched:
    """What running a statement once took."""

    rows: int
    """Rows read from tables, and rows thrown away by filters, joins and rechecks."""
    pages: int
    """Pages read to find rows: a condition inside an index throws entries away without counting them as rows."""
    lookups: int
    """How often a table was looked into."""
    ms: float
    """How long PostgreSQL took to execute it. For readers: nothing is judged by it."""

    @property
    def walked(self) -> bool:
        """Whether it went through a table or an index instead of to a place in it."""
        return self.rows > LIMIT or self.pages > 20 + 6 * (self.rows + self.lookups)


def as_run(served: Served, name: str) -> Statement:
    """The statement in the form in which a worker runs it: a reading one that answers by itself makes the JSON too."""
    statement: Statement = getattr(served.answers.get(name), "statement", served.statements[name])
    return statement


async def touched(
    connection: asyncpg.Connection, statement: Statement, values: Mapping[str, Any], mode: str
) -> Touched:
    """Run a statement in this plan mode and undo it."""
    arguments = ", ".join(literal(value) for value in statement.bind(values))
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"set local plan_cache_mode = {mode}")
        await connection.execute(f"prepare judged as {statement.sql}")
        executed = f"execute judged ({arguments})" if arguments else "execute judged"
        explained = json.loads(await connection.fetchval(f"explain (analyze, buffers, format json) {executed}"))[0]
    finally:
        await transaction.rollback()
        await connection.execute("deallocate all")
    nodes = list(_nodes(explained["Plan"]))
    tables = [node for node in nodes if "Relation Name" in node and node["Node Type"] != "ModifyTable"]
    removed = sum(v * n["Actual Loops"] for n in nodes for k, v in n.items() if k.startswith("Rows Removed by"))
    return Touched(
        rows=removed + sum(node["Actual Rows"] * node["Actual Loops"] for node in tables),
        pages=sum(_pages(node) - sum(map(_pages, _subplans(node))) for node in tables),
        lookups=sum(node["Actual Loops"] for node in tables),
        ms=explained["Execution Time"],
    )


def _pages(node: dict[str, Any]) -> int:
    return node["Shared Hit Blocks"] + node["Shared Read Blocks"]


def _subplans(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [below for below in node.get("Plans", []) if below["Parent Relationship"] in {"SubPlan", "InitPlan"}]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes(below)


def literal(value: object) -> str:
    """The value as SQL: EXECUTE takes no parameters."""
    if value is None:
        return "null"
    if isinstance(value, list) and not any(isinstance(item, dict) for item in value):
        return f"""'{{{", ".join(f'"{item}"' for item in value)}}}'"""
    text = json.dumps(value) if isinstance(value, dict | list) else str(value)
    return "'" + text.replace("'", "''") + "'"
