"""``rowcall methods``."""

from __future__ import annotations

import ast
import inspect
import json
import operator
from collections.abc import Iterable
from itertools import pairwise
from textwrap import dedent
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from rpc_client.contract import EventData, Method, Service, shown_type
from rpc_client.contract.rowcall import Rowcall
from worker.cli.console import out
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
    manuals = _field_manuals(event)
    fields = [
        {"name": name, "type": shown_type(field.annotation), "doc": manuals.get(name, "")}
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


def _field_manuals(event: type[EventData]) -> dict[str, str]:
    """What stands under each field in the source. pydantic could keep it, but every client would pay for that."""
    own, *inherited = event.__mro__
    found = _field_manuals(inherited[0]) if inherited[0] is not EventData else {}
    try:
        source = ast.parse(dedent(inspect.getsource(own)))
    except OSError:
        return found  # there is none, as for what was typed into an interpreter
    for field, text in pairwise(ast.iter_child_nodes(source.body[0])):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as manual)):
                found[name] = inspect.cleandoc(manual)
    return found
