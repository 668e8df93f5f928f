"""The sync client in processes of their own: how they fork, how they end, how they are interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from accounts import AsyncAccounts
from tests.processes import environment

PROGRAMS = Path(__file__).parent / "programs"
END_S = 40


@contextlib.asynccontextmanager
async def program(settings, name: str, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python program, that complains about whatever is not cleaned up."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-W", "always::ResourceWarning", str(PROGRAMS / name), *words],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(settings),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # itself, and what it may have forked
        await process.wait()


async def run_program(settings, name: str, *words: str) -> str:
    """What it printed, once it has ended well and without a complaint."""
    async with program(settings, name, *words) as process:
        output, complaints = await asyncio.wait_for(process.communicate(), END_S)
        assert (process.returncode, complaints.decode()) == (0, "")
    return output.decode()


async def test_forked_children_have_connections_of_their_own_and_the_parents_calls_go_on(worker, settings, sql):
    told = json.loads(await run_program(settings, "forks.py"))

    children, parent = told["children"], told["parent"]
    balances = sum((child["balances"] for child in children), parent)
    assert [child["kept"] for child in children] == [False] * 4
    assert [child["grandchild"] for child in children] == [0] * 4
    assert [len(child["balances"]) for child in children] == [25] * 4
    assert parent
    assert len(set(balances)) == len(balances)
    assert await sql.fetchval("select balance from accounts.accounts") == len(balances) + 4


async def test_a_program_ends_while_daemon_threads_wait_for_answers(start_worker, settings):
    await (await start_worker()).stop()

    assert await run_program(settings, "exits.py", "while_daemon_threads_wait") == ""


@pytest.mark.parametrize(("how", "balance"), [("while_a_pool_still_calls", 40), ("with_a_last_call", 2)])
async def test_a_program_that_ends_still_makes_its_last_calls(worker, settings, client, sql, how, balance):
    await AsyncAccounts(client).open_account("a-1", "me")

    await run_program(settings, "exits.py", how)

    assert await sql.fetchval("select balance from accounts.accounts") == balance


async def test_ctrl_c_interrupts_a_call_which_may_still_run_under_the_id_it_tells(start_worker, settings, client, sql):
    first = await start_worker()
    accounts = AsyncAccounts(client)
    await accounts.open_account("a-1", "me")
    await first.stop()
    async with program(settings, "waits.py") as process:
        assert await asyncio.wait_for(process.stdout.readline(), END_S) == b"waiting\n"

        process.send_signal(signal.SIGINT)
        output, complaints = await asyncio.wait_for(process.communicate(), END_S)

    told = json.loads(output)
    assert (process.returncode, complaints, told["method"]) == (0, b"", "accounts.deposit")
    assert told["notes"] == [
        f"accounts.deposit was left waiting and may still run, under the request id {told['request_id']}"
    ]
    await start_worker()
    repeated = AsyncAccounts(client.with_options(request_id=told["request_id"]))
    assert await repeated.deposit("a-1", 1) == 1
    assert await sql.fetchval("select balance from accounts.accounts") == 1
