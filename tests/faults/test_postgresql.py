"""What calls see of a PostgreSQL that ends sessions, stands still, refuses and waits."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest
import structlog

from accounts import AsyncAccounts
from rpc_client.errors import Conflict
from tests.conftest import connected
from tests.faults.patient import AsyncPatient
from tests.faults.serving import BACKENDS, LOCK, POOL, Callers, deposited, every_place_is_free, locked, serving, until
from tests.proxy import proxied
from worker.testing import scratch_database

SIGNALS = [
    pytest.param(signal.SIGINT, id="fast", marks=pytest.mark.heavy),
    pytest.param(signal.SIGQUIT, id="immediate", marks=pytest.mark.heavy),
    pytest.param(signal.SIGKILL, id="kill"),
]

GATE = f"""
create function public.wait_at_gate() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared({LOCK});
    return null;
end $$;
create trigger gate after insert or update on patient.notes for each row execute function wait_at_gate();
"""


async def end_backends(sql: asyncpg.Connection, which: str = "true") -> None:
    await sql.execute(f"select pg_terminate_backend(pid) {BACKENDS} and {which}")


async def test_sessions_that_are_ended_at_rest_fail_no_call(on_own, stranger):
    accounts = AsyncAccounts(on_own.client)
    await every_place_is_free(on_own.database, POOL)

    await end_backends(stranger)
    balances = await asyncio.gather(*(accounts.deposit("a-1", 1) for _ in range(2 * POOL)))

    assert sorted(balances) == list(range(1, 2 * POOL + 1))


@pytest.mark.parametrize("method", ["nap", "dream"])
async def test_a_read_whose_session_is_ended_runs_again(on_own, stranger, method):
    call = asyncio.ensure_future(getattr(AsyncPatient(on_own.client), method)(300))

    await until(stranger, f"exists (select {BACKENDS} and wait_event = 'PgSleep')")
    await end_backends(stranger)

    assert await call == 300


@pytest.mark.parametrize("moment", ["wait_event = 'PgSleep'", "state = 'idle in transaction'"], ids=["busy", "idle"])
async def test_a_story_whose_session_is_ended_half_way_takes_effect_once(on_own, stranger, moment):
    patient = AsyncPatient(on_own.client)
    call = asyncio.ensure_future(
        patient.note_both("first", "second", 300) if "Sleep" in moment else patient.ponder("second", 300)
    )

    await until(stranger, f"exists (select {BACKENDS} and {moment})")
    await end_backends(stranger, moment)

    assert await call == 1
    assert await stranger.fetchval("select max(times) from patient.notes") == 1
    assert await stranger.fetchval("select count(*) from rowcall.receipts where method like 'patient.%'") == 1


@pytest.mark.parametrize("heard", [False, True], ids=["lost", "heard"])
async def test_a_commit_in_flight_when_the_link_is_cut_takes_effect_once(own_url, base_settings, stranger, heard):
    async with proxied(own_url) as (proxy, through), serving(through, base_settings, pool_size=POOL) as worker:
        proxy.cut_at(b"COMMIT", heard=heard)

        assert await AsyncPatient(worker.client).note_both("first", "second", 0) == 1

        assert proxy.cuts == 1
        assert await stranger.fetch("select times from patient.notes") == [(1,), (1,)]
        await every_place_is_free(worker.database, POOL)


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_restart_of_postgresql_fails_no_call(own_postgresql, own_url, on_own, number):
    async with Callers(on_own).calling() as callers:
        await callers.more(20)
        if number == signal.SIGKILL:
            await own_postgresql.kill()
        else:
            own_postgresql.signal(number)
            async with asyncio.timeout(30):
                while own_postgresql.process.alive:
                    await asyncio.sleep(0.01)
        await own_postgresql.start()
        await callers.say_first_good("PostgreSQL accepted again")
        await callers.more(20)

    async with connected(own_url) as sql:
        assert callers.failed == []
        assert await deposited(sql) == (callers.good, callers.good)


@contextlib.asynccontextmanager
async def gated(sql: asyncpg.Connection, held: int) -> AsyncIterator[None]:
    """Whoever has counted a key up keeps its row until so many wait: for the gate, or for each other."""
    await sql.execute(GATE)
    async with locked(sql):
        yield
        await until(sql, f"{held} = (select count(*) {BACKENDS} and wait_event_type = 'Lock')")


async def test_crossed_writes_that_wait_for_each_other_both_take_effect(own_url, base_settings, stranger):
    name = await stranger.fetchval("select current_database()")
    await stranger.execute(f"alter database {name} set deadlock_timeout = '50ms'")
    async with serving(own_url, base_settings, pool_size=POOL, lock_s=60) as worker:
        patient = AsyncPatient(worker.client)
        with structlog.testing.capture_logs() as logs:
            async with gated(stranger, 2):
                crossed = [asyncio.ensure_future(patient.note_both(*keys, 0)) for keys in ("ab", "ba")]
            await asyncio.gather(*crossed)

    assert await stranger.fetch("select key, times from patient.notes order by key") == [("a", 2), ("b", 2)]
    assert any("DeadlockDetectedError" in line.get("error", "") for line in logs)


async def test_serialization_failures_are_run_again(own_url, base_settings, stranger):
    name = await stranger.fetchval("select current_database()")
    await stranger.execute(f"alter database {name} set default_transaction_isolation = 'serializable'")
    async with serving(own_url, base_settings, pool_size=POOL, lock_s=60) as worker:
        patient = AsyncPatient(worker.client)
        with structlog.testing.capture_logs() as logs:
            async with gated(stranger, POOL):
                noting = [asyncio.ensure_future(patient.note_both("a", f"b-{n}", 0)) for n in range(POOL)]
            await asyncio.gather(*noting)

    assert await stranger.fetchval("select times from patient.notes where key = 'a'") == POOL
    assert any("SerializationError" in line.get("error", "") for line in logs)


async def test_a_lock_of_a_stranger_is_waited_for_until_the_deadline_and_no_longer(own_url, base_settings, stranger):
    async with serving(own_url, base_settings, pool_size=POOL, lock_s=0.1) as worker:
        accounts = AsyncAccounts(worker.client)
        with structlog.testing.capture_logs() as logs:
            async with stranger.transaction():
                await stranger.execute("lock table accounts.accounts in access exclusive mode")
                with pytest.raises(Conflict, match="did not run and never will"):
                    await AsyncAccounts(worker.client.with_options(timeout_s=1)).deposit("a-1", 5)
                late = asyncio.ensure_future(accounts.deposit("a-1", 1))
                async with asyncio.timeout(30):
                    while sum(line["event"] == "trying again" for line in logs) < 4:
                        await asyncio.sleep(0.02)
            assert await late == 1

    assert await deposited(stranger) == (1, 1)


async def test_a_database_that_takes_no_writes_is_waited_for_on_new_connections(own_postgresql, on_own, stranger):
    await every_place_is_free(on_own.database, POOL)
    before = await stranger.fetch(f"select pid {BACKENDS}")
    async with connected(own_postgresql.url) as operator:
        await operator.execute("alter system set default_transaction_read_only = on")
        await operator.execute("select pg_reload_conf()")
        try:
            await until(stranger, "current_setting('default_transaction_read_only') = 'on'")
            with structlog.testing.capture_logs() as logs:
                call = asyncio.ensure_future(AsyncAccounts(on_own.client).deposit("a-1", 1))
                async with asyncio.timeout(30):
                    while not any("no connection now" in line.get("error", "") for line in logs):
                        await asyncio.sleep(0.02)
            await until(stranger, f"not exists (select {BACKENDS})")
        finally:
            await operator.execute("set default_transaction_read_only = off")
            await operator.execute("alter system reset default_transaction_read_only")
            await operator.execute("select pg_reload_conf()")

    assert await call == 1
    assert not {row["pid"] for row in before} & {row["pid"] for row in await stranger.fetch(f"select pid {BACKENDS}")}


async def test_where_the_url_says_so_a_database_that_takes_no_writes_is_read(own_url, base_settings, stranger):
    async with serving(f"{own_url}?target_session_attrs=any", base_settings, pool_size=POOL) as worker:
        name = await stranger.fetchval("select current_database()")
        await stranger.execute(f"alter database {name} set default_transaction_read_only = on")
        worker.database.expire()

        assert (await AsyncAccounts(worker.client).get_account("a-1")).balance == 0


@pytest.mark.heavy
async def test_a_server_without_a_free_connection_is_waited_for_with_those_there_are(own_postgresql, base_settings):
    async with connected(own_postgresql.url) as operator, scratch_database(own_postgresql.url) as url:
        name = url.rpartition("/")[2]
        await operator.execute(f"create role {name} login connection limit 3")
        await operator.execute(f"alter database {name} owner to {name}")
        scarce = url.replace("//postgres@", f"//{name}@")
        try:
            async with serving(scarce, base_settings, pool_size=POOL) as worker:
                async with connected(scarce), connected(scarce):
                    with structlog.testing.capture_logs() as logs:
                        patient = AsyncPatient(worker.client)
                        notes = await asyncio.gather(*(patient.note_both(f"{n}", f"{n}", 50) for n in range(3 * POOL)))
                assert notes == [2] * 3 * POOL
                assert any("too many connections" in line.get("error", "") for line in logs)
        finally:
            await operator.execute(f"alter database {name} owner to postgres")
            await operator.execute(f"reassign owned by {name} to postgres")
