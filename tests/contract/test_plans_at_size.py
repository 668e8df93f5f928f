"""The platform's statements go to their rows among a million as they do among twenty thousand."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.contract.at_size import COUNTS, FIGURES, LARGEST, NAMES, PAGE, loaded_at_size, took
from tests.contract.plans import MODES
from tests.contract.test_plans import EXCEPTIONS
from worker.served import Served
from worker.servers import Servers

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
async def loaded(servers: Servers, migrated: str) -> AsyncIterator[asyncpg.Connection]:
    async with loaded_at_size(servers.postgres_url, copy_of=migrated) as connection:
        yield connection


async def test_there_are_as_many_rows_as_the_page_says(loaded: asyncpg.Connection):
    for table, count in COUNTS.items():
        assert await loaded.fetchval(f"select count(*) from platform.{table}") == count
    for (table, column, value), most in LARGEST.items():
        assert await loaded.fetchval(f"select count(*) from platform.{table} where {column} = $1", value) > most


@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name in NAMES for mode in MODES])
async def test_a_statement_walks_through_nothing_among_a_million(
    loaded: asyncpg.Connection, served: Served, name: str, mode: str
):
    figures = await took(loaded, served, name, mode)

    assert name in EXCEPTIONS or not figures.walked, figures


def test_the_page_tells_of_every_statement():
    (figures,) = FIGURES.findall(PAGE.read_text(encoding="utf-8"))

    assert [name for name in NAMES if f"`{name.removeprefix('platform.')}`" not in figures] == []
