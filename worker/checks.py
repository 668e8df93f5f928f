"""What is checked before a worker serves: that promises, answers and statements agree, and that SQL fits the schema."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_origin

import asyncpg

from rpc_client.contract import Method, Record
from worker.answers import DirectRead, DirectWrite
from worker.connections import Connection
from worker.errors import Verdict, judge
from worker.redaction import answers_secrets, holds_secrets
from worker.registry import Family, RegistryError
from worker.statements import Statement, StatementError

if TYPE_CHECKING:
    from worker.served import Served

RESULT_TYPES = frozenset(
    {"bool", "int2", "int4", "int8", "text", "uuid", "date", "timestamptz", "jsonb"}
    | {f"{name}[]" for name in ("bool", "int2", "int4", "int8", "text", "uuid", "date", "timestamptz")}
)
"""What survives the way from PostgreSQL through JSON to the client unchanged.

float8 may hold NaN and numeric loses digits: cast them to text."""
PREPARE_S = 10.0
_QUIET = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | \$(\w*)\$.*?\$\1\$ | --[^\n]* | /\*.*?\*/""", re.DOTALL | re.VERBOSE
)
_PART = re.compile(r"(\w+)(?:\s*\([^()]*\))?\s+as\s+(?:(?:not\s+)?materialized\s*)?$", re.IGNORECASE)
_EFFECT = re.compile(r"\s*(?:insert|update|delete|merge)\b", re.IGNORECASE)
_ERROR_WORD = re.compile(r"'error'\s*,\s*'(\w+)'")
_EVENT = re.compile(r"'type'\s*,(.*?),\s*'aggregate'\s*,\s*'(\w+)'", re.DOTALL)
_EVENT_WORD = re.compile(r"'([A-Z]\w*)'")


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
    renewing = {f"{family.name}.{verb}_{name}" for name in family.sealed for verb in ("list", "reseal")}
    if unknown := renewing - statements.keys():
        raise RegistryError(f"no statement is called {', '.join(sorted(unknown))}, which what is sealed needs")
    used |= renewing
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


def check_events(method: Method[..., Any], statement: Statement | None) -> None:
    """A write says what it emits, and its statement, if it is one, says nothing else, and not nothing at all."""
    if not method.declares_events:
        raise RegistryError(f"{method.name} declares no events: @write(emits=[…]), or emits=[] to tell nobody")
    declared = {(word, event.aggregate) for word, event in method.events.items()}
    written = emitted_by(statement) if statement is not None else set()
    if unknown := written - declared:
        told = sorted(f"{word} of {aggregate}" for word, aggregate in unknown)
        raise StatementError(f"{method.name}: emits {told}, which the contract does not declare")
    if statement is not None and declared and not written:
        form = "'type', 'Name', 'aggregate', 'name'"
        raise StatementError(f"{method.name}: no declared event stands in its SQL: write {form}, in that order")


@cache
def check_secrets(method: Method[..., Any]) -> None:
    """What a write answers, and what it emits, is stored as it is: nothing in it may be secret."""
    if method.lane == "write" and answers_secrets(method):
        raise RegistryError(
            f"{method.name} answers secrets, and its receipt would keep them in the clear: a read may, a write may not"
        )
    if telling := [event.__name__ for event in method.emits if holds_secrets(event.model_json_schema())]:
        raise RegistryError(f"{method.name}: the event {telling[0]} holds secrets, and events are told in the clear")


def emitted_by(statement: Statement) -> set[tuple[str, str]]:
    """The events that stand in a statement: each type with its aggregate."""
    found = _EVENT.findall(statement.text)
    return {(word, aggregate) for words, aggregate in found for word in _EVENT_WORD.findall(words)}


def check_effects(statement: Statement) -> None:
    """`reply` reads every effect, itself or through others: so the receipt, which reads `reply`, comes last."""
    parts = _parts(statement.text)
    read, unseen = set[str](), ["reply"]
    while unseen:
        name = unseen.pop()
        read.add(name)
        unseen += [other for other in parts if other not in read and re.search(rf"\b{other}\b", parts.get(name, ""))]
    effects = {name for name, body in parts.items() if _EFFECT.match(body)}
    if unread := effects - read:
        raise StatementError(f"{statement.name}: reply does not read {sorted(unread)}, so its receipt could come first")


def _parts(text: str) -> dict[str, str]:
    """The statement's common table expressions: name -> what stands between its parentheses."""
    bare = _QUIET.sub(lambda match: " " * len(match[0]), text)
    parts: dict[str, str] = {}
    depth = start = 0
    name = None
    for place, sign in enumerate(bare):
        if sign == "(":
            if depth == 0 and (match := _PART.search(bare, 0, place)):
                name, start = match[1], place + 1
            depth += 1
        elif sign == ")":
            depth -= 1
            if depth == 0 and name is not None:
                parts[name], name = bare[start:place], None
    return parts


async def check_schema(connection: Connection, served: Served) -> None:
    """Every statement prepares on this schema, as it stands and as it runs, and yields what its method returns."""
    for statement in served.statements.values():
        columns = await _columns(connection, statement)
        bad = {name: kind for name, kind in columns.items() if kind not in RESULT_TYPES}
        if bad and not statement.name.startswith("rowcall."):
            raise StatementError(f"{statement.name}: result types that do not survive JSON: {bad}")
        answer = served.answers.get(statement.name)
        if isinstance(answer, DirectRead | DirectWrite):
            check_columns(answer.method, statement, list(columns))
            await _columns(connection, answer.statement)


async def _columns(connection: Connection, statement: Statement) -> dict[str, str]:
    """A statement's result columns and their types."""
    try:
        prepared = await connection.prepare(statement.sql, timeout=PREPARE_S)
    except asyncpg.PostgresError as error:
        if judge(error) is Verdict.TRANSIENT:  # the session ended, and says nothing of the statement
            raise
        raise StatementError(f"{statement.name}: {error}") from error
    return {attribute.name: _type_name(attribute.type) for attribute in prepared.get_attributes()}


def _type_name(kind: asyncpg.Type) -> str:
    name = kind.name.removeprefix("_").removesuffix("[]")
    return f"{name}[]" if kind.kind == "array" else name


def check_columns(method: Method[..., Any], statement: Statement, columns: list[str]) -> None:
    """The columns of a direct method's statement are its record's fields, or the one value it returns."""
    shape, optional = result_shape(method.returns)
    row = get_args(shape)[0] if get_origin(shape) is list else shape
    if method.lane == "write":
        # A record that may be absent is one jsonb `result`: columns cannot tell a missing row from a row of nulls.
        fields = list(row.model_fields) if is_record(shape) and not optional else ["result"]
        wanted = [*fields, "error", "events"]
        fits = sorted(columns) == sorted(wanted)
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
