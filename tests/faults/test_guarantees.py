"""What docs/guarantees.md promises, shown once each, where no other test does."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from accounts import Accounts, AsyncAccounts
from rpc_client import IdempotencyKeyReused, InsufficientCredits, errors
from tests.acceptance.broker import connected_peer
from tests.faults.awaits import Wait, sessions, unlimited
from tests.faults.given import mortal
from tests.processes import environment
from worker.settings import WorkerSettings

ROOT = Path(__file__).parents[2]

# -- G1: nothing that was confirmed is lost ----------------------------------------------------------------------------


@pytest.mark.timeout(120)
async def test_g1_ledger_of_requests(start_worker, settings, client, sql):
    """A journal of confirmed writes, a worker killed among them: each is in a receipt, a dead letter or the queue."""
    doomed = await start_worker()
    await AsyncAccounts(client).open_account("a-1", "me")
    journal = []
    for _ in range(150):
        journal.append(await client.send(Accounts.deposit, "a-1", 1))
        if len(journal) == 50:
            doomed.process.send_signal(signal.SIGKILL)
            await doomed.process.wait()
    done = {row["id"] for row in await sql.fetch("select id from rowcall.receipts")}
    waiting = [request_id for request_id in journal if request_id not in done]
    async with connected_peer(settings) as peer, asyncio.timeout(60):
        queue = await peer.channel.get_queue(peer.names.queue("write"))
        while (await queue.declare()).message_count < len(waiting):  # what it had in hand comes back
            await asyncio.sleep(0.05)
        await start_worker()
        known = "select id from rowcall.receipts union select id from rowcall.dead_letters"
        while missing := set(journal) - {row["id"] for row in await sql.fetch(known)}:
            await asyncio.sleep(0.05)

    assert len(waiting) >= 100
    assert missing == set()
    assert await sql.fetchval("select balance from accounts.accounts") == len(journal)


# -- G2: exactly once, or not at all -----------------------------------------------------------------------------------


async def test_g2_same_key_other_args(direct, accounts, sql):
    keyed = AsyncAccounts(direct.with_options(idempotency_key="invoice 7"))
    await accounts.open_account("a-1", "me")

    balances = [await keyed.deposit("a-1", 5) for _ in range(3)]
    with pytest.raises(IdempotencyKeyReused):
        await keyed.deposit("a-1", 6)

    assert balances == [5, 5, 5]
    assert await sql.fetchval("select count(*) from accounts.entries") == 1


# -- G3: an outcome outlives its caller --------------------------------------------------------------------------------


async def test_g3_outcome_lookup_after_client_kill(worker, settings, client, sql):
    request_id = uuid4()
    await AsyncAccounts(client).open_account("a-1", "me")
    async with sql.transaction():
        await sql.execute("select from accounts.accounts for update")
        caller = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.killed_caller", str(request_id), "a-1"), env=environment(settings)
        )
        waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        async with mortal(caller), asyncio.timeout(20):
            while not await sql.fetchval(waits):
                await asyncio.sleep(0.02)
    async with asyncio.timeout(20):
        while (outcome := await client.outcome(request_id)).state == "no_trace":
            await asyncio.sleep(0.02)

    assert (outcome.state, outcome.result(Accounts.deposit)) == ("done", 5)


# -- G8: money ---------------------------------------------------------------------------------------------------------


async def test_g8_bank_invariant(direct, sql):
    """Whoever reads at any moment, in one snapshot, finds balances that are their ledgers' sums and not negative."""
    rng, names, lanes = random.Random(8), [f"a-{n}" for n in range(5)], asyncio.Semaphore(8)
    accounts = AsyncAccounts(direct.with_options(timeout_s=60))
    for name in names:
        await accounts.open_account(name, "me")
        await accounts.deposit(name, 50)

    async def move() -> None:
        async with lanes:
            try:
                await accounts.transfer(*rng.sample(names, 2), rng.randint(1, 60))
            except InsufficientCredits:
                refused.append(True)

    refused, looks = list[bool](), 0
    moving = asyncio.gather(*(move() for _ in range(150)))
    wrong = (
        "select count(*) from accounts.accounts as a where balance < 0 or balance <>"
        " (select coalesce(sum(amount), 0) from accounts.entries as e where e.account_id = a.account_id)"
    )
    while not moving.done() or not looks:
        row = await sql.fetchrow(f"select ({wrong}) as wrong, (select sum(balance) from accounts.accounts) as money")
        assert tuple(row) == (0, 250)
        looks += 1
    await moving

    assert refused
    assert looks > 1


