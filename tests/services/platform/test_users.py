"""create_user, and what is known of a user."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rpc_client.contract.platform import AsyncPlatform, NotificationType, UserEmailVerification
from rpc_client.errors import Conflict, InvalidRequest, NotFoundError

SAID = "insert into platform.notification_preferences values ('owner', true, false, true, false, $1)"


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


async def test_an_address_is_that_of_the_user_and_none_of_nobody(platform: AsyncPlatform, owner, stranger):
    assert await platform.get_user_email_by_id(owner) == "owner@example.org"
    assert await platform.get_user_email_by_id(stranger) == "stranger@example.org"
    assert await platform.get_user_email_by_id("nobody") is None


async def test_an_address_is_taken_for_verified_until_the_database_says_otherwise(
    platform: AsyncPlatform, sql, owner, stranger
):
    await sql.execute("update platform.users set email_verified = false where id = $1", stranger)

    found = [await platform.get_user_email_verification(user_id) for user_id in (owner, stranger)]

    assert found == [
        UserEmailVerification(user_id="owner", email="owner@example.org", verified=True),
        UserEmailVerification(user_id="stranger", email="stranger@example.org", verified=False),
    ]


async def test_who_never_said_what_they_want_is_told_of_everything_and_nothing_is_stored(
    platform: AsyncPlatform, sql, owner
):
    found = await platform.get_user_notification_preference(owner)

    assert (found.user_id, found.email) == ("owner", "owner@example.org")
    assert found.preferences == dict.fromkeys(NotificationType, True)
    assert (found.daily_limit, found.emails_sent_today) == (3, 0)
    assert await sql.fetchval("select count(*) from platform.notification_preferences") == 0


async def test_the_count_of_a_day_begins_at_midnight_in_utc(platform: AsyncPlatform, owner):
    before = datetime.now(UTC)

    found = await platform.get_user_notification_preference(owner)

    begun = found.last_reset_date
    assert (begun.hour, begun.minute, begun.second, begun.microsecond, begun.tzinfo) == (0, 0, 0, 0, UTC)
    assert before - timedelta(days=1) < begun <= datetime.now(UTC)


@pytest.mark.parametrize("limit", [0, 7])
async def test_what_was_stored_is_answered_as_it_stands_though_it_is_false_or_nothing(
    platform: AsyncPlatform, sql, owner, stranger, limit
):
    await sql.execute(SAID, limit)

    found = await platform.get_user_notification_preference(owner)
    others = await platform.get_user_notification_preference(stranger)

    assert found.daily_limit == limit
    assert found.preferences == {
        NotificationType.SYSTEM: True,
        NotificationType.REVIEW: False,
        NotificationType.EXECUTION: True,
        NotificationType.MARKETING: False,
    }
    assert others.preferences == dict.fromkeys(NotificationType, True)


@pytest.mark.parametrize("name", ["get_user_email_verification", "get_user_notification_preference"])
async def test_of_an_unknown_user_nothing_is_known(platform: AsyncPlatform, name):
    with pytest.raises(NotFoundError, match="user_id"):
        await getattr(platform, name)("nobody")


@pytest.mark.parametrize(
    "name", ["get_user_email_by_id", "get_user_email_verification", "get_user_notification_preference"]
)
async def test_what_cannot_be_an_id_is_refused(platform: AsyncPlatform, name):
    with pytest.raises(InvalidRequest) as refused:
        await getattr(platform, name)("")

    assert refused.value.details["argument"] == "user_id"
