"""The contract: families as classes of typed declarations with their manual. It is the one thing both sides share."""

from __future__ import annotations

from rpc_client.contract._method import AsyncService, Caller, Lane, Method, Read, Service, Write, composed, read, write
from rpc_client.contract._record import Record, Timestamp
from rpc_client.contract._values import read_arguments, write_result

__all__ = [
    "AsyncService",
    "Caller",
    "Lane",
    "Method",
    "Read",
    "Record",
    "Service",
    "Timestamp",
    "Write",
    "composed",
    "read",
    "read_arguments",
    "write",
    "write_result",
]
