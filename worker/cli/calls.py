"""``rowcall call``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import orjson
import typer

from rpc_client import AsyncClient, ClientSettings
from rpc_client.contract import Lane
from worker.cli.console import fail, run
from worker.cli.methods import served_methods


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
