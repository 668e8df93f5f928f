"""The same SQL for everybody: the statements of both families, run on a pool as their peers would write it by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_origin

import asyncpg
from pydantic import BaseModel, create_model
from pydantic_core import from_json, to_json

from rpc_client.contract import Method
from rpc_client.contract.platform import Platform
from tests.benchmarks.family import Bench, family
from tests.benchmarks.work import MIXED
from worker.checks import is_record, result_shape
from worker.statements import Statement, read_statements, sql_root


@cache
def statements() -> Mapping[str, Statement]:
    """Every statement of both families, by full name."""
    return {**read_statements("bench", family.sql), **read_statements("platform", sql_root() / "platform")}


@cache
def bench(name: str) -> str:
    """The SQL of one of the bench family's methods, with ``$1``, ``$2`` in the order of its parameters."""
    return statements()[f"bench.{name}"].sql


@dataclass(frozen=True)
class Handmade:
    """A method of the platform family, as somebody without Rowcall would write it: SQL, arguments, result."""

    method: Method[..., Any]
    statement: Statement

    @property
    def arguments(self) -> type[BaseModel]:
        """The arguments as a web framework wants them declared."""
        parameters = self.method.parameters.values()
        fields: dict[str, Any] = {
            p.name: (p.annotation, ... if p.default is p.empty else p.default) for p in parameters
        }
        return create_model(self.method.attribute, **fields)

    async def run(self, pool: asyncpg.Pool, arguments: Mapping[str, Any]) -> Any:
        """Its result, as plain values."""
        defaults = {p.name: p.default for p in self.method.parameters.values() if p.default is not p.empty}
        values = self.statement.bind({**defaults, **arguments})
        if self.method.lane == "write":
            return _reply(await pool.fetchrow(self.statement.sql, *values))
        shape, _ = result_shape(self.method.returns)
        if get_origin(shape) is list and is_record(get_args(shape)[0]):
            return [dict(row) for row in await pool.fetch(self.statement.sql, *values)]
        row = await pool.fetchrow(self.statement.sql, *values)
        if is_record(shape):
            return None if row is None else dict(row)
        return None if row is None else row[0]


@cache
def handmade() -> Mapping[str, Handmade]:
    """The eight methods of the mixed workload, by their short names."""
    methods = Platform.methods()
    return {name: Handmade(methods[f"platform.{name}"], statements()[f"platform.{name}"]) for name in MIXED}


def _reply(row: asyncpg.Record) -> Any:
    if row["error"] is not None:
        raise RuntimeError(json.dumps(row["error"]))
    if "result" in row:
        return row["result"]
    return {name: value for name, value in row.items() if name not in {"error", "events"}}


# asyncpg's documentation, "Usage", section "Custom Type Conversions": JSON in and out as Python values.
async def json_codec(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=lambda value: to_json(value).decode(), decoder=from_json
    )


class NoReset(asyncpg.Connection):
    """Giving it back to its pool costs no round trip."""

    def get_reset_query(self) -> str:
        return ""


async def open_pool(url: str, *, size: int = 10, reset: bool = True) -> asyncpg.Pool:
    """asyncpg's own pool. Peers' workers use it as it comes; ``reset=False`` elides the round trip of every release."""
    return await asyncpg.create_pool(
        url,
        min_size=size,
        max_size=size,
        init=json_codec,
        connection_class=asyncpg.Connection if reset else NoReset,
        server_settings={"timezone": "UTC"},
    )


__all__ = ["Bench", "Handmade", "bench", "handmade", "open_pool", "statements"]
