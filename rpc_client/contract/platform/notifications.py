"""Notifications that wait to be sent: one batch for each user and type."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from rpc_client.contract._composed import composed
from rpc_client.contract._method import Service, read, write
from rpc_client.contract._record import Record, Timestamp
from rpc_client.contract.platform.events import NotificationAdded, NotificationBatchEmptied
from rpc_client.contract.platform.executions import PageSize
from rpc_client.contract.platform.notification_type import NotificationType
from rpc_client.contract.platform.users import Id
from rpc_client.errors import NotFoundError, ResultTooLarge

MAX_NOTIFICATIONS = 1000
"""More than these are read page by page."""
NotificationCursor = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,17}$")]


class NotificationEvent(Record):
    """One notification."""

    type: NotificationType
    user_id: Id
    created_at: Timestamp = Field(default_factory=lambda: datetime.now(UTC))
    """When what it tells of happened, as its maker says; kept as given."""
    data: dict[str, Any]


class UserNotificationBatchDTO(Record):
    """The notifications of one type that wait for one user; there is always at least one."""

    user_id: str
    type: NotificationType
    notifications: list[NotificationEvent]
    """In the order of their arrival. Only ``get_user_notification_batch`` fills it."""
    created_at: Timestamp
    """When the first of them came."""
    updated_at: Timestamp
    """When the last of them came."""


class Notifications(Service, name="platform"):
    """Batches of notifications. One begins with its first notification, and ends when it is emptied."""

    @write(raises=[NotFoundError], emits=[NotificationAdded])
    async def create_or_add_to_user_notification_batch(
        self, user_id: Id, notification_type: NotificationType, notification_data: NotificationEvent
    ) -> UserNotificationBatchDTO:
        """Add a notification to the user's batch of this type, and begin the batch if there is none.

        However many first ones come at once, they make one batch, and none is lost.

        Args:
            notification_data: its own `user_id` and `type` must be the call's, else InvalidRequest: a notification
                never waits for somebody it was not made for.

        Returns:
            The batch as it stands now, without its notifications: there may be thousands.

        Raises:
            NotFoundError: there is no such user; ``details``: ``user_id``.

        Emits: NotificationAdded.
        Source: spec 0 §3.6.
        """
        ...

    @write(emits=[NotificationBatchEmptied])
    async def empty_user_notification_batch(self, user_id: Id, notification_type: NotificationType) -> None:
        """Forget the batch and every notification in it, also one that came after the batch was read.

        Nothing happens where there is no batch.

        Emits: NotificationBatchEmptied, if there was one.
        Source: spec 0 §3.6.
        """
        ...

    @composed
    async def get_all_batches_by_type(self, notification_type: NotificationType) -> list[UserNotificationBatchDTO]:
        """Everybody's batches of this type, without their notifications, by user; read page by page.

        Source: spec 0 §3.6.
        """
        found: list[UserNotificationBatchDTO] = []
        cursor: str | None = None
        while True:
            items, cursor = await self.get_all_batches_by_type_page(notification_type, cursor=cursor)
            found += items
            if cursor is None:
                return found

    @read
    async def get_all_batches_by_type_page(
        self, notification_type: NotificationType, *, limit: PageSize = 500, cursor: Id | None = None
    ) -> tuple[list[UserNotificationBatchDTO], str | None]:
        """A page of everybody's batches of this type, without their notifications.

        Args:
            cursor: what the page before gave as next.

        Returns:
            The batches by user id, and the cursor of the next page, or None when this was the last. Batches that
            begin or end meanwhile do not move the pages.

        Source: spec 0 §3.6, in pages.
        """
        ...

    @read(raises=[ResultTooLarge])
    async def get_user_notification_batch(
        self, user_id: Id, notification_type: NotificationType
    ) -> UserNotificationBatchDTO | None:
        """The user's batch of this type with its notifications, the first to arrive first; None when there is none.

        Raises:
            ResultTooLarge: more than 1 000 notifications; read them with ``get_user_notifications_page``.

        Source: spec 0 §3.6.
        """
        ...

    @read
    async def get_user_notifications_page(
        self,
        user_id: Id,
        notification_type: NotificationType,
        *,
        limit: PageSize = 500,
        cursor: NotificationCursor | None = None,
    ) -> tuple[list[NotificationEvent], str | None]:
        """A page of the notifications in the user's batch of this type.

        Args:
            cursor: what the page before gave as next.

        Returns:
            The notifications in the order of their arrival, and the cursor of the next page, or None when this was
            the last. Empty where there is no batch.

        Source: spec 0 §3.6, in pages.
        """
        ...

    @read
    async def get_user_notification_oldest_message_in_batch(
        self, user_id: Id, notification_type: NotificationType
    ) -> NotificationEvent | None:
        """The notification that came first into the user's batch of this type; None when there is no batch.

        Source: spec 0 §3.6.
        """
        ...
