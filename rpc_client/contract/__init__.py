"""The contract: families as classes of typed declarations with their manual. It is the one thing both sides share."""

from __future__ import annotations

from rpc_client.contract._composed import Composed, composed
from rpc_client.contract._event import EventData
from rpc_client.contract._method import (
    AsyncService,
    Caller,
    Lane,
    Method,
    Read,
    Service,
    SyncCaller,
    SyncService,
    Write,
    read,
    write,
)
from rpc_client.contract._record import Record, Timestamp
from rpc_client.contract._secret import Secret
from rpc_client.contract._shown import shown_type
from rpc_client.contract._values import read_arguments, read_result, write_result

__all__ = [
    "AsyncService",
    "Caller",
    "Composed",
    "EventData",
    "Lane",
    "Method",
    "Read",
    "Record",
    "Secret",
    "Service",
    "SyncCaller",
    "SyncService",
    "Timestamp",
    "Write",
    "composed",
    "read",
    "read_arguments",
    "read_result",
    "shown_type",
    "write",
    "write_result",
]
