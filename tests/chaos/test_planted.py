"""A checker that never found anything proves nothing: each bug that is planted on purpose is caught."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys

import pytest

import worker.copying
import worker.served
from accounts.services import family as accounts
from tests.chaos.family import family as chaos
from tests.chaos.plants import PLANTS, record, statements
from tests.conftest import ROOT
from worker.statements import read_statements, sql_root

FOLDERS = {"rowcall": sql_root() / "rowcall", "accounts": accounts.sql, "chaos": chaos.sql}
REWRITING = [
    record.by_transaction,
    record.without_horizon,
    statements.guard_first,
    statements.claim_unlocked,
    statements.stale_balance,
]


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", PLANTS)
async def test_a_planted_bug_is_caught_by_the_check_that_should(name, tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.chaos.planted",
        name,
        "--keep",
        str(tmp_path),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)  # so that it ends what it started
    assert process.returncode == 0, said.decode()


@pytest.mark.parametrize("change", REWRITING, ids=lambda change: change.__name__)
def test_a_bug_in_a_statement_still_fits_it(change, monkeypatch):
    monkeypatch.setattr(worker.served, "read_statements", read_statements)
    monkeypatch.setattr(worker.copying, "portions", worker.copying.portions)
    change()

    changed = [
        name
        for family, folder in FOLDERS.items()
        for name, statement in worker.served.read_statements(family, folder).items()
        if statement != read_statements(family, folder)[name]
    ]
    assert len(changed) == 1


def test_the_page_tells_every_planted_bug_and_the_check_that_catches_it():
    page = (ROOT / "docs" / "chaos.md").read_text()
    missing = [
        row for each in PLANTS.values() if (row := f"| `{each.name}` | {each.what} | {each.caught_by} |") not in page
    ]

    assert missing == []
