"""``rowcall keys new`` and ``rowcall keys rotate``."""

from __future__ import annotations

import typer
from rich.progress import Progress

from worker.cli.console import err, fail, out, run
from worker.database import Database
from worker.desk.desk import whoever
from worker.desk.rotation import STATEMENT_S, Rotated
from worker.desk.rotation import rotate as rotate_all
from worker.keys import KeyRing, key_ring, new_key
from worker.migrations import CORE
from worker.settings import WorkerSettings
from worker.statements import read_statements, sql_root

SHOWN = 10

app = typer.Typer(help="The keys that seal dead letters.", no_args_is_help=True)


@app.command("new")
def new() -> None:
    """Print a fresh key for ROWCALL_ENCRYPTION_KEYS. It is kept nowhere; what it sealed is lost with it."""
    typer.echo(new_key())


@app.command("rotate")
def rotate() -> None:
    """Seal every dead letter with the newest key. First put that in front, and start the workers anew with it."""
    settings = WorkerSettings()
    ring = key_ring(settings)
    if not ring.seals:
        fail("there is no key to seal with: set ROWCALL_ENCRYPTION_KEYS; `rowcall keys new` makes one")
    rotated = run(_rotate(settings, ring))
    out.print(f"{rotated.sealed} sealed anew, {rotated.already} were sealed with the newest key already")
    if rotated.unreadable:
        numbers = ", ".join(map(str, rotated.unreadable[:SHOWN])) + (", …" if len(rotated.unreadable) > SHOWN else "")
        fail(f"no key opens {len(rotated.unreadable)} of them, and they are left as they were: {numbers}")
    out.print("the older keys are needed no more, once no worker seals with them")


async def _rotate(settings: WorkerSettings, ring: KeyRing) -> Rotated:
    statements = read_statements(CORE, sql_root() / CORE)
    async with Database(settings) as database:
        with Progress(console=err, transient=True) as bar:
            task = bar.add_task("sealing anew", total=None)
            rotated = await rotate_all(
                database,
                statements,
                ring,
                progress=lambda number, last: bar.update(task, completed=number, total=last),
            )
        note = statements["rowcall.note_deed"]
        details = {"sealed": rotated.sealed, "unreadable": rotated.unreadable}
        deed = {"actor": whoever(), "action": "rotate", "letter": None, "details": details}
        await database.fetch(note.sql, [note.bind(deed)], timeout_s=STATEMENT_S)
        return rotated
