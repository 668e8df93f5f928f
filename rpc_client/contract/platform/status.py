"""Where executions stand."""

from __future__ import annotations

from enum import Enum


class AgentExecutionStatus(str, Enum):  # noqa: UP042 - the document's spelling; str() of a StrEnum differs
    """Where an execution stands, of a graph or of a node.

    PENDING → QUEUED, RUNNING, FAILED, CANCELED; QUEUED → RUNNING, FAILED, CANCELED; RUNNING → COMPLETED, FAILED,
    CANCELED; CANCELED → QUEUED, RUNNING (a resume). COMPLETED and FAILED are final.
    """

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