# -- G10: a stop fails no call -----------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
async def test_g10_rolling_restart_zero_failures(start_worker, client, sql):
    """Two workers are replaced one after the other, one asked to end and one killed, while calls go on."""
    accounts, stopped = AsyncAccounts(client.with_options(timeout_s=60)), asyncio.Event()
    crew = [await start_worker(), await start_worker()]
    await accounts.open_account("a-1", "me")
    answered = []

    async def work() -> None:
        while not stopped.is_set():
            answered.append(await accounts.deposit("a-1", 1))

    async with asyncio.TaskGroup() as callers:
        for _ in range(8):
            callers.create_task(work())
        for old, number in zip(crew, [signal.SIGTERM, signal.SIGKILL], strict=True):
            await start_worker()
            before = len(answered)
            old.process.send_signal(number)
            await old.process.wait()
            while len(answered) < before + 20:
                await asyncio.sleep(0.02)
        stopped.set()

    assert sorted(answered) == list(range(1, len(answered) + 1))
    assert await sql.fetchval("select balance from accounts.accounts") == len(answered)


# -- G11: everything is bounded ----------------------------------------------------------------------------------------

SET_UP = "a connection is given 10 s to be set up: Link._connect"
HEARTBEAT = "where the broker says nothing any more the heartbeat ends the connection, and with it the wait"
CALLER = "whoever asked has a time-out around it"
WORK = "what it waits for has limits of its own at every step"
ENDED_SOON = "a timer of a second ends it"
ENDED = "it is cancelled every three seconds until it has ended, and what it closes has limits of its own"
IDLE = "it waits for work, and ends with the program"
AT_ONCE = "nobody is before it: it does not wait"
DEADLINE = "Deadlines ends it when the call's time is up; Replies after 5 s"
EXCEPTIONS = {
    Wait("worker/app.py::_background", "end"): ENDED,
    Wait("worker/app.py::_until_stopped", "asyncio.wait"): IDLE,
    Wait("worker/app.py::run", "consumer.drain"): WORK,
    Wait("worker/circuit.py::run", "self._open.wait"): IDLE,
    Wait("worker/consumer.py::_handle", "self._replies.link.up.wait"): IDLE,
    Wait("worker/connections.py::direct_connection", "close"): WORK,
    Wait("worker/consumer.py::_on_up", "channel.basic_qos"): SET_UP,
    Wait("worker/consumer.py::_on_up", "open_channel"): SET_UP,
    Wait("worker/consumer.py::_on_up", "self._replies.link.up.wait"): SET_UP,
    Wait("worker/database.py::__aexit__", "asyncio.gather"): WORK,
    Wait("worker/database.py::_open", "connect"): WORK,
    Wait("worker/delivery.py::hand_back", "self.channel.basic_nack"): HEARTBEAT,
    Wait("worker/desk/courier.py::_publish", "self._channel.basic_publish"): CALLER,
    Wait("worker/desk/replays.py::_landed", "asyncio.gather"): WORK,
    Wait("worker/desk/replays.py::_may_go_on", "self._room.acquire"): WORK,
    Wait("worker/events.py::__aexit__", "end"): ENDED,
    Wait("worker/events.py::_run", "self._waiting.get"): IDLE,
    Wait("worker/groups.py::run", "done"): WORK,
    Wait("worker/groups.py::run_alone", "asyncio.gather"): WORK,
    Wait("worker/here.py::suspected", "end"): ENDED,
    Wait("worker/mover.py::_channel", "channel.basic_qos"): HEARTBEAT,
    Wait("worker/mover.py::_channel", "channel.close"): HEARTBEAT,
    Wait("worker/mover.py::_channel", "open_channel"): HEARTBEAT,
    Wait("worker/mover.py::_next", "self._waiting.get"): IDLE,
    Wait("worker/mover.py::_until_lost", "asyncio.wait"): IDLE,
    Wait("worker/mover.py::_until_lost", "channel.basic_consume"): HEARTBEAT,
    Wait("worker/mover.py::_widen", "channel.basic_consume"): HEARTBEAT,
    Wait("worker/pipeline.py::_ruled_out", "self._receipts.find_one"): WORK,
    Wait("worker/pipeline.py::_run_now", "asyncio.gather"): WORK,
    Wait("worker/pipeline.py::_settle_writes", "asyncio.gather"): WORK,
    Wait("worker/pipeline.py::_settled", "asyncio.gather"): WORK,
    Wait("worker/pipeline.py::answers", "settled"): WORK,
    Wait("worker/places.py::take", "self._free.acquire"): AT_ONCE,
    Wait("worker/quiet.py::allowed", "self._over.wait"): ENDED_SOON,
    Wait("worker/replies.py::_on_up", "open_channel"): SET_UP,
    Wait("worker/replies.py::_probe", "channel.close"): SET_UP,
    Wait("worker/replies.py::_probe", "open_channel"): SET_UP,
    Wait("worker/replies.py::_publish_dead", "self._dead.basic_publish"): CALLER,
    Wait("worker/replies.py::send", "asyncio.gather"): DEADLINE,
    Wait("worker/replies.py::send", "taken"): DEADLINE,
    Wait("worker/suspects.py::_finished", "run"): WORK,
    Wait("worker/suspects.py::asked_again", "asyncio.gather"): WORK,
    Wait("worker/topology.py::_declare_queue", "channel.queue_declare"): HEARTBEAT,
    Wait("worker/topology.py::declare", "channel.close"): HEARTBEAT,
    Wait("worker/topology.py::declare", "channel.exchange_declare"): HEARTBEAT,
    Wait("worker/topology.py::declare", "channel.queue_bind"): HEARTBEAT,
    Wait("worker/topology.py::declare", "open_channel"): HEARTBEAT,
    Wait("rpc_client/background.py::_serve", "asyncio.gather"): WORK,
    Wait("rpc_client/background.py::_serve", "self._stopping.wait"): IDLE,
    Wait("rpc_client/background.py::drop", "client.close"): WORK,
    Wait("rpc_client/client.py::__aexit__", "self.close"): WORK,
    Wait("rpc_client/client.py::close", "self._transport.close"): WORK,
    Wait("rpc_client/connection.py::_until_lost", "asyncio.wait"): IDLE,
    Wait("rpc_client/connection.py::open_channel", "channel.get_underlay_channel"): CALLER,
    Wait("rpc_client/connection.py::open_channel", "connection.channel"): CALLER,
    Wait("rpc_client/connection.py::stop", "end"): ENDED,
    Wait("rpc_client/families.py::__aexit__", "self.close"): WORK,
    Wait("rpc_client/families.py::close", "self._client.close"): WORK,
    Wait("rpc_client/frames.py::create", "loop.create_connection"): SET_UP,
    Wait("rpc_client/frames.py::ready", "self._checked"): CALLER,
    Wait("rpc_client/losses.py::_again", "asyncio.wait"): DEADLINE,
    Wait("rpc_client/transport.py::_on_up", "channel.basic_consume"): SET_UP,
    Wait("rpc_client/transport.py::_on_up", "channel.queue_declare"): SET_UP,
    Wait("rpc_client/transport.py::_on_up", "open_channel"): SET_UP,
    Wait("rpc_client/transport.py::_replied", "call.reply"): DEADLINE,
}
"""The awaits without a time-out of their own, and why each of them ends, or may wait for ever."""


