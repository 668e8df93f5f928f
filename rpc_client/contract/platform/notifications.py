"""What users are notified of."""

from __future__ import annotations

from enum import Enum


class NotificationType(str, Enum):  # noqa: UP042 - as AgentExecutionStatus
    """What a notification is about."""

    SYSTEM = "SYSTEM"
    REVIEW = "REVIEW"
    EXECUTION = "EXECUTION"
    MARKETING = "MARKETING"
