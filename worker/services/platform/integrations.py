"""Integrations: credentials are opened to be read, and sealed again before they are written."""

from __future__ import annotations

from typing import Final, TypeVar

from rpc_client.contract import Record
from rpc_client.contract.platform import (
    Integrations,
    UserIntegrations,
    UserIntegrationsUpdated,
    UserMetadata,
    UserMetadataDTO,
    UserMetadataUpdated,
)
from rpc_client.errors import NotFoundError, Reason, Unavailable
from worker.database import Session, Transaction
from worker.keys import UnreadableError, row_place
from worker.registry import Registry

R = TypeVar("R", bound=Record)

integrations = Registry(Integrations)
INTEGRATIONS: Final = "user_integrations"
METADATA: Final = "user_metadata"
SEALED = (INTEGRATIONS, METADATA)
"""What is kept sealed, by its table."""


class Kept(Record):
    """What lies sealed of a user."""

    sealed: str | None


@integrations.implements(Integrations.get_user_integrations)
async def get_user_integrations(db: Session, user_id: str) -> UserIntegrations:
    """Open what is kept."""
    kept = await db.maybe(Kept, "platform.find_user_integrations", user_id=user_id)
    return opened(db, UserIntegrations, kept, INTEGRATIONS, user_id)


@integrations.implements(Integrations.update_user_integrations)
async def update_user_integrations(tx: Transaction, user_id: str, data: UserIntegrations) -> None:
    """Open what is to be replaced too: what no key here opens may be all that somebody has."""
    await tx.run("platform.lock_user", user_id=user_id)
    kept = await tx.maybe(Kept, "platform.find_user_integrations", user_id=user_id)
    opened(tx, UserIntegrations, kept, INTEGRATIONS, user_id)
    sealed = closed(tx, data, INTEGRATIONS, user_id)
    await tx.run("platform.keep_user_integrations", user_id=user_id, sealed=sealed)
    event = UserIntegrationsUpdated(credentials=len(data.credentials), oauth_states=len(data.oauth_states))
    tx.emit(user_id, event)


@integrations.implements(Integrations.get_user_metadata)
async def get_user_metadata(db: Session, user_id: str) -> UserMetadata:
    """Open what is kept."""
    kept = await db.maybe(Kept, "platform.find_user_metadata", user_id=user_id)
    return opened(db, UserMetadata, kept, METADATA, user_id)


@integrations.implements(Integrations.patch_user_metadata)
async def patch_user_metadata(tx: Transaction, user_id: str, data: UserMetadataDTO) -> None:
    """Put what is given into what is kept."""
    await tx.run("platform.lock_user", user_id=user_id)
    kept = await tx.maybe(Kept, "platform.find_user_metadata", user_id=user_id)
    before = opened(tx, UserMetadata, kept, METADATA, user_id)
    given = {name: value for name in UserMetadataDTO.model_fields if (value := getattr(data, name)) is not None}
    if not given:
        return
    after = before.model_copy(update=given)
    sealed = closed(tx, after, METADATA, user_id)
    await tx.run("platform.keep_user_metadata", user_id=user_id, sealed=sealed)
    event = UserMetadataUpdated(
        integration_credentials=len(after.integration_credentials),
        integration_oauth_states=len(after.integration_oauth_states),
    )
    tx.emit(user_id, event)


def opened(db: Session, shape: type[R], kept: Kept | None, name: str, user_id: str) -> R:
    """What is kept of a user; empty where nothing is. NotFoundError without the user, Unavailable without its key."""
    if kept is None:
        raise NotFoundError(f"there is no user {user_id!r}", {"user_id": user_id})
    if kept.sealed is None:
        return shape()
    try:
        data = db.keys.unseal(kept.sealed.encode(), place=row_place(name, user_id))
    except UnreadableError as error:
        raise Unavailable(
            f"the {name} of user {user_id!r} cannot be opened: {error}", {"reason": Reason.SEALED}
        ) from None
    return shape.model_validate_json(data)


def closed(tx: Transaction, data: Record, name: str, user_id: str) -> str:
    """What may be kept."""
    return tx.keys.seal(data.model_dump_json(exclude_none=True).encode(), place=row_place(name, user_id)).decode()
