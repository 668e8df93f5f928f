"""``rowcall worker`` and ``rowcall migrate``."""

from __future__ import annotations

import os
import sys

import typer

from worker import migrations
from worker.cli.console import out, run
from worker.registry import find_families
from worker.settings import WorkerSettings


def worker(context: typer.Context) -> None:
    """Serve calls until SIGTERM. `--processes N` runs several, `--reload` starts anew when code changes."""
    # Another program in this one's place: a worker keeps no command line in its memory.
    os.execv(sys.executable, [sys.executable, "-m", "worker", *context.args])  # noqa: S606 - our own interpreter


def migrate() -> None:
    """Bring the database to what this program knows. A worker does the same when it starts."""
    settings = WorkerSettings()
    applied = run(migrations.migrate(settings, find_families(settings.families)))
    out.print("\n".join(f"applied {name}" for name in applied) or "nothing to do: the database is up to date")
