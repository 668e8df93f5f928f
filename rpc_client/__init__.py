"""Rowcall's client: call a database by message, without holding a connection to it."""

from __future__ import annotations

from rpc_client.client import AsyncClient
from rpc_client.errors import (
    AuthorizationError,
    CallFailed,
    Conflict,
    DeadlineExceeded,
    Disconnected,
    IdempotencyKeyReused,
    InsufficientCredits,
    InternalError,
    InvalidRequest,
    NotFoundError,
    OutcomeUnknown,
    RemoteError,
    ResultTooLarge,
    RPCError,
    Unavailable,
    UnknownRemoteError,
    UnreadableResult,
    Unroutable,
)
from rpc_client.settings import ClientSettings

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "AuthorizationError",
    "CallFailed",
    "ClientSettings",
    "Conflict",
    "DeadlineExceeded",
    "Disconnected",
    "IdempotencyKeyReused",
    "InsufficientCredits",
    "InternalError",
    "InvalidRequest",
    "NotFoundError",
    "OutcomeUnknown",
    "RPCError",
    "RemoteError",
    "ResultTooLarge",
    "Unavailable",
    "UnknownRemoteError",
    "UnreadableResult",
    "Unroutable",
    "__version__",
]
