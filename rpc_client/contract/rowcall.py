"""The ``rowcall`` family: what every worker answers of itself."""

from __future__ import annotations

from rpc_client.contract._method import Service, read
from rpc_client.contract._record import Record


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


class Rowcall(Service, name="rowcall"):
    """What is not about any family's data."""

    @read
    async def server_info(self) -> ServerInfo:
        """What the worker that happens to answer serves, and its limits; it does not ask its database."""
        ...
