"""``rowcall methods`` and ``rowcall call``."""

from __future__ import annotations

import json
import operator
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import orjson
import typer
from rich.markup import escape
from rich.table import Table

from rpc_client import AsyncClient, ClientSettings
from rpc_client.contract import EventData, Lane, Method, Service, shown_type
from rpc_client.contract.rowcall import Rowcall
from worker.cli.console import fail, out, run
from worker.registry import find_families
from worker.settings import WorkerSettings


def served_methods() -> dict[str, Method[..., Any]]:
    """Every method of the families this folder's settings name, and those of any worker."""
    families = find_families(WorkerSettings().families)
    contracts: list[type[Service]] = [
        Rowcall,
        *(registry.contract for family in families for registry in family.registries),
    ]
    return {name: method for contract in contracts for name, method in contract.methods().items()}


def methods(as_json: Annotated[bool, typer.Option("--json", help="As a JSON array.")] = False) -> None:
    """List every method served: name, lane, signature, manual and events; then every event, and what it says."""
    served = dict(sorted(served_methods().items()))
    if as_json:
        typer.echo(json.dumps([_method(method) for method in served.values()], indent=2))
        return
    table = Table("method", "lane", "emits", "what it does", box=None)
    for name, method in served.items():
        signature, manual = escape(f"{name}{method.shown_signature}"), escape(_first_line(method.__doc__))
        table.add_row(signature, method.lane, ", ".join(method.events), manual)
    out.print(table, "", _events(served.values()))


def _method(method: Method[..., Any]) -> dict[str, Any]:
    said = {"name": method.name, "lane": method.lane, "signature": method.shown_signature, "doc": method.__doc__ or ""}
    return {**said, "emits": [_event(method, event) for event in method.emits]}


def _event(method: Method[..., Any], event: type[EventData]) -> dict[str, Any]:
    fields = [
        {"name": name, "type": shown_type(field.annotation), "doc": field.description or ""}
        for name, field in event.model_fields.items()
    ]
    place = {"family": method.owner.name, "type": event.__name__, "aggregate": event.aggregate}
    return {**place, "fields": fields, "doc": event.__doc__ or ""}


def _events(served: Iterable[Method[..., Any]]) -> Table:
    """Every event once, however many methods emit it."""
    table = Table("event", "happens to", "what it says", "what happened", box=None)
    told = {event: _event(method, event) for method in served for event in method.emits}
    for event in sorted(told.values(), key=operator.itemgetter("family", "type")):
        says = [f"{field['name']}: {field['type']}  {field['doc']}".rstrip() for field in event["fields"]]
        name, happened = f"{event['family']} {event['type']}", _first_line(event["doc"])
        table.add_row(name, event["aggregate"], escape("\n".join(says)), escape(happened))
    return table


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def call(
    method: Annotated[str, typer.Argument(help="As in platform.get_credits.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="name=value (JSON, else text; @file reads it), or one JSON object.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(min=0.001, max=300, help="Seconds to wait for the answer.")] = None,
    request_id: Annotated[UUID | None, typer.Option("--id", help="The request id: the same id runs once.")] = None,
    key: Annotated[str | None, typer.Option(help="An idempotency key in words, instead of an id.")] = None,
) -> None:
    """Call a method and print its result as JSON. One line on standard error and exit code 1 when it fails."""
    found = served_methods().get(method)
    # An unknown name goes out all the same: the workers know what they serve, and what was probably meant.
    lane: Lane = found.lane if found is not None else "read"
    result = run(_call(method, lane, read_arguments(arguments or []), timeout, request_id, key))
    typer.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2))


async def _call(
    method: str,
    lane: Lane,
    arguments: dict[str, Any],
    timeout_s: float | None,
    request_id: UUID | None,
    key: str | None,
) -> Any:
    async with AsyncClient(ClientSettings()) as client:
        chosen = client.with_options(timeout_s=timeout_s, request_id=request_id, idempotency_key=key)
        return await chosen.call_by_name(method, lane, arguments)


def read_arguments(words: list[str]) -> dict[str, Any]:
    """Arguments as typed: one JSON object, or ``name=value`` each."""
    if len(words) == 1 and words[0].lstrip().startswith(("{", "[")):
        try:
            arguments = orjson.loads(words[0])
        except orjson.JSONDecodeError as error:
            fail(f"the arguments are not JSON: {error}")
        if not isinstance(arguments, dict):
            fail('the arguments must be a JSON object, as in \'{"user_id": "u-1"}\'')
        return arguments
    pairs = [word.partition("=") for word in words]
    if bad := [name for name, equals, _ in pairs if not equals]:
        fail(f"{bad[0]!r} is not name=value; write user_id=u-1, or one JSON object")
    return {name: _value(text) for name, _, text in pairs}


def _value(text: str) -> Any:
    if text.startswith("@"):
        try:
            text = sys.stdin.read() if text == "@-" else Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            fail(f"cannot read {text[1:]}: {error}")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
