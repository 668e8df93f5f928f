"""``rowcall dead-letters``: find, understand, rehearse and replay what failed."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import structlog
import typer
from aiormq.exceptions import AMQPError
from rich.progress import Progress

from worker.cli.calls import read_arguments
from worker.cli.console import err, fail, out, run
from worker.cli.filters import filtered
from worker.cli.letters import group_table, letter_table, show_letter, show_plan, show_report
from worker.desk import Desk, Filter, Report

MANY = 100
"""More letters than this are not touched without a yes."""

app = typer.Typer(help="Calls that failed and are kept.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help=f"Do not ask, however many more than {MANY} they are.")]
All = Annotated[bool, typer.Option("--all", help="All that wait; said on purpose.")]
Actor = Annotated[str | None, typer.Option(help="Who does it, for the audit; otherwise you, at this host.")]
Work = Callable[[Desk], Awaitable[None]]


@app.callback()
def dead_letters() -> None:
    """Calls that failed and are kept: find them, understand them, run them again."""


@app.command("list")
@filtered
def list_(
    wanted: Filter,
    group: Annotated[bool, typer.Option("--group", help="By cause: method, error and traceback.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="So many, the newest.")] = 50,
    before: Annotated[int | None, typer.Option(help="Those older than this number: the next page.")] = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest first; those that wait for somebody, unless you say else."""

    async def work(desk: Desk) -> None:
        found: Sequence[object]
        if group:
            found = groups = await desk.groups(wanted)
            table = group_table(groups)
        else:
            found = letters = await desk.list(wanted, limit=limit, before=before)
            table = letter_table(letters)
        if as_json:
            return say_json(found)
        out.print(table if found else "No letter fits.")
        await _say_unmoved(desk)
        return None

    at_desk(work)


async def _say_unmoved(desk: Desk) -> None:
    """Tell of letters that no worker has brought here yet, as far as can be told."""
    with contextlib.suppress(OSError, AMQPError):
        if waiting := await desk.unmoved():
            err.print(f"{waiting} more in the queue: a worker brings them here while it runs")


@app.command()
def show(number: Annotated[int, typer.Argument(help="The letter's number.")], as_json: AsJson = False) -> None:
    """Show all there is to see of a letter: its call without secrets, its traceback, what was done to it."""

    async def work(desk: Desk) -> None:
        shown = await desk.show(number)
        say_json(shown) if as_json else show_letter(shown)

    at_desk(work)


