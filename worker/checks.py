"""What is checked before a worker serves: that promises, answers and statements agree, and that SQL fits the schema."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_origin

import asyncpg

from rpc_client.contract import Method, Record
from worker.database import AnyConnection
from worker.statements import Statement, StatementError

if TYPE_CHECKING:
    from worker.registry import Family, Served

RESULT_TYPES = frozenset(
    {"bool", "int2", "int4", "int8", "text", "uuid", "date", "timestamptz", "jsonb", "float8"}
    | {f"{name}[]" for name in ("bool", "int2", "int4", "int8", "text", "uuid", "date", "timestamptz")}
)
"""What survives the way from PostgreSQL through JSON to the client unchanged."""
_ERROR_WORD = re.compile(r"'error'\s*,\s*'(\w+)'")


class RegistryError(Exception):
    """What is registered does not agree with what is promised; the worker does not start."""


def check_promises(family: Family, statements: Mapping[str, Statement]) -> None:
    """Every promise is answered once, and every statement is used."""
    answered: set[str] = set()
    used: set[str] = set()
    for registry in family.registries:
        promised = registry.contract.methods()
        for method in [*registry.directs, *registry.stories]:
            if promised.get(method.name) is not method:
                raise RegistryError(f"{method.name} is answered but not promised by {registry.contract.__name__}")
            if method.name in answered:
                raise RegistryError(f"{method.name} is answered twice")
            answered.add(method.name)
        if missing := promised.keys() - answered:
            raise RegistryError(f"nobody answers {', '.join(sorted(missing))}")
        if unknown := {method.name for method in registry.directs} - statements.keys():
            raise RegistryError(f"no statement is called {', '.join(sorted(unknown))}")
        used |= {method.name for method in registry.directs} | _named_in_stories(registry.stories.values(), statements)
    if unused := statements.keys() - used:
        raise RegistryError(f"nobody uses the statement {', '.join(sorted(unused))}")


def _named_in_stories(stories: Any, statements: Mapping[str, Statement]) -> set[str]:
    modules = {story.__module__ for story in stories}
    text = "".join(inspect.getsource(sys.modules[module]) for module in modules)
    return {name for name in statements if f'"{name}"' in text}


def check_parameters(method: Method[..., Any], statement: Statement) -> None:
    """A direct method and its statement take the same names."""
    wanted, given = set(method.parameters), set(statement.parameters)
    if wanted != given:
        raise StatementError(
            f"{statement.name}: its :names and the contract's parameters differ: "
            f"{sorted(given - wanted)} only in SQL, {sorted(wanted - given)} only in the contract"
        )
    if method.lane == "write" and (words := set(_ERROR_WORD.findall(statement.text))):
        declared = {error.__name__ for error in method.raises}
        if unknown := words - declared:
            raise StatementError(f"{statement.name}: answers {sorted(unknown)}, which the contract does not declare")


async def check_schema(connection: AnyConnection, served: Served) -> None:
    """Every statement prepares on this schema, and what it yields fits what its method returns."""
    for statement in served.statements.values():
        try:
            prepared = await connection.prepare(statement.sql, timeout=10)
        except asyncpg.PostgresError as error:
            raise StatementError(f"{statement.name}: {error}") from error
        columns = {attribute.name: _type_name(attribute.type) for attribute in prepared.get_attributes()}
        bad = {name: kind for name, kind in columns.items() if kind not in RESULT_TYPES}
        if bad and not statement.name.startswith("rowcall."):
            raise StatementError(f"{statement.name}: result types that do not survive JSON: {bad}")
        answer = served.answers.get(statement.name)
        if answer is not None:
            check_columns(answer.method, statement, list(columns))


def _type_name(kind: asyncpg.Type) -> str:
    return f"{kind.name.removeprefix('_')}[]" if kind.kind == "array" else kind.name


def check_columns(method: Method[..., Any], statement: Statement, columns: list[str]) -> None:
    """The columns of a direct method's statement are its record's fields, or the one value it returns."""
    shape, _ = result_shape(method.returns)
    row = get_args(shape)[0] if get_origin(shape) is list else shape
    if method.lane == "write":
        wanted = [*row.model_fields, "error", "events"] if is_record(shape) else ["result", "error", "events"]
        fits = columns == wanted if not is_record(shape) else set(columns) == set(wanted)
    elif is_record(row):
        wanted, fits = list(row.model_fields), set(columns) == set(row.model_fields)
    else:
        wanted, fits = ["one column"], len(columns) == 1
    if not fits:
        raise StatementError(f"{statement.name}: yields {columns}, its method wants {wanted}")


def result_shape(returns: Any) -> tuple[Any, bool]:
    """A result's type without ``| None``, and whether it was there."""
    parts = [part for part in get_args(returns) if part is not NoneType]
    if returns is None or returns is NoneType:
        return NoneType, True
    if len(parts) == 1 and NoneType in get_args(returns):
        return parts[0], True
    return returns, False


def is_record(shape: Any) -> bool:
    """Whether results of this type are rows whose columns are its fields."""
    return isinstance(shape, type) and issubclass(shape, Record)
