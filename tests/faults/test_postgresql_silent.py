"""What calls see of a PostgreSQL that says nothing any more, and what others see of one who has stopped asking."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
import structlog
from structlog.typing import EventDict

from accounts import AsyncAccounts
from rpc_client.errors import DeadlineExceeded, RPCError, Unavailable
from tests.faults.patient import AsyncPatient
from tests.faults.serving import BACKENDS, POOL, Callers, deposited, every_place_is_free, locked, serving, until
from tests.proxy import proxied
from worker.connections import transaction_of

HASTY = {"pool_size": POOL, "acquire_s": 0.5}


async def until_said(logs: list[EventDict], words: str) -> None:
    """Wait until this stands in the log."""
    async with asyncio.timeout(30):
        while not any(words in f"{line['event']} {line.get('error')}" for line in logs):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", ["held", pytest.param("frozen", marks=pytest.mark.heavy)])
async def test_a_database_that_falls_silent_for_a_while_fails_no_call(
    own_postgresql, own_url, base_settings, stranger, how
):
    async with proxied(own_url) as (proxy, through), serving(through, base_settings, **HASTY) as worker:
        patient = AsyncPatient(worker.client.with_options(timeout_s=30))

        @contextlib.contextmanager
        def held() -> Iterator[None]:
            proxy.hold()
            try:
                yield
            finally:
                proxy.release()

        async with Callers(worker).calling() as callers:
            await callers.more(20)
            with structlog.testing.capture_logs() as logs, held() if how == "held" else own_postgresql.frozen():
                stories = [asyncio.ensure_future(patient.note_both(f"{n}", f"{n}", 0)) for n in range(POOL // 2)]
                await until_said(logs, "PostgreSQL did not answer in")
            await callers.say_first_good("PostgreSQL was heard again")
            await callers.more(20)
            noted = await asyncio.gather(*stories)

        assert callers.failed == []
        assert noted == [2] * len(stories)
        assert await deposited(stranger) == (callers.good, callers.good)
        await every_place_is_free(worker.database, POOL)


async def test_calls_whose_time_is_up_in_the_silence_are_answered_in_it_and_hold_no_connection(
    own_url, base_settings, stranger
):
    async with proxied(own_url) as (proxy, through), serving(through, base_settings, **HASTY) as worker:
        hurried = worker.client.with_options(timeout_s=0.5)
        patient, accounts = AsyncPatient(hurried), AsyncAccounts(hurried)
        calls = [
            call
            for n in range(POOL)
            for call in (patient.note_both(f"{n}", f"{n}", 0), patient.dream(0), accounts.deposit("a-1", 1))
        ]
        proxy.hold()
        async with asyncio.timeout(30):  # of 60 s that a statement may take
            answers = await asyncio.gather(*calls, return_exceptions=True)
        proxy.release()

        assert {type(answer) for answer in answers} <= {Unavailable, DeadlineExceeded}
        await every_place_is_free(worker.database, POOL)
        assert {letter.reason for letter in worker.dead_letters} == {"exhausted"}
    assert await deposited(stranger) == (0, 0)
    assert await stranger.fetchval("select count(*) from patient.notes") == 0


@pytest.mark.heavy
@pytest.mark.parametrize("mark", [b"BEGIN", b"SAVEPOINT", b"COMMIT"])
async def test_wherever_an_answer_stays_away_the_call_changes_nothing_and_the_next_has_another_connection(
    own_url, base_settings, stranger, mark
):
    async with proxied(own_url) as (proxy, through), serving(through, base_settings, pool_size=1) as worker:
        proxy.swallow(mark)
        with structlog.testing.capture_logs() as logs:
            call = asyncio.ensure_future(AsyncPatient(worker.client.with_options(timeout_s=3)).note_both("a", "a", 0))
            async with asyncio.timeout(30):
                while mark not in proxy.sent:
                    await asyncio.sleep(0.01)
            with contextlib.suppress(RPCError):
                await call
        proxy.swallow(b"nobody says this")

        assert await AsyncPatient(worker.client).note_both("b", "b", 0) == 2
        assert await stranger.fetchval("select count(*) from patient.notes where key = 'a'") == 0
        await every_place_is_free(worker.database, 1)
        assert not any(line["event"] == "a bug" for line in logs)


async def test_a_statement_that_nobody_waits_for_any_more_ends_on_the_server_too(on_own, stranger):
    with pytest.raises(DeadlineExceeded):
        await AsyncPatient(on_own.client.with_options(timeout_s=0.5)).doze(60_000)

    await until(stranger, f"not exists (select {BACKENDS} and wait_event = 'PgSleep')")


async def test_slow_methods_leave_half_of_the_connections_to_the_others(own_url, base_settings, stranger):
    async with serving(own_url, base_settings, pool_size=POOL, acquire_s=1, lock_s=60) as worker:
        patient, accounts = AsyncPatient(worker.client.with_options(timeout_s=60)), AsyncAccounts(worker.client)
        async with locked(stranger):
            slow = [asyncio.ensure_future(call()) for call in (patient.stay, patient.linger) for _ in range(32)]
            await until(stranger, f"{POOL // 2} = (select count(*) {BACKENDS} and wait_event = 'advisory')")
            quick = [await accounts.get_account("a-1") for _ in range(20)]
            async with asyncio.timeout(30):
                while sum(call.done() for call in slow) < len(slow) - POOL // 2:
                    await asyncio.sleep(0.02)
        answers = await asyncio.gather(*slow, return_exceptions=True)

        assert len(quick) == 20
        assert answers.count(1) == POOL // 2
        refused = [answer for answer in answers if answer != 1]
        assert {type(answer) for answer in refused} == {Unavailable}
        assert "that slow methods may take" in refused[0].message
        await every_place_is_free(worker.database, POOL)


class Watch:
    """What the circuit is told."""

    def __init__(self) -> None:
        self.told: list[tuple[type[BaseException], bool]] = []

    def worked(self) -> None: ...

    def failed(self, error: BaseException, *, lost: bool) -> None:
        self.told.append((type(error), lost))


async def test_who_waits_while_no_connection_at_all_comes_back_tells_the_circuit(own_url, base_settings):
    async with serving(own_url, base_settings, **HASTY) as worker, contextlib.AsyncExitStack() as held:
        watch = worker.database.observer = Watch()
        for _ in range(POOL):
            await held.enter_async_context(worker.database.connection(5))
        with pytest.raises(Unavailable, match="came free"):
            await held.enter_async_context(worker.database.connection(5))

        assert watch.told == [(ConnectionError, True)]


async def test_who_had_no_time_to_wait_or_waits_for_slow_methods_alone_tells_nothing(own_url, base_settings):
    async with serving(own_url, base_settings, **HASTY) as worker, contextlib.AsyncExitStack() as held:
        watch = worker.database.observer = Watch()
        for _ in range(POOL // 2):
            await held.enter_async_context(worker.database.connection(5, slow="nap"))
        with pytest.raises(Unavailable, match="slow methods"):
            await held.enter_async_context(worker.database.connection(5, slow="nap"))
        for _ in range(POOL - POOL // 2):
            await held.enter_async_context(worker.database.connection(5))
        with pytest.raises(Unavailable, match="came free"):
            await held.enter_async_context(worker.database.connection(0.01))

        assert watch.told == []


async def test_a_call_whose_own_time_runs_out_in_its_transaction_tells_of_no_loss(own_url, base_settings):
    async with serving(own_url, base_settings, **HASTY) as worker:
        watch = worker.database.observer = Watch()
        with pytest.raises(TimeoutError):
            async with (
                worker.database.connection(5) as connection,
                transaction_of(connection, time.time() + 5),
                asyncio.timeout(0.1),
            ):
                await connection.execute("select pg_sleep(5)")

        assert watch.told == [(TimeoutError, False)]


async def test_a_connection_that_expires_at_work_is_done_with_afterwards(on_own):
    async with on_own.database.connection(1) as connection:
        on_own.database.expire()
        assert await connection.fetchval("select 1") == 1

    assert connection.is_closed()


async def test_both_ends_of_a_connection_notice_when_the_other_is_gone(on_own, base_settings):
    async with on_own.database.connection(1) as connection:
        settings = [
            await connection.fetchval(f"show {name}")
            for name in (
                "client_connection_check_interval",
                "tcp_keepalives_idle",
                "idle_in_transaction_session_timeout",
            )
        ]
        link = connection._transport.get_extra_info("socket")
        waits_ms = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)

    assert settings == ["1s", "30", "10s"]
    assert waits_ms == 5000


@pytest.mark.heavy
async def test_a_transaction_that_its_worker_forgets_is_ended_and_its_place_is_free_again(own_url, base_settings):
    async with serving(own_url, base_settings, pool_size=1) as worker:

        async def forget() -> None:
            async with worker.database.connection(1) as connection, connection.transaction():
                async with asyncio.timeout(30):
                    while not connection.is_closed():
                        await asyncio.sleep(0.1)
                await connection.execute("select 1")

        with pytest.raises(ConnectionError, match="was lost"):
            await forget()

        await every_place_is_free(worker.database, 1)
