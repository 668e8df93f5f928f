"""Notifications: these stories judge what a statement cannot; the other methods are one statement."""

from __future__ import annotations

from rpc_client.contract.platform import (
    NotificationAdded,
    NotificationEvent,
    Notifications,
    NotificationType,
    UserNotificationBatchDTO,
)
from rpc_client.contract.platform.notifications import MAX_NOTIFICATIONS
from rpc_client.errors import InvalidRequest, NotFoundError, Reason, ResultTooLarge
from worker.database import Session, Transaction
from worker.registry import Registry

notifications = Registry(Notifications)
notifications.direct(
    Notifications.empty_user_notification_batch,
    Notifications.get_all_batches_by_type_page,
    Notifications.get_user_notifications_page,
    Notifications.get_user_notification_oldest_message_in_batch,
)


@notifications.implements(Notifications.create_or_add_to_user_notification_batch)
async def create_or_add_to_user_notification_batch(
    tx: Transaction, user_id: str, notification_type: NotificationType, notification_data: NotificationEvent
) -> UserNotificationBatchDTO:
    """Add what is meant for this batch: a statement cannot refuse the rest as the bad input it is."""
    for name, own, wanted in (
        ("user_id", notification_data.user_id, user_id),
        ("type", notification_data.type.value, notification_type.value),
    ):
        if own != wanted:
            message = f"argument 'notification_data': its {name} is {own!r}, the call's is {wanted!r}"
            raise InvalidRequest(message, {"reason": Reason.INVALID_ARGUMENT, "argument": "notification_data"})
    if not await tx.value(bool, "platform.user_exists", user_id=user_id):
        raise NotFoundError(f"there is no user {user_id!r}", {"user_id": user_id})
    batch = await tx.value(
        UserNotificationBatchDTO,
        "platform.add_notification",
        user_id=user_id,
        notification_type=notification_type,
        created_at=notification_data.created_at,
        data=notification_data.data,
    )
    tx.emit(user_id, NotificationAdded(type=notification_type))
    return batch


@notifications.implements(Notifications.get_user_notification_batch)
async def get_user_notification_batch(
    db: Session, user_id: str, notification_type: NotificationType
) -> UserNotificationBatchDTO | None:
    """Read one notification more than an answer may hold, to know whether there are more."""
    batch = await db.maybe(
        UserNotificationBatchDTO,
        "platform.find_notification_batch",
        user_id=user_id,
        notification_type=notification_type,
        rows=MAX_NOTIFICATIONS + 1,
    )
    if batch is not None and len(batch.notifications) > MAX_NOTIFICATIONS:
        raise ResultTooLarge(
            f"the batch {notification_type.value} of user {user_id!r} has more than {MAX_NOTIFICATIONS} notifications; "
            "read them with get_user_notifications_page",
            {"limit": MAX_NOTIFICATIONS, "use": "get_user_notifications_page"},
        )
    return batch
