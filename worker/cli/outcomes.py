"""``rowcall outcome``."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import orjson
import typer

from rpc_client import AsyncClient, CallOutcome, ClientSettings
from worker.cli.console import run

EXIT_CODES = {"done": 0, "failed": 3, "fenced": 4, "dead_lettered": 5, "no_trace": 6}
SHOWN = 200
"""So much of a result is shown in a line; ``--json`` prints all of it."""


def outcome(
    request_id: Annotated[
        UUID, typer.Argument(metavar="ID", help="The request id, as an error or a log line names it.")
    ],
    fence: Annotated[bool, typer.Option("--fence", help="Decide it: forbid the call to run, unless it has.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with the whole reply.")] = False,
) -> None:
    """Tell what became of a call. Exit code 0: done, 3: failed, 4: fenced, 5: dead-lettered, 6: no trace."""
    found = run(_outcome(request_id, fence=fence))
    typer.echo(found.model_dump_json(indent=2) if as_json else in_a_line(found))
    raise typer.Exit(EXIT_CODES[found.state])


async def _outcome(request_id: UUID, *, fence: bool) -> CallOutcome:
    async with AsyncClient(ClientSettings()) as client:
        return await client.outcome(request_id, fence=fence)


def in_a_line(found: CallOutcome) -> str:
    """What became of it, and what that means."""
    reply = found.reply
    if found.state in {"done", "failed"} and reply is None:
        return f"{found.state}: what {found.method} was answered is kept no longer"
    reply = reply or {}
    if found.state == "done":
        result = orjson.dumps(reply["result"]).decode()
        return f"done: {found.method} answered {result if len(result) <= SHOWN else result[:SHOWN] + '…'}"
    if found.state == "failed":
        return f"failed: {found.method} changed nothing; {reply['error']}: {reply['message']}"
    if found.state == "fenced":
        return "fenced: it did not run and never will"
    if found.state == "dead_lettered":
        return f"dead-lettered: {found.method} is kept and runs if it is replayed; --fence forbids that"
    return "no trace: it never arrived, waits, or runs right now; --fence decides it"
