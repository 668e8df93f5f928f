"""The built-in family: what a worker says of itself."""

from __future__ import annotations

import pytest

from rpc_client.contract import Service, read
from tests.conftest import FAMILIES
from tests.proxy import proxied
from worker.registry import Family, Registry, RegistryError
from worker.served import serve
from worker.testing import local_worker


async def test_a_worker_counts_its_methods_and_those_of_its_families(direct, served):
    info = await direct.server_info()

    assert info.methods == len(served.answers)
    assert info.families == [*(family.name for family in served.families), "rowcall"]


async def test_a_worker_answers_for_itself_while_its_database_is_away(settings, postgres_url):
    async with proxied(postgres_url) as (proxy, url), local_worker(url, FAMILIES, settings=settings) as local:
        proxy.refuse()

        assert await local.client.ping() > 0


def test_no_family_may_take_the_name(base_settings, tmp_path):
    class Taken(Service, name="rowcall"):
        @read
        async def ping(self) -> int: ...

    with pytest.raises(RegistryError, match="'rowcall' is every worker's own"):
        serve([Family(Registry(Taken), sql=tmp_path)], base_settings)