@app.command()
@filtered
def replay(
    wanted: Filter,
    everything: All = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done, and why not.")] = False,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Run each, and roll it back; say what came of it.")
    ] = False,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Calls a second, at most.")] = None,
    canary: Annotated[int, typer.Option(min=0, help="So many first; should one fail, no more.")] = 0,
    stop_on_failures: Annotated[
        float | None, typer.Option(min=0, max=1, help="End when more than this share fails, as in 0.2.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.001, max=300, help="Seconds that each has.")] = 30.0,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="path=value: replay another call, with this argument changed.")
    ] = None,
    yes: Yes = False,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Send letters again under the ids they had: each runs once, however often it is replayed."""
    pace: dict[str, Any] = {"rate": rate, "canary": canary, "stop_on_failures": stop_on_failures, "timeout_s": timeout}

    async def work(desk: Desk) -> None:
        asks = dry_run or rehearse
        chosen = await _changed(desk, wanted, changes, only_ask=asks) if changes else wanted
        numbers = await _meant(desk, chosen, everything=everything or asks)
        if dry_run:
            return _say(await desk.plan(Filter(numbers=numbers)), show_plan, as_json=as_json)
        if rehearse:
            return _say(await _rehearsed(desk, numbers, timeout), show_report, as_json=as_json)
        confirm("Replay", len(numbers), yes=yes)
        with progress("replaying") as told:
            report = await desk.replay(Filter(numbers=numbers), progress=told, **pace)
        return _say(report, show_report, as_json=as_json)

    at_desk(work, actor)


async def _rehearsed(desk: Desk, numbers: Sequence[int], timeout_s: float) -> Report:
    with progress("rehearsing") as told:
        return await desk.rehearse(Filter(numbers=numbers), timeout_s=timeout_s, progress=told)


def _say(report: Report, show_it: Callable[[Report], None], *, as_json: bool) -> None:
    """Print a report. Exit code 1 when anything in it failed."""
    if as_json:
        sums = {"outcomes": report.outcomes, "actions": report.actions, "failures": report.failures}
        say_json({"steps": report.steps, **sums, "stopped": report.stopped, "left": report.left})
    else:
        show_it(report)
    if report.failures or report.stopped:
        raise typer.Exit(1)


async def _changed(desk: Desk, wanted: Filter, changes: list[str], *, only_ask: bool) -> Filter:
    if only_ask:
        fail("--set makes another letter of this one, so there is nothing to ask before; a replay can be asked after")
    if wanted.numbers is None or len(wanted.numbers) != 1:
        fail("--set changes one letter: name it by its number")
    changed = await desk.change(wanted.numbers[0], read_arguments(changes))
    err.print(f"{wanted.numbers[0]} is replaced by {changed.number}")
    return Filter(numbers=[changed.number])


@app.command()
@filtered
def discard(
    wanted: Filter,
    everything: All = False,
    why: Annotated[str, typer.Option(help="Why nobody wants them, for the audit.")] = "",
    yes: Yes = False,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Give letters up. They stay to be seen. It forbids nothing: `rowcall outcome --fence` does."""

    async def work(desk: Desk) -> None:
        numbers = await _meant(desk, wanted, everything=everything)
        confirm("Discard", len(numbers), yes=yes)
        gone = await desk.discard(Filter(numbers=numbers), why)
        say_json({"discarded": gone}) if as_json else out.print(f"{len(gone)} discarded")

    at_desk(work, actor)


@app.command()
@filtered
def export(
    wanted: Filter,
    to: Annotated[Path | None, typer.Option(help="Into this file; otherwise to standard output.")] = None,
    pytest: Annotated[Path | None, typer.Option("--pytest", help="One letter, as a test that fails.")] = None,
    actor: Actor = None,
) -> None:
    """Write letters as lines of JSON, sealed as they are; or one letter as a test for pytest."""

    async def work(desk: Desk) -> None:
        if pytest is not None:
            if wanted.numbers is None or len(wanted.numbers) != 1:
                fail("--pytest takes one letter: name it by its number")
            write(pytest, await desk.test_for(wanted.numbers[0]))
            err.print(f"{pytest} is written; fill in what it asks for", markup=False)
            return
        with progress("exporting") as told, _opened(to) as write_line:
            async for line in desk.export(wanted, progress=told):
                write_line(line + "\n")

    at_desk(work, actor)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What an export wrote; - reads standard input.", allow_dash=True)],
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Keep exported letters here, all or none. A call that is kept already stays as it is."""

    async def work(desk: Desk) -> None:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        done = await desk.import_(text.split("\n"))
        say_json(done) if as_json else out.print(f"{len(done.added)} added, {done.known} were here already")

    at_desk(work, actor)


def at_desk(work: Work, actor: str | None = None) -> None:
    """Do this at a desk. What a rehearsed call logs is no line of this command's."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    async def sit() -> None:
        async with Desk(actor=actor) as desk:
            await work(desk)

    run(sit())


async def _meant(desk: Desk, wanted: Filter, *, everything: bool) -> Sequence[int]:
    """The letters that are meant; ends the command when none are, or when nobody said which."""
    if not everything and wanted == Filter(states=wanted.states):
        fail("say which: numbers, filters, or --all")
    numbers = await desk.find(wanted)
    if not numbers:
        out.print("No letter fits.")
        raise typer.Exit
    return numbers


def confirm(what: str, count: int, *, yes: bool) -> None:
    """Ask before much is done."""
    if count > MANY and not yes:
        typer.confirm(f"{what} {count} letters?", abort=True, err=True)


def say_json(what: object) -> None:
    """Print it for programs."""
    typer.echo(orjson.dumps(what, option=orjson.OPT_INDENT_2, default=str))


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, while somebody watches."""
    with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def write(file: Path, text: str) -> None:
    """Write a new file; ends the command when it is there already."""
    with file.open("x", encoding="utf-8") as opened:
        opened.write(text)


@contextlib.contextmanager
def _opened(to: Path | None) -> Iterator[Callable[[str], object]]:
    if to is None:
        yield sys.stdout.write
        return
    with to.open("x", encoding="utf-8") as opened:
        yield opened.write
