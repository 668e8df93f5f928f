"""A case: a call of a method of the platform, what it finds, and what it must come to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rpc_client.contract import platform as p

NOW = datetime.now(UTC)


@dataclass
class Place:
    """What a case finds: a user of its own, with credits and a run of a graph that everybody may run."""

    user: str
    graph: p.GraphModel
    private: p.GraphModel
    """Somebody else's, as is everything in it."""
    execution: p.GraphExecutionWithNodes
    made: Any = None
    """What was answered to what was given before."""

    @property
    def run(self) -> str:
        """The first node's execution, PENDING with an input."""
        return self.execution.node_executions[0].node_exec_id

    @property
    def next(self) -> p.NodeExecutionResult:
        """The second node's, PENDING without one."""
        return self.execution.node_executions[1]

    @property
    def review(self) -> p.NotificationType:
        return p.NotificationType.REVIEW

    def event(self) -> p.NotificationEvent:
        return p.NotificationEvent(type=self.review, user_id=self.user, created_at=NOW, data={"for": self.user})


@dataclass(frozen=True)
class Case:
    """A call, and what it must come to: a value, an error, or whatever this function of place and answer finds true."""

    method: str
    kind: str
    arguments: Callable[[Place], Sequence[Any]]
    outcome: Any
    given: Callable[[p.AsyncPlatform, Place], Awaitable[Any]] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.kind}"


def works(method: str, arguments: Callable[[Place], Sequence[Any]], outcome: Any, given: Any = None) -> Case:
    return Case(method, "works", arguments, outcome, given)


def absent(method: str, arguments: Callable[[Place], Sequence[Any]], outcome: Any, given: Any = None) -> Case:
    return Case(method, "absent", arguments, outcome, given)
