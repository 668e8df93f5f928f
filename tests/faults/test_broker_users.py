"""What the broker forbids: the permission is named, nobody else's calls suffer, and once granted it is used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from pydantic import SecretStr
from yarl import URL

from accounts import AsyncAccounts
from rpc_client import AsyncClient, AuthorizationError, NotFoundError, OutcomeUnknown
from tests.faults.given import Place, client_settings, ledger, place, until, until_said
from tests.own_servers import OwnServer
from tests.processes import workers
from tests.proxy import proxied

ALL = ".*"


@pytest.fixture
async def there(own_rabbitmq: OwnServer, settings, tmp_path) -> AsyncIterator[Place]:
    async with place(settings, tmp_path, own_rabbitmq.url) as there:
        yield there


@pytest.fixture
async def user(own_rabbitmq: OwnServer) -> AsyncIterator[str]:
    """A user of the broker's who may do everything, until a test says else. The password is the name."""
    name = f"user-{uuid4().hex[:8]}"
    await own_rabbitmq.control("add_user", name, name)
    await own_rabbitmq.control("set_permissions", name, ALL, ALL, ALL)
    yield name
    await own_rabbitmq.control("delete_user", name)


def url_of(broker: OwnServer, user: str) -> str:
    return str(URL(broker.url).with_user(user).with_password(user))


@pytest.mark.heavy
async def test_a_method_that_the_broker_forbids_fails_at_once_and_alone(
    own_rabbitmq: OwnServer, there: Place, user: str, sql
):
    exchange, reads = f"{there.settings.prefix}.requests", "^read[.].*"
    await own_rabbitmq.control("set_topic_permissions", user, exchange, reads, ALL)
    async with AsyncClient(client_settings(there.settings, url_of(own_rabbitmq, user), timeout_s=30)) as client:
        accounts = AsyncAccounts(client)
        assert (await accounts.get_account("a-1")).balance == 0
        calls = [asyncio.ensure_future(accounts.get_account("a-1")) for _ in range(100)]

        with pytest.raises(AuthorizationError, match=r"may not be sent; it did not run.*write\.accounts\.deposit"):
            await accounts.deposit("a-1", 1)

        assert [found.balance for found in await asyncio.gather(*calls)] == [0] * 100
    assert await sql.fetchval("select count(*) from accounts.entries") == 0


@pytest.mark.heavy
async def test_a_client_needs_no_more_permissions_than_the_documents_say(
    own_rabbitmq: OwnServer, there: Place, user: str
):
    prefix = there.settings.prefix
    replies, requests = rf"^{prefix}\.replies\.", rf"^{prefix}\.requests$"
    methods = r"^(write\.accounts\.deposit|read\.rowcall\.(outcome|server_info))$"
    await own_rabbitmq.control("set_permissions", user, replies, requests, replies)
    await own_rabbitmq.control("set_topic_permissions", user, f"{prefix}.requests", methods, "^$")
    async with AsyncClient(client_settings(there.settings, url_of(own_rabbitmq, user), timeout_s=30)) as client:
        accounts = AsyncAccounts(client)
        with pytest.raises(NotFoundError) as absent:
            await accounts.deposit("a-2", 1)

        assert (await client.outcome(str(absent.value.request_id))).state == "failed"
        assert "accounts" in (await client.server_info()).families
        with pytest.raises(AuthorizationError, match=r"read\.accounts\.get_account"):
            await accounts.get_account("a-1")


@pytest.mark.heavy
async def test_a_worker_that_may_not_reply_names_the_permission_and_takes_nothing_until_it_is_granted(
    own_rabbitmq: OwnServer, there: Place, user: str, tmp_path
):
    await there.worker.stop()
    await own_rabbitmq.control("set_permissions", user, ALL, f"^{there.settings.prefix}[.].*", ALL)
    settings = there.settings.model_copy(update={"amqp_url": SecretStr(url_of(own_rabbitmq, user))})
    folder = tmp_path / "restricted"
    folder.mkdir()
    async with workers(settings, folder) as start:
        starting = asyncio.ensure_future(start())
        call = asyncio.ensure_future(there.accounts.deposit("a-1", 1))
        log = folder / "worker-0.log"
        async with asyncio.timeout(30):
            while not (log.exists() and "exchange 'amq.default'" in log.read_text()):
                await asyncio.sleep(0.05)
        assert "consuming" not in log.read_text()
        await own_rabbitmq.control("set_permissions", user, ALL, ALL, ALL)

        await starting
        assert await call == 1


@pytest.mark.heavy
async def test_a_message_that_the_broker_holds_to_be_forged_goes_by_another_address(
    own_rabbitmq: OwnServer, there: Place, user: str, sql
):
    async with proxied(own_rabbitmq.url) as (proxy, url):
        proxy.refuse(1)
        addresses = f"{url},{url_of(own_rabbitmq, user)}"  # what a client sends bears the name of the first user
        async with AsyncClient(client_settings(there.settings, addresses, timeout_s=30)) as client:
            calls = [asyncio.ensure_future(AsyncAccounts(client).deposit("a-1", 1)) for _ in range(100)]
            await until(lambda: "user_id property" in repr(client._transport._link.last_error))

            assert sorted(await asyncio.gather(*calls)) == list(range(1, 101))
    assert await ledger(sql) == (100, 100)


@pytest.mark.heavy
async def test_a_password_that_was_changed_is_named_at_the_deadline_and_calls_go_on_once_it_fits(
    own_rabbitmq: OwnServer, there: Place, user: str
):
    async with AsyncClient(client_settings(there.settings, url_of(own_rabbitmq, user))) as client:
        assert await AsyncAccounts(client).deposit("a-1", 1) == 1
        await own_rabbitmq.control("change_password", user, "another")
        await own_rabbitmq.control("close_all_connections", "rotated")
        await until(lambda: not client._transport._link.up.is_set())

        with pytest.raises(OutcomeUnknown, match=r"not connected.*ACCESS_REFUSED.*never left this client"):
            await AsyncAccounts(client.with_options(timeout_s=3)).deposit("a-1", 1)
        call = asyncio.ensure_future(AsyncAccounts(client.with_options(timeout_s=60)).deposit("a-1", 1))
        await own_rabbitmq.control("change_password", user, user)

        assert await call == 2
    await until_said(there.worker, "consuming", times=2)
