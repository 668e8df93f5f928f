"""Users: most methods are one statement; these stories end notifications by token, and tell who was active."""

from __future__ import annotations

from datetime import datetime

from pydantic import ValidationError

from rpc_client.contract import Record, Timestamp
from rpc_client.contract.platform import NotificationPreference, Users, UserUnsubscribed
from rpc_client.contract.platform.users import UNSUBSCRIBE_DAYS
from rpc_client.errors import AuthorizationError, InvalidRequest, NotFoundError, Reason
from worker.database import Session, Transaction
from worker.registry import Registry
from worker.services.platform.cursors import read_cursor, write_cursor
from worker.tokens import ForgedError, Tokens

users = Registry(Users)
users.direct(
    Users.create_user,
    Users.get_user_email_by_id,
    Users.get_user_email_verification,
    Users.get_user_notification_preference,
)

PURPOSE = "unsubscribe"


class Permit(Record):
    """What a token says: whom it unsubscribes, and until when."""

    user_id: str
    until: Timestamp


class ActiveUsers(Record):
    """The users of some runs, and the last of these runs if there may be more."""

    user_ids: list[str]
    last_at: Timestamp | None
    last_id: str | None


@users.implements(Users.create_unsubscribe_token)
async def create_unsubscribe_token(db: Session, user_id: str) -> str:
    """The database says until when, so no worker's clock makes a token that others take for an old one."""
    tokens = Tokens(db.keys, PURPOSE)
    permit = await db.maybe(Permit, "platform.find_unsubscribe_permit", user_id=user_id, days=UNSUBSCRIBE_DAYS)
    if permit is None:
        raise NotFoundError(f"there is no user {user_id!r}", {"user_id": user_id})
    return tokens.write(permit.model_dump_json().encode())


@users.implements(Users.unsubscribe_by_token)
async def unsubscribe_by_token(tx: Transaction, token: str) -> NotificationPreference:
    """Every token that is not good is refused in the same words: there is nothing to learn from trying."""
    permit = _read(Tokens(tx.keys, PURPOSE), token)
    if permit is None or not await tx.value(bool, "platform.unsubscribe_permit_holds", **dict(permit)):
        raise AuthorizationError("this token unsubscribes nobody: it is not one of ours, or its time is over")
    if await tx.run("platform.unsubscribe", user_id=permit.user_id):
        tx.emit(permit.user_id, UserUnsubscribed())
    return await tx.one(NotificationPreference, "platform.get_user_notification_preference", user_id=permit.user_id)


def _read(tokens: Tokens, token: str) -> Permit | None:
    try:
        return Permit.model_validate_json(tokens.read(token))
    except (ForgedError, ValidationError):
        return None


@users.implements(Users.get_active_user_ids_page)
async def get_active_user_ids_page(
    db: Session, start_time: datetime, end_time: datetime, *, limit: int = 1000, cursor: str | None = None
) -> tuple[list[str], str | None]:
    """Go through the runs in the order of their creation, from where the page before ended."""
    if end_time < start_time:
        message = f"end_time {end_time.isoformat()} is before start_time {start_time.isoformat()}"
        raise InvalidRequest(message, {"reason": Reason.INVALID_ARGUMENT, "argument": "end_time"})
    first = start_time, ""
    after, after_id = first if cursor is None else max(first, read_cursor(cursor, "get_active_user_ids_page"))
    found = await db.one(
        ActiveUsers, "platform.find_active_user_ids", after=after, after_id=after_id, end_time=end_time, limit=limit
    )
    last = None if found.last_at is None or found.last_id is None else write_cursor(found.last_at, found.last_id)
    return found.user_ids, last
