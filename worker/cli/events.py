"""``rowcall events``: the record of events, from anywhere to its end or for ever."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Annotated

import orjson
import typer
from pydantic_core import to_json

from rpc_client import ClientSettings
from rpc_client.events import Event, Gap, subscribe
from worker.cli.console import err, fail, out, run
from worker.connections import direct_connection
from worker.copying import begin_generation
from worker.settings import WorkerSettings
from worker.statements import read_statements, sql_root
from worker.stream import Stream

STATEMENT_S = 30.0


def events(
    start: Annotated[
        str | None,
        typer.Option("--from", help="now, beginning, or the cursor of an event; now with --follow, else beginning."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more, until Ctrl-C.")] = False,
    pattern: Annotated[str, typer.Option(help="family/aggregate/id, where * stands for anything.")] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with its cursor.")] = False,
    new_generation: Annotated[
        bool, typer.Option("--new-generation", help="Instead, set the stream aside and record anew from the database.")
    ] = False,
) -> None:
    """Print the events that committed, in order. They are recorded for as long as their receipts are kept."""
    if new_generation:
        run(_new_generation())
        return
    settings = ClientSettings()
    try:
        run(_print(settings, start or ("now" if follow else "beginning"), pattern, follow=follow, as_json=as_json))
    except KeyboardInterrupt:
        raise typer.Exit from None


async def _print(settings: ClientSettings, start: str, pattern: str, *, follow: bool, as_json: bool) -> None:
    async with AsyncExitStack() as stack:
        try:
            found = await stack.enter_async_context(subscribe(pattern, settings, from_=start, follow=follow))
        except ValueError as error:
            fail(f"--from: {error}")
        async for item in found:
            if as_json:
                typer.echo(_as_json(item))
            elif isinstance(item, Event):
                of = f"{item.family}/{item.aggregate}/{item.aggregate_id}"
                text = f"{item.time:%Y-%m-%d %H:%M:%S.%f} {item.type} {of} {to_json(item.data).decode()}"
                out.print(text, markup=False, soft_wrap=True)
            else:
                err.print(f"events are missing here ({item.reason}), after {item.after}", markup=False)


def _as_json(item: Event | Gap) -> str:
    if isinstance(item, Event):
        return item.model_dump_json()
    return orjson.dumps({"gap": item.reason, "after": item.after, "before": item.before}).decode()


async def _new_generation() -> None:
    settings, statements = WorkerSettings(), read_statements("rowcall", sql_root() / "rowcall")
    async with (
        direct_connection(settings, "rowcall events", statement_s=STATEMENT_S) as connection,
        Stream(settings) as stream,
    ):
        generation, aside = await begin_generation(connection, statements, stream)
    out.print(f"the record is of generation {generation} now; a worker records what the database holds", soft_wrap=True)
    for name in aside:
        out.print(f"what there was lies in Redis under {name}", markup=False, soft_wrap=True)