def test_g11_no_unbounded_await():
    found = set(unlimited())

    assert found - EXCEPTIONS.keys() == set(), "give it a time-out, or say here what ends it"
    assert EXCEPTIONS.keys() - found == set(), "there is no such await any more"
    told = re.search(r"needing none \((\d+) of them\)", (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8"))
    assert told
    assert int(told[1]) == len(EXCEPTIONS)


def test_g11_no_session_without_limits():
    opened = list(sessions())

    assert [(where, sorted(needed - given)) for where, needed, given in opened if needed - given] == []
    assert len(opened) == 5


def test_g11_every_limit_has_a_typed_error():
    """Every row of docs/limits.md names an error that there is, or says that nothing fails; its setting is one."""
    page = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if re.match(r"\| (?!limit|---)", line)]
    told = [row[-2] for row in rows]
    names = {word for cell in told for word in re.findall(r"`([A-Z]\w+)`", cell)}

    assert len(rows) > 25
    assert [
        cell for cell in told if "`" not in cell and not re.match(r" (none|as above|the broker refuses)", cell)
    ] == []
    assert {name for name in names if not hasattr(errors, name)} == set()
    settings = {word for row in rows for word in re.findall(r"`ROWCALL_(\w+)`", "".join(row[:2]))}
    assert {name for name in settings if name.lower() not in WorkerSettings.model_fields} == set()
