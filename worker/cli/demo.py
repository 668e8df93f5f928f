"""``rowcall demo``."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from worker.cli.console import err, fail, out, run

INTERRUPTED = 130


def demo(
    executions: Annotated[int, typer.Option(min=2, max=1000, help="How many executions of the agent.")] = 50,
) -> None:
    """Run an AI agent 50 times over two workers, kill one of them half-way, and let SQL say that nothing is wrong."""
    # Imported here: no other command needs any of it.
    from worker.demo.crew import DemoError
    from worker.demo.story import demonstrate

    try:
        good = run(demonstrate(executions, out))
    except DemoError as error:
        fail(str(error))
    except asyncio.CancelledError:
        err.print("Stopped half-way.")
        raise typer.Exit(INTERRUPTED) from None
    if not good:
        fail("Something did not hold: see above.")
    next_steps = "Next: `rowcall up`, then `rowcall worker`; `rowcall methods` lists what can be called."
    out.print(f"Everything held. {next_steps}", soft_wrap=True)
