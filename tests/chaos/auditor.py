"""``python -m tests.chaos.auditor --run DIR``: looks at the sums five times a second, from one snapshot each time.

Its lines: "balances" and "entries" are the sums of what stands in accounts and of what their ledger says came and went,
"credits" and "transactions" those of the platform; "least" is the lowest balance of all.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from pathlib import Path

import asyncpg

from tests.chaos.folder import Folder, Journal
from worker.settings import WorkerSettings

LOOK_S = 0.2
TIMEOUT_S = 5.0

SUMS = """
select
    (select coalesce(sum(balance), 0)::bigint from accounts.accounts) as balances,
    (select coalesce(sum(amount), 0)::bigint from accounts.entries) as entries,
    (select coalesce(sum(balance), 0)::bigint from platform.balances) as credits,
    (select coalesce(sum(amount), 0)::bigint from platform.credit_transactions) as transactions,
    (
        select coalesce(min(b.balance), 0)
        from (select balance from accounts.accounts union all select balance from platform.balances) as b
    ) as least
"""
"""One statement sees one snapshot; at REPEATABLE READ a second one would see the same."""
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


async def audit(url: str, journal: Journal, ending: asyncio.Event) -> None:
    """Look until told to end, however often the database goes away meanwhile."""
    while not ending.is_set():
        with contextlib.suppress(*AWAY):
            connection = await asyncpg.connect(url, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S)
            try:
                await _look(connection, journal, ending)
            finally:
                connection.terminate()
        await _pause(ending)


async def _look(connection: asyncpg.Connection, journal: Journal, ending: asyncio.Event) -> None:
    while not ending.is_set():
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            journal.write(**await connection.fetchrow(SUMS))
        await _pause(ending)


async def _pause(ending: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ending.wait(), LOOK_S)


async def main(root: Path) -> None:
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    url = WorkerSettings(_env_file=None).postgres_url.get_secret_value()
    await audit(url, Journal(Folder(root).root / "auditor.jsonl"), ending)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="tests.chaos.auditor")
    parser.add_argument("--run", type=Path, required=True)
    asyncio.run(main(parser.parse_args().run))
