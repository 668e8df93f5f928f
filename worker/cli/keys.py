"""``rowcall keys new`` and ``rowcall keys rotate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import typer
from rich.progress import Progress

from worker.cli.console import err, fail, out, run
from worker.database import Database
from worker.desk.desk import whoever
from worker.desk.rotation import STATEMENT_S, Rotated, rotate_rows
from worker.desk.rotation import rotate as rotate_all
from worker.keys import KeyRing, StrictKeyRing, key_ring, keys_of, new_key
from worker.migrations import CORE
from worker.registry import find_families
from worker.settings import WorkerSettings
from worker.statements import Statement, read_statements, sql_root

SHOWN = 10

app = typer.Typer(help="The keys that seal dead letters, and what families keep sealed.", no_args_is_help=True)


@app.command("new")
def new() -> None:
    """Print a fresh key for ROWCALL_ENCRYPTION_KEYS. It is kept nowhere; what it sealed is lost with it."""
    typer.echo(new_key())


@app.command("rotate")
def rotate() -> None:
    """Seal with the newest key every dead letter, and all that the families keep sealed.

    First put that key in front, and start the workers anew with it.
    """
    settings = WorkerSettings()
    if not key_ring(settings).seals:
        fail("there is no key to seal with: set ROWCALL_ENCRYPTION_KEYS; `rowcall keys new` makes one")
    rotated = run(_rotate(settings))
    for what, one in rotated.items():
        out.print(f"{what}: {one.sealed} sealed anew, {one.already} were sealed with the newest key already")
    if unreadable := {what: one.unreadable for what, one in rotated.items() if one.unreadable}:
        fail("; ".join(_named(what, keys) for what, keys in unreadable.items()))
    out.print(
        "the older keys are needed no more, once no worker seals with them and the queue of dead letters is empty"
    )
    out.print("unsubscribe links that were made with them end when they go")


def _named(what: str, keys: Sequence[int | str]) -> str:
    names = ", ".join(map(str, keys[:SHOWN])) + (", …" if len(keys) > SHOWN else "")
    return f"{what}: no key opens {len(keys)} of them, and they are left as they were: {names}"


async def _rotate(settings: WorkerSettings) -> dict[str, Rotated]:
    """What became of everything that is sealed, by what it is."""
    core, families = read_statements(CORE, sql_root() / CORE), find_families(settings.families)
    async with Database(settings) as database:
        with Progress(console=err, transient=True) as bar:
            rotated = {"dead letters": await _rotate_letters(database, core, key_ring(settings), bar)}
            ring = StrictKeyRing(keys_of(settings))
            for family in families:
                own = read_statements(family.name, family.sql)
                for name in family.sealed:
                    rotated[f"{family.name}.{name}"] = await _rotate_rows(database, own, family.name, name, ring, bar)
        await _note(database, core, rotated)
        return rotated


async def _rotate_letters(
    database: Database, statements: Mapping[str, Statement], ring: KeyRing, bar: Progress
) -> Rotated:
    told = bar.add_task("dead letters", total=None)
    return await rotate_all(
        database, statements, ring, progress=lambda number, last: bar.update(told, completed=number, total=last)
    )


async def _rotate_rows(
    database: Database, statements: Mapping[str, Statement], family: str, name: str, ring: StrictKeyRing, bar: Progress
) -> Rotated:
    told = bar.add_task(f"{family}.{name}", total=None)

    def progress(done: int) -> None:
        bar.update(told, completed=done)

    return await rotate_rows(database, statements, family, name, ring, progress=progress)


async def _note(database: Database, statements: Mapping[str, Statement], rotated: Mapping[str, Rotated]) -> None:
    note = statements["rowcall.note_deed"]
    for what, one in rotated.items():
        details = {"what": what, "sealed": one.sealed, "unreadable": one.unreadable}
        deed = {"actor": whoever(), "action": "rotate", "letter": None, "details": details}
        await database.fetch(note.sql, [note.bind(deed)], timeout_s=STATEMENT_S)
