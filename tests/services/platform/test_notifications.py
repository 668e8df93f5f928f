"""Batches of notifications: add, empty, list, read, read the oldest."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from rpc_client.contract.platform import AsyncPlatform, NotificationEvent, NotificationType
from rpc_client.errors import InvalidRequest, NotFoundError, ResultTooLarge
from tests.services.platform.given import waiting

SYSTEM, EXECUTION = NotificationType.SYSTEM, NotificationType.EXECUTION
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def event(user_id: str, number: int = 0, type_: NotificationType = EXECUTION, **fields: object) -> NotificationEvent:
    made = {"created_at": NOON + timedelta(minutes=number), "data": {"number": number}}
    return NotificationEvent(**{"type": type_, "user_id": user_id, **made, **fields})


@pytest.fixture
def add(platform: AsyncPlatform):
    """Add a notification as it says itself."""

    def add(event: NotificationEvent):
        return platform.create_or_add_to_user_notification_batch(event.user_id, event.type, event)

    return add


@pytest.fixture
async def batch(add, owner, events) -> list[NotificationEvent]:
    """Three notifications that wait for the owner; how they came is forgotten."""
    sent = [event(owner, number) for number in (2, 0, 1)]
    for one in sent:
        await add(one)
    events.clear()
    return sent


async def everybody(sql, first: int, last: int) -> None:
    """Let a batch wait for each of so many users, who are called by these numbers."""
    await sql.execute(
        "insert into platform.users select n, n || '@example.org' from generate_series($1::int, $2) as n", first, last
    )
    await sql.execute("insert into platform.notification_batches select id, 'SYSTEM' from platform.users")


async def much(sql, user_id: str, notifications: int) -> None:
    """Let that many more notifications wait for this user."""
    await sql.execute(
        "insert into platform.notifications (user_id, type, created_at, data)"
        " select $1, 'EXECUTION', '2026-01-01Z', jsonb_build_object('n', n) from generate_series(1, $2) as n",
        user_id,
        notifications,
    )


async def test_the_first_notification_begins_a_batch_and_the_next_join_it(platform: AsyncPlatform, add, owner):
    first = await add(event(owner, 0))
    second = await add(event(owner, 1))

    found = await platform.get_user_notification_batch(owner, EXECUTION)
    assert (first.user_id, first.type, first.notifications) == (owner, EXECUTION, [])
    assert (second.notifications, second.created_at) == ([], first.created_at)
    assert first.created_at <= first.updated_at < second.updated_at
    assert found == second.model_copy(update={"notifications": [event(owner, 0), event(owner, 1)]})


async def test_an_added_notification_is_told_of_without_its_data(add, owner, events):
    events.clear()

    await add(event(owner))

    (told,) = events
    assert (told.type, told.aggregate, told.aggregate_id) == ("NotificationAdded", "notification_batch", owner)
    assert told.data == {"type": "EXECUTION"}


async def test_every_type_has_a_batch_of_its_own(platform: AsyncPlatform, add, owner):
    for number, type_ in enumerate(NotificationType):
        await add(event(owner, number, type_))

    found = [await platform.get_user_notification_batch(owner, type_) for type_ in NotificationType]
    assert [(one.type, one.notifications) for one in found] == [
        (type_, [event(owner, number, type_)]) for number, type_ in enumerate(NotificationType)
    ]


async def test_notifications_come_in_the_order_of_their_arrival_whatever_times_they_tell(
    platform: AsyncPlatform, owner, batch
):
    assert (await platform.get_user_notification_batch(owner, EXECUTION)).notifications == batch
    assert await platform.get_user_notification_oldest_message_in_batch(owner, EXECUTION) == batch[0]


async def test_a_naive_time_is_taken_as_utc(platform: AsyncPlatform, add, owner):
    await add(event(owner, created_at=NOON.replace(tzinfo=None)))

    assert (await platform.get_user_notification_oldest_message_in_batch(owner, EXECUTION)).created_at == NOON


@pytest.mark.parametrize("known", ["owner", "nobody"])
async def test_where_there_is_no_batch_nothing_is_read(platform: AsyncPlatform, owner, known):
    assert await platform.get_user_notification_batch(known, SYSTEM) is None
    assert await platform.get_user_notification_oldest_message_in_batch(known, SYSTEM) is None
    assert await platform.get_user_notifications_page(known, SYSTEM) == ([], None)
    assert await platform.get_all_batches_by_type(SYSTEM) == []


async def test_a_notification_for_an_unknown_user_is_refused(add, sql, events):
    with pytest.raises(NotFoundError, match="there is no user 'nobody'") as refused:
        await add(event("nobody"))

    assert refused.value.details == {"user_id": "nobody"}
    assert await sql.fetchval("select count(*) from platform.notification_batches") == 0
    assert events == []


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"user_id": "stranger"}, "its user_id is 'stranger', the call's is 'owner'"),
        ({"type": SYSTEM}, "its type is 'SYSTEM', the call's is 'EXECUTION'"),
    ],
)
async def test_a_notification_that_is_not_meant_for_the_batch_is_refused(
    platform: AsyncPlatform, owner, stranger, events, fields, complaint
):
    events.clear()

    with pytest.raises(InvalidRequest, match=complaint) as refused:
        await platform.create_or_add_to_user_notification_batch(owner, EXECUTION, event(**{"user_id": owner, **fields}))

    assert refused.value.details["argument"] == "notification_data"
    assert await platform.get_user_notification_batch(owner, EXECUTION) is None
    assert events == []


async def test_data_that_the_database_cannot_store_is_refused_by_name(add, owner):
    with pytest.raises(InvalidRequest, match=r"argument 'notification_data': text in it holds U\+0000"):
        await add(event(owner, data={"text": "a\0b"}))


async def test_a_type_that_is_none_is_refused(platform: AsyncPlatform, owner):
    with pytest.raises(InvalidRequest, match="notification_type"):
        await platform.empty_user_notification_batch(owner, "AGENT_RUN")  # type: ignore[arg-type]


async def test_ten_first_notifications_at_once_make_one_batch_of_ten(platform: AsyncPlatform, add, owner, events, sql):
    events.clear()

    await asyncio.gather(*(add(event(owner, number)) for number in range(10)))

    (found,) = await platform.get_all_batches_by_type(EXECUTION)
    kept = (await platform.get_user_notification_batch(owner, EXECUTION)).notifications
    assert sorted(one.data["number"] for one in kept) == list(range(10))
    assert await sql.fetchval("select count(*) from platform.notification_batches") == 1
    assert (found.user_id, [one.type for one in events]) == (owner, ["NotificationAdded"] * 10)


async def test_an_emptied_batch_is_gone_with_its_notifications(platform: AsyncPlatform, owner, batch, sql, events):
    await platform.empty_user_notification_batch(owner, EXECUTION)

    assert await platform.get_user_notification_batch(owner, EXECUTION) is None
    assert await platform.get_user_notification_oldest_message_in_batch(owner, EXECUTION) is None
    assert await platform.get_all_batches_by_type(EXECUTION) == []
    assert await sql.fetchval("select count(*) from platform.notifications") == 0
    (told,) = events
    assert (told.type, told.aggregate, told.aggregate_id) == ("NotificationBatchEmptied", "notification_batch", owner)
    assert told.data == {"type": "EXECUTION"}


@pytest.mark.usefixtures("batch")
async def test_emptying_touches_no_other_batch(platform: AsyncPlatform, add, owner, stranger):
    await add(event(owner, 7, SYSTEM))
    await add(event(stranger, 8))

    await platform.empty_user_notification_batch(owner, EXECUTION)

    assert (await platform.get_user_notification_batch(owner, SYSTEM)).notifications == [event(owner, 7, SYSTEM)]
    assert (await platform.get_user_notification_batch(stranger, EXECUTION)).notifications == [event(stranger, 8)]


@pytest.mark.parametrize("user_id", ["owner", "nobody"])
async def test_emptying_what_is_not_there_changes_and_tells_nothing(platform: AsyncPlatform, owner, events, user_id):
    events.clear()

    await platform.empty_user_notification_batch(user_id, SYSTEM)

    assert events == []


async def test_a_batch_begins_anew_after_it_was_emptied(platform: AsyncPlatform, add, owner, batch):
    before = await platform.get_user_notification_batch(owner, EXECUTION)
    await platform.empty_user_notification_batch(owner, EXECUTION)

    after = await add(event(owner, 9))

    assert after.created_at > before.updated_at
    assert (await platform.get_user_notification_batch(owner, EXECUTION)).notifications == [event(owner, 9)]


@pytest.mark.usefixtures("batch")
async def test_what_joins_a_batch_that_is_being_emptied_goes_with_it(platform: AsyncPlatform, owner, sql):
    async with sql.transaction():
        await sql.execute("update platform.notification_batches set updated_at = clock_timestamp()")
        await much(sql, owner, 1)
        emptied = asyncio.ensure_future(platform.empty_user_notification_batch(owner, EXECUTION))
        await waiting(sql, 1)
    await emptied

    assert await platform.get_user_notification_batch(owner, EXECUTION) is None
    assert await sql.fetchval("select count(*) from platform.notifications") == 0


@pytest.mark.usefixtures("batch")
async def test_what_comes_while_a_batch_goes_begins_the_next(platform: AsyncPlatform, add, owner, sql):
    async with sql.transaction():
        await sql.execute("delete from platform.notification_batches")
        added = asyncio.ensure_future(add(event(owner, 9)))
        await waiting(sql, 1)
    await added

    assert (await platform.get_user_notification_batch(owner, EXECUTION)).notifications == [event(owner, 9)]


async def test_batches_of_a_type_are_everybodys_by_user_without_their_notifications(
    platform: AsyncPlatform, add, owner, stranger
):
    for one in (event(stranger), event(owner), event(owner, 1), event(owner, 2, SYSTEM)):
        await add(one)

    found = await platform.get_all_batches_by_type(EXECUTION)

    assert [(one.user_id, one.type, one.notifications) for one in found] == [
        ("owner", EXECUTION, []),
        ("stranger", EXECUTION, []),
    ]


async def test_batches_are_read_page_by_page_while_others_begin_and_end(platform: AsyncPlatform, add, sql):
    await everybody(sql, 10, 17)

    first, cursor = await platform.get_all_batches_by_type_page(SYSTEM, limit=3)
    for user_id in ("11", "12", "14"):
        await platform.empty_user_notification_batch(user_id, SYSTEM)
    await add(event("11", type_=SYSTEM))
    second, last = await platform.get_all_batches_by_type_page(SYSTEM, limit=4, cursor=cursor)

    assert [one.user_id for one in first] == ["10", "11", "12"]
    assert [one.user_id for one in second] == ["13", "15", "16", "17"]
    assert last is None


async def test_every_batch_is_listed_however_many_pages_they_fill(platform: AsyncPlatform, sql):
    await everybody(sql, 1, 1001)

    found = await platform.get_all_batches_by_type(SYSTEM)

    assert sorted(int(one.user_id) for one in found) == list(range(1, 1002))


async def test_a_batch_of_a_thousand_is_read_and_a_larger_one_in_pages(platform: AsyncPlatform, owner, batch, sql):
    await much(sql, owner, 997)
    whole = await platform.get_user_notification_batch(owner, EXECUTION)
    await much(sql, owner, 1)

    with pytest.raises(ResultTooLarge, match="get_user_notifications_page") as refused:
        await platform.get_user_notification_batch(owner, EXECUTION)
    first, cursor = await platform.get_user_notifications_page(owner, EXECUTION, limit=1000)
    rest, last = await platform.get_user_notifications_page(owner, EXECUTION, cursor=cursor)

    assert refused.value.details == {"limit": 1000, "use": "get_user_notifications_page"}
    assert first == whole.notifications
    assert (first[:3], len(first)) == (batch, 1000)
    assert ([one.data for one in rest], last) == ([{"n": 1}], None)


@pytest.mark.usefixtures("batch")
async def test_notifications_are_read_by_their_own_user_only(platform: AsyncPlatform, stranger):
    assert await platform.get_user_notification_batch(stranger, EXECUTION) is None
    assert await platform.get_user_notifications_page(stranger, EXECUTION) == ([], None)
    assert await platform.get_user_notification_oldest_message_in_batch(stranger, EXECUTION) is None


@pytest.mark.parametrize("limit", [0, 1001])
async def test_a_page_has_1_to_1000_entries(platform: AsyncPlatform, owner, limit):
    with pytest.raises(InvalidRequest, match="limit"):
        await platform.get_all_batches_by_type_page(SYSTEM, limit=limit)
    with pytest.raises(InvalidRequest, match="limit"):
        await platform.get_user_notifications_page(owner, SYSTEM, limit=limit)


@pytest.mark.parametrize("cursor", ["", "0", "-1", "x", "1" * 19])
async def test_a_cursor_that_no_page_gave_is_refused(platform: AsyncPlatform, owner, cursor):
    with pytest.raises(InvalidRequest, match="cursor"):
        await platform.get_user_notifications_page(owner, SYSTEM, cursor=cursor)
