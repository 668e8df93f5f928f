"""create_user."""

from __future__ import annotations

import pytest

from rpc_client.contract.platform import AsyncPlatform
from rpc_client.errors import Conflict, InvalidRequest


async def test_a_new_user_is_answered_as_stored(platform: AsyncPlatform, sql, events):
    user = await platform.create_user("u-1", "ann@example.org", "Ann")

    assert (user.id, user.email, user.name) == ("u-1", "ann@example.org", "Ann")
    assert user.created_at == await sql.fetchval("select created_at from platform.users where id = 'u-1'")
    assert [(event.type, event.aggregate, event.aggregate_id) for event in events] == [("UserCreated", "user", "u-1")]


async def test_a_user_needs_no_name(platform: AsyncPlatform):
    user = await platform.create_user("u-1", "ann@example.org")

    assert user.name is None


@pytest.mark.parametrize(("user_id", "email"), [("u-1", "new@example.org"), ("u-2", "ann@example.org")])
async def test_a_taken_id_or_email_conflicts_and_changes_nothing(platform: AsyncPlatform, sql, events, user_id, email):
    await platform.create_user("u-1", "ann@example.org")
    events.clear()

    with pytest.raises(Conflict, match="taken; both must be new") as refused:
        await platform.create_user(user_id, email)

    assert refused.value.details == {"user_id": user_id, "email": email}
    assert await sql.fetchval("select count(*) from platform.users") == 1
    assert events == []


@pytest.mark.parametrize(("user_id", "email"), [("", "a@b"), ("x" * 201, "a@b"), ("u", "nobody"), ("u", "a b@c")])
async def test_bad_ids_and_addresses_are_refused(platform: AsyncPlatform, user_id, email):
    with pytest.raises(InvalidRequest):
        await platform.create_user(user_id, email)
