"""Databases made and dropped by their exact names."""

from __future__ import annotations

import secrets

import asyncpg
import pytest

from tests.servers.given import (
    Ours,
    exists,
    value,
)
from worker.servers import (
    create_database,
    drop_database,
)

pytestmark = pytest.mark.timeout(300)  # starting RabbitMQ can take a minute on a slow machine


@pytest.mark.parametrize("name", ["plain", 'We"ird näme/with? #signs', "drop;--"])
async def test_a_database_is_created_reached_and_dropped_by_its_exact_name(name: str, ours: Ours) -> None:
    name = f"{name}{secrets.token_hex(4)}"

    url = await create_database(ours.servers.postgres_url, name)
    current = await value(url, "select current_database()")
    await drop_database(ours.servers.postgres_url, name)

    assert current == name
    assert not await exists(ours.servers.postgres_url, name)


async def test_a_database_copies_its_template(ours: Ours) -> None:
    template, copy = f"t{secrets.token_hex(4)}", f"c{secrets.token_hex(4)}"
    template_url = await create_database(ours.servers.postgres_url, template)
    await value(template_url, "create table notes as select 42 as answer")

    url = await create_database(ours.servers.postgres_url, copy, template=template)

    assert await value(url, "select answer from notes") == 42
    await drop_database(ours.servers.postgres_url, copy)
    await drop_database(ours.servers.postgres_url, template)


async def test_a_database_in_use_is_dropped_and_a_missing_one_is_no_error(ours: Ours) -> None:
    name = f"used{secrets.token_hex(4)}"
    url = await create_database(ours.servers.postgres_url, name)
    user = await asyncpg.connect(url)

    await drop_database(ours.servers.postgres_url, name)
    await drop_database(ours.servers.postgres_url, name)

    assert not await exists(ours.servers.postgres_url, name)
    user.terminate()


@pytest.mark.parametrize("name", ["", "x" * 64])
async def test_a_name_postgresql_would_change_is_refused(name: str, ours: Ours) -> None:
    with pytest.raises(ValueError, match="1 to 63 bytes"):
        await create_database(ours.servers.postgres_url, name)
    with pytest.raises(ValueError, match="1 to 63 bytes"):
        await drop_database(ours.servers.postgres_url, name)


# What the tests need
