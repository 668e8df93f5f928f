"""create_unsubscribe_token and unsubscribe_by_token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from pydantic import SecretStr

from rpc_client.contract.platform import AsyncPlatform, NotificationPreference, NotificationType
from rpc_client.errors import AuthorizationError, InvalidRequest, NotFoundError, Unavailable
from worker.keys import KeyRing, new_key
from worker.services.platform.users import PURPOSE, Permit
from worker.settings import WorkerSettings
from worker.testing import LocalWorker, local_worker
from worker.tokens import Tokens

KEY, OTHER = new_key(), new_key()
NOTHING = dict.fromkeys(NotificationType, False)
EVERYTHING = dict.fromkeys(NotificationType, True)


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    """With a key to make tokens with."""
    return settings.model_copy(update={"encryption_keys": SecretStr(KEY)})


def token(user_id: str = "owner", *, days: float = 1, key: str = KEY, purpose: str = PURPOSE) -> str:
    """What a worker with this key wrote, and how long it is still good."""
    permit = Permit(user_id=user_id, until=datetime.now(UTC) + timedelta(days=days))
    return Tokens(KeyRing([key]), purpose).write(permit.model_dump_json().encode())


def wants(preference: NotificationPreference) -> tuple[dict[NotificationType, bool], int]:
    return preference.preferences, preference.daily_limit


async def test_a_token_unsubscribes_its_user_from_everything_and_nobody_else(
    platform: AsyncPlatform, owner, stranger, events
):
    events.clear()

    answered = await platform.unsubscribe_by_token(await platform.create_unsubscribe_token(owner))

    assert wants(answered) == (NOTHING, 0)
    assert (answered.user_id, answered.email) == ("owner", "owner@example.org")
    assert wants(await platform.get_user_notification_preference(owner)) == (NOTHING, 0)
    assert wants(await platform.get_user_notification_preference(stranger)) == (EVERYTHING, 3)
    assert [(e.type, e.aggregate, e.aggregate_id, e.data) for e in events] == [("UserUnsubscribed", "user", owner, {})]


@pytest.mark.parametrize("said", ["true, false, false, false, 0", "false, false, false, false, 5"])
async def test_what_was_still_wanted_is_wanted_no_more(platform: AsyncPlatform, sql, owner, events, said):
    await sql.execute(f"insert into platform.notification_preferences values ('owner', {said})")
    events.clear()

    answered = await platform.unsubscribe_by_token(token())

    assert wants(answered) == (NOTHING, 0)
    assert [event.type for event in events] == ["UserUnsubscribed"]


async def test_a_token_may_be_brought_again_and_changes_nothing_then(platform: AsyncPlatform, owner, events):
    await platform.unsubscribe_by_token(token())
    events.clear()

    again = await platform.unsubscribe_by_token(token())

    assert wants(again) == (NOTHING, 0)
    assert events == []


async def test_ten_at_once_unsubscribe_once(platform: AsyncPlatform, owner, events):
    events.clear()

    answers = await asyncio.gather(*(platform.unsubscribe_by_token(token()) for _ in range(10)))

    assert [wants(answer) for answer in answers] == [(NOTHING, 0)] * 10
    assert [event.type for event in events] == ["UserUnsubscribed"]


async def test_a_token_made_now_is_good_for_ninety_days(platform: AsyncPlatform, sql, owner):
    before = await sql.fetchval("select clock_timestamp()")

    made = await platform.create_unsubscribe_token(owner)

    permit = Permit.model_validate_json(Tokens(KeyRing([KEY]), PURPOSE).read(made))
    assert permit.user_id == owner
    assert before < permit.until - timedelta(days=90) < await sql.fetchval("select clock_timestamp()")


BAD: dict[str, Callable[[], str]] = {
    "expired": lambda: token(days=-0.001),
    "of an unknown user": lambda: token("nobody"),
    "of another purpose": lambda: token(purpose="confirm"),
    "of another installation": lambda: token(key=OTHER),
    "tampered with": lambda: token()[:-1] + "!",
    "that says something else": lambda: Tokens(KeyRing([KEY]), PURPOSE).write(b"owner"),
    "sealed by the same ring": lambda: KeyRing([KEY]).seal(b"owner", place=PURPOSE).decode(),
    "in the clear": lambda: "clear:owner",
    "empty": lambda: "",
}


@pytest.mark.parametrize("name", BAD)
async def test_a_token_that_is_not_good_unsubscribes_nobody_and_is_not_told_of(
    platform: AsyncPlatform, local: LocalWorker, sql, owner, events, name
):
    bad = BAD[name]()
    events.clear()

    with structlog.testing.capture_logs() as logs, pytest.raises(AuthorizationError) as refused:
        await platform.unsubscribe_by_token(bad)

    assert refused.value.message == "this token unsubscribes nobody: it is not one of ours, or its time is over"
    assert refused.value.details == {}
    assert not bad or bad not in repr(logs)
    assert await sql.fetchval("select count(*) from platform.notification_preferences") == 0
    assert (events, local.dead_letters) == ([], [])


async def test_a_token_longer_than_any_is_refused(platform: AsyncPlatform):
    with pytest.raises(InvalidRequest) as refused:
        await platform.unsubscribe_by_token("a" * 2001)

    assert refused.value.details["argument"] == "token"


@pytest.mark.parametrize("user_id", ["x" * 200, "\x01" * 200, "\N{MOYAI}" * 200], ids=["plain", "control", "wide"])
async def test_the_token_of_the_longest_id_is_short_enough(platform: AsyncPlatform, user_id):
    await platform.create_user(user_id, "long@example.org")

    answered = await platform.unsubscribe_by_token(await platform.create_unsubscribe_token(user_id))

    assert answered.user_id == user_id


async def test_for_an_unknown_user_no_token_is_made(platform: AsyncPlatform):
    with pytest.raises(NotFoundError) as refused:
        await platform.create_unsubscribe_token("nobody")

    assert refused.value.details == {"user_id": "nobody"}


async def test_for_what_cannot_be_an_id_no_token_is_made(platform: AsyncPlatform):
    with pytest.raises(InvalidRequest):
        await platform.create_unsubscribe_token("")


@pytest.mark.parametrize(("keys", "good"), [(f"{OTHER},{KEY}", True), (OTHER, False)], ids=["behind", "gone"])
async def test_a_token_is_good_as_long_as_its_key_is_in_the_ring(
    postgres_url, settings: WorkerSettings, platform: AsyncPlatform, owner, keys, good
):
    made = await platform.create_unsubscribe_token(owner)
    rotated = settings.model_copy(update={"encryption_keys": SecretStr(keys)})

    async with local_worker(postgres_url, settings=rotated) as worker:
        outcome = await asyncio.gather(AsyncPlatform(worker.client).unsubscribe_by_token(made), return_exceptions=True)

    assert [isinstance(answer, NotificationPreference) for answer in outcome] == [good]


async def test_without_keys_both_are_unavailable_and_say_which_setting_is_missing(
    postgres_url, settings: WorkerSettings, platform: AsyncPlatform, owner, sql
):
    keyless = settings.model_copy(update={"encryption_keys": SecretStr("")})

    async with local_worker(postgres_url, settings=keyless) as worker:
        calls = AsyncPlatform(worker.client)
        answers = await asyncio.gather(
            calls.create_unsubscribe_token(owner), calls.unsubscribe_by_token(token()), return_exceptions=True
        )

    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]
    assert all("ROWCALL_ENCRYPTION_KEYS" in str(answer) for answer in answers)
    assert worker.dead_letters == []
    assert await sql.fetchval("select count(*) from platform.notification_preferences") == 0
