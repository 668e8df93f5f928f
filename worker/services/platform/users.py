"""Users: most methods are one statement; these stories end notifications by token."""

from __future__ import annotations

from pydantic import ValidationError

from rpc_client.contract import Record, Timestamp
from rpc_client.contract.platform import NotificationPreference, Users, UserUnsubscribed
from rpc_client.contract.platform.users import UNSUBSCRIBE_DAYS
from rpc_client.errors import AuthorizationError, NotFoundError
from worker.database import Session, Transaction
from worker.registry import Registry
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
