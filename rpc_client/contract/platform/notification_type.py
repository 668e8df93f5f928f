"""What notifications are about."""

from __future__ import annotations

from enum import Enum


class NotificationType(str, Enum):  # noqa: UP042 - as AgentExecutionStatus
    """What a notification is about: what users choose by, and what batches are made by."""

    SYSTEM = "SYSTEM"
    REVIEW = "REVIEW"
    EXECUTION = "EXECUTION"
    MARKETING = "MARKETING"
