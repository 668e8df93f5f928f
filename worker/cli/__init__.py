"""``rowcall``: the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from rpc_client import __version__
from worker.cli import (
    calls,
    configuration,
    dead_letters,
    demo,
    events,
    graphs,
    keys,
    methods,
    outcomes,
    scaffold,
    servers,
    serving,
)
from worker.cli.console import Commands

app = typer.Typer(
    name="rowcall",
    cls=Commands,
    help="Call a database by message.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("up")(servers.up)
app.command("down")(servers.down)
app.command("migrate")(serving.migrate)
app.command("worker", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(serving.worker)
app.command("methods")(methods.methods)
app.command("call")(calls.call)
app.command("outcome")(outcomes.outcome)
app.command("events")(events.events)
app.command("config")(configuration.config)
app.command("demo")(demo.demo)
app.add_typer(graphs.app, name="graphs")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(keys.app, name="keys")
app.add_typer(scaffold.app, name="new")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it and end.")
    ] = False,
) -> None:
    """Call a database by message: workers run raw SQL, clients hold no connection, a write happens exactly once."""
