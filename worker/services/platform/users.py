"""Users: each method is one statement."""

from __future__ import annotations

from rpc_client.contract.platform import Users
from worker.registry import Registry

users = Registry(Users)
users.direct(
    Users.create_user,
    Users.get_user_email_by_id,
    Users.get_user_email_verification,
    Users.get_user_notification_preference,
)
