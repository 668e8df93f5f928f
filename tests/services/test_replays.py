"""Dead letters are sent again, and each runs once: over the real broker, to a real worker that these tests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from signal import SIGCONT, SIGSTOP
from uuid import UUID, uuid4

import aio_pika
import asyncpg
import orjson
import pytest
from pydantic import SecretStr

from tests.acceptance.broker import connected_peer, take
from tests.conftest import FAMILIES, NAMED, RUN, connected
from tests.processes import WorkerProcess, workers
from tests.proxy import Proxy, proxied
from tests.services.desk_given import Account, lay, letter, work
from tests.services.fragile import family as fragile_family
from worker import topology
from worker.desk import Desk, DeskError, Filter, Report
from worker.receipts import heir_of
from worker.settings import WorkerSettings
from worker.testing import scratch_database

ALL = [*FAMILIES, fragile_family]
OLD = timedelta(days=30)


@pytest.fixture(scope="module")
async def settings(base_settings: WorkerSettings, servers, migrated: str) -> AsyncIterator[WorkerSettings]:
    async with scratch_database(servers.postgres_url, copy_of=migrated) as url:
        yield base_settings.model_copy(
            update={
                "postgres_url": SecretStr(url),
                "prefix": f"rowcall-test-{RUN}-{uuid4().hex[:8]}",
                "families": [*NAMED, "tests.services.fragile:family"],
            }
        )


@pytest.fixture(scope="module")
async def worker(settings: WorkerSettings, tmp_path_factory) -> AsyncIterator[WorkerProcess]:
    async with workers(settings, tmp_path_factory.mktemp("replays")) as start:
        yield await start()


@pytest.fixture(scope="module")
async def desk(settings: WorkerSettings, worker) -> AsyncIterator[Desk]:
    async with Desk(settings, families=ALL, actor="ops@here") as desk:
        yield desk


@pytest.fixture
async def sql(settings: WorkerSettings, worker) -> AsyncIterator[asyncpg.Connection]:
    async with connected(settings.postgres_url.get_secret_value()) as connection:
        await connection.execute("delete from fragile.bugs")
        yield connection


@pytest.fixture
async def account(sql: asyncpg.Connection) -> Account:
    name = uuid4().hex
    await sql.execute("insert into accounts.accounts (account_id, owner, balance) values ($1, 'me', 0)", name)
    return Account(name, sql)


@pytest.fixture
async def bug(sql: asyncpg.Connection) -> str:
    await sql.execute("insert into fragile.bugs (kind) values ('divide')")
    return "divide"


async def states(desk: Desk, numbers: Sequence[int]) -> list[tuple[str, str | None]]:
    found = await desk.list(Filter(numbers=numbers), limit=len(numbers))
    return [(letter.state, letter.outcome) for letter in reversed(found)]


async def test_a_mended_bug_s_letters_run_once_however_often_they_are_replayed(desk, settings, account, sql):
    numbers = await lay(settings, *(account.deposit(n) for n in (1, 2, 4)))

    first = await desk.replay(Filter(numbers=numbers))
    await sql.execute("update rowcall.dead_letters set state = 'open', outcome = null where number = any($1)", numbers)
    again = await desk.replay(Filter(numbers=numbers))

    assert (first.outcomes, again.actions) == ({"done": 3}, {"done": 3})
    assert await states(desk, numbers) == [("resolved", "done")] * 3
    assert await account.balance() == 7


async def test_what_a_replay_came_to_is_on_the_letter(desk, settings, account, bug):
    numbers = await lay(settings, account.deposit(), account.withdraw(500), work(bug))

    report = await desk.replay(Filter(numbers=numbers))

    assert await states(desk, numbers) == [
        ("resolved", "done"),
        ("resolved", "InsufficientCredits"),
        ("open", "InternalError"),
    ]
    assert (report.failures, report.outcomes) == (1, {"done": 1, "InsufficientCredits": 1, "InternalError": 1})
    assert [deed.action for deed in (await desk.show(numbers[0])).deeds] == ["replay"]


async def test_a_replay_is_the_call_of_who_called_and_not_of_who_replays(desk, settings, account, sql):
    kept = account.deposit(caller="ada")

    await desk.replay(Filter(numbers=await lay(settings, kept)))

    assert await sql.fetchval("select caller from rowcall.receipts where id = $1", UUID(kept.id)) == "ada"


async def test_who_is_no_operator_replays_nothing_of_others_over_the_wire(settings, account):
    kept = account.deposit(caller="ada")
    async with connected_peer(settings) as peer:  # which does not say who it is
        await peer.send(kept.body, kept.routing_key, headers={"x-rowcall-caller": "ada"})
        refused = orjson.loads((await peer.reply()).body)
        await peer.send(kept.body, kept.routing_key, headers={"x-rowcall-deadline": "tomorrow"})
        nonsense = orjson.loads((await peer.reply()).body)

    assert (refused["error"], refused["details"]) == ("AuthorizationError", {"reason": "operator"})
    assert (nonsense["error"], nonsense["details"]) == ("InvalidRequest", {"reason": "headers"})
    assert await account.balance() == 0


async def test_a_letter_older_than_receipts_are_kept_runs_once_under_an_id_of_its_own(desk, settings, account, sql):
    ancient = account.deposit(3, request_id=UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), age=OLD)
    body = orjson.dumps({"method": "accounts.deposit", "args": orjson.loads(account.deposit(5).body)["args"]})
    without_id = account.deposit(5, request_id=uuid4(), age=OLD, body=body)
    numbers = await lay(settings, ancient, without_id)

    first = await desk.replay(Filter(numbers=numbers))
    noted = [found.replay_id for found in await desk.list(Filter(numbers=numbers))]
    await sql.execute("update rowcall.dead_letters set state = 'replaying' where number = any($1)", numbers)
    await desk.replay(Filter(numbers=numbers))

    assert first.outcomes == {"done": 2}
    assert None not in noted
    assert [found.replay_id for found in await desk.list(Filter(numbers=numbers))] == noted
    assert await account.balance() == 8
    # A worker would still take this one's own id, should its caller send it again.
    fenced = await sql.fetchval("select outcome from rowcall.receipts where id = $1", UUID(without_id.id))
    assert heir_of(fenced) in {str(replay_id) for replay_id in noted}


async def test_what_fails_again_under_another_id_is_the_same_letter_still(desk, settings, bug, sql):
    arguments = {"key": uuid4().hex, "kind": bug}
    body = orjson.dumps({"method": "fragile.work", "args": arguments})
    (number,) = await lay(settings, letter("fragile.work", arguments, request_id=uuid4(), age=OLD, body=body))

    await desk.replay(Filter(numbers=[number]))
    while await sql.fetchval("select attempts from rowcall.dead_letters where number = $1", number) < 2:
        await asyncio.sleep(0.02)  # until the worker has moved its new dead letter

    (found,) = await desk.list(Filter(text=arguments["key"]))
    assert (found.number, found.state, found.replays) == (number, "open", 1)
    assert (await desk.show(number)).call["args"] == arguments


async def test_a_loop_is_stopped(desk, settings, bug):
    numbers = await lay(settings, work(bug))

    reports = [await desk.replay(Filter(numbers=numbers)) for _ in range(settings.max_replays + 1)]

    assert [report.failures for report in reports] == [1] * settings.max_replays + [0]
    assert reports[-1].actions == {"too often": 1}


async def test_a_canary_that_fails_stops_the_rest(desk, settings, account, bug):
    numbers = await lay(settings, account.deposit(), work(bug), *(account.deposit() for _ in range(8)))

    report = await desk.replay(Filter(numbers=numbers), canary=2)

    assert report.stopped == "1 of the first 2 failed"
    assert (len(report.steps), report.left) == (2, 8)
    assert await account.balance() == 1


async def test_too_many_failures_stop_a_replay_and_business_errors_are_none(desk, settings, bug):
    numbers = await lay(settings, *(work("refused") for _ in range(40)), *(work(bug) for _ in range(80)))

    report = await desk.replay(Filter(numbers=numbers), stop_on_failures=0.2)

    assert report.outcomes["Conflict"] == 40
    assert "failed, more than 20%" in report.stopped
    assert report.left > 0


async def test_no_more_are_sent_than_the_rate_allows(desk, settings, account, sql):
    numbers = await lay(settings, *(account.deposit() for _ in range(9)))

    await desk.replay(Filter(numbers=numbers), rate=20, canary=3)

    sent = await sql.fetchval(
        "select max(replayed_at) - min(replayed_at) from rowcall.dead_letters where number = any($1)", numbers
    )
    assert sent > timedelta(seconds=7 / 20)


async def test_two_replayers_at_once_do_not_double_anything(desk, settings, account):
    numbers = await lay(settings, *(account.deposit(request_id=uuid4(), age=OLD) for _ in range(30)))

    await asyncio.gather(desk.replay(Filter(numbers=numbers)), desk.replay(Filter(numbers=numbers)))

    assert await account.balance() == 30
    assert await states(desk, numbers) == [("resolved", "done")] * 30


async def test_a_letter_nobody_answers_stays_replaying_and_is_taken_up_again(desk, settings, account, worker):
    numbers = await lay(settings, account.deposit(3))
    worker.process.send_signal(SIGSTOP)
    try:
        unheard = await desk.replay(Filter(numbers=numbers), timeout_s=0.05)
        between = await states(desk, numbers)
    finally:
        worker.process.send_signal(SIGCONT)

    heard = await desk.replay(Filter(numbers=numbers))

    assert (unheard.outcomes, between, heard.outcomes) == ({"unheard": 1}, [("replaying", None)], {"done": 1})
    assert await account.balance() == 3


async def replay_until_cut(through: WorkerSettings, proxy: Proxy, desk: Desk, numbers: Sequence[int]) -> Report:
    """Replay over this proxy, and cut it once as many are on their way as may be."""
    async with Desk(through, families=ALL) as far:
        running = asyncio.create_task(far.replay(Filter(numbers=numbers)))
        while (await states(desk, numbers)).count(("replaying", None)) < 32:
            await asyncio.sleep(0.02)
        proxy.cut()
        return await running


async def test_a_lost_connection_ends_a_replay_and_the_next_takes_it_up(desk, settings, account, worker):
    numbers = await lay(settings, *(account.deposit() for _ in range(40)))
    worker.process.send_signal(SIGSTOP)
    try:
        async with proxied(settings.amqp_urls[0]) as (proxy, url):
            through = settings.model_copy(update={"amqp_url": SecretStr(url)})
            cut = await replay_until_cut(through, proxy, desk, numbers)
    finally:
        worker.process.send_signal(SIGCONT)

    await desk.replay(Filter(numbers=numbers))

    assert cut.stopped == "the connection to RabbitMQ was lost; replay them again"
    assert (cut.outcomes, cut.left) == ({"unheard": 32}, 8)
    assert await states(desk, numbers) == [("resolved", "done")] * 40
    assert await account.balance() == 40


@pytest.fixture
async def unserved(settings: WorkerSettings) -> AsyncIterator[WorkerSettings]:
    """A prefix whose queues are there and of which no worker takes anything."""
    other = settings.model_copy(update={"prefix": f"{settings.prefix}-unserved"})
    connection = await aio_pika.connect(other.amqp_urls[0])
    async with connection:
        await topology.declare(connection, other)
    yield other
    await topology.delete(other)


async def test_a_prefix_nobody_has_served_is_told_so(settings):
    async with Desk(settings.model_copy(update={"prefix": f"{settings.prefix}-new"}), families=ALL) as desk:
        with pytest.raises(DeskError, match="no worker has ever served under this prefix; start one: rowcall worker"):
            await desk.replay(Filter())


async def test_a_queue_that_is_gone_ends_a_replay_and_is_named(unserved, account):
    async with connected_peer(unserved) as peer:
        await peer.channel.queue_delete(peer.names.queue("write"))
    numbers = await lay(unserved, *(account.deposit() for _ in range(3)))

    async with Desk(unserved, families=ALL) as desk:
        report = await desk.replay(Filter(numbers=numbers), canary=1)

    assert f"no queue {unserved.prefix}.write takes it" in report.stopped
    assert (len(report.steps), report.left) == (1, 2)


async def test_who_turns_out_to_be_no_operator_replays_no_further(unserved, account):
    numbers = await lay(unserved, *(account.deposit(caller="ada") for _ in range(3)))
    refusal = {"id": None, "error": "AuthorizationError", "message": "no", "details": {"reason": "operator"}}
    async with connected_peer(unserved) as peer, Desk(unserved, families=ALL) as desk:
        running = asyncio.create_task(desk.replay(Filter(numbers=numbers), canary=1))
        # The peer stands for a worker to whom the desk's user is nobody.
        asked = await take(await peer.channel.get_queue(peer.names.queue("write")))
        answer = aio_pika.Message(orjson.dumps(refusal), correlation_id=asked.correlation_id)
        await peer.channel.default_exchange.publish(answer, asked.reply_to)
        report = await running
        found = await states(desk, numbers)

    assert (report.stopped, report.left) == ("no", 2)
    assert asked.headers["x-rowcall-caller"] == "ada"
    assert {state for state, _ in found} == {"open"}
