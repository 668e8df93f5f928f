"""The ``rowcall`` family: what every worker answers of itself, and of other calls."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field
from pydantic_core import to_json

from rpc_client import wire
from rpc_client.contract._method import Method, Service, read
from rpc_client.contract._record import Record
from rpc_client.contract._values import read_result
from rpc_client.errors import AuthorizationError, OutcomeUnknown

R = TypeVar("R")
State = Literal["done", "failed", "dead_lettered", "fenced", "no_trace"]
RequestId = Annotated[str, Field(pattern=f"^{wire.UUID_PATTERN}$")]


class Limits(Record):
    """What a worker accepts and answers at most."""

    body_bytes: int
    """The arguments of one call."""
    calls: int
    """The calls of one message."""
    deadline_s: float
    """The time a call may ask for."""
    read_reply_bytes: int
    write_reply_bytes: int
    retention_days: int
    """How long a repeat of a write is recognised."""


class ServerInfo(Record):
    """What a worker serves."""

    version: str
    """Of Rowcall."""
    wire_versions: list[int]
    families: list[str]
    """By name, in their order."""
    methods: int
    """How many there are, of all families together."""
    limits: Limits


class CallOutcome(Record):
    """What became of a call."""

    id: str
    """Its request id."""
    state: State
    """``done``: it ran, once. ``failed``: it was answered an error and changed nothing. ``fenced``: it did not run and
    never will. ``dead_lettered``: it is kept for replay, and may still run. ``no_trace``: it never arrived, waits, or
    runs right now; or it was a read, which leaves none."""
    method: str | None = None
    """Whose call it was, where that is known."""
    reply: dict[str, Any] | None = None
    """``{"result"}``, or ``{"error", "message", "details"}``, as it was answered and would be again. None where it is
    not decided, and where only a dead letter is left to tell that it was: replies are kept for a limited time."""

    def result(self, method: Method[..., R]) -> R:
        """What the call returned, as this method's own type: ``outcome.result(Accounts.deposit)``.

        An error that it was answered is raised as it was then. OutcomeUnknown where it is not decided yet, or its
        reply is kept no longer; ValueError where the call was another method's.
        """
        if self.method not in {None, method.name}:
            raise ValueError(f"request id {self.id} belongs to a call of {self.method}, not of {method.name}")
        if self.reply is None:
            message = f"{method.name} is not decided: {self.state}; outcome(…, fence=True) decides it"
            if self.state in {"done", "failed"}:
                message = f"{method.name} is {self.state}; what it was answered is kept no longer"
            raise OutcomeUnknown(message, request_id=self.id, method=method.name)
        if "error" in self.reply:
            raise wire.decode_error(self.reply, method.errors, request_id=self.id, method=method.name)
        return read_result(method, to_json(self.reply["result"]), request_id=self.id)


class Rowcall(Service, name="rowcall"):
    """What is not about any family's data."""

    @read
    async def server_info(self) -> ServerInfo:
        """What the worker that happens to answer serves, and its limits; it does not ask its database."""
        ...

    @read(raises=[AuthorizationError])
    async def outcome(self, id: RequestId, fence: bool = False) -> CallOutcome:  # noqa: A002, FBT001, FBT002
        """What became of the write under this id; with `fence` it is decided.

        A fence forbids the call to run from now on, unless it has run: then the answer is `done` or `failed`, else
        `fenced`, never anything in between. Only its caller, or an operator, is told or may fence; of an id of which
        nothing is known, anybody. Raises AuthorizationError when it is somebody else's.
        """
        ...
