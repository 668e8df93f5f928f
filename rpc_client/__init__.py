"""Rowcall's client: call a database by message, without holding a connection to it."""

from __future__ import annotations

from rpc_client.client import AsyncClient
from rpc_client.contract.rowcall import CallOutcome
from rpc_client.errors import (
    AuthorizationError,
    CallFailed,
    Conflict,
    DeadlineExceeded,
    Disconnected,
    IdempotencyKeyReused,
    InsideEventLoop,
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
from rpc_client.families import AsyncFamilyClient, DatabaseManagerAsyncClient, DatabaseManagerClient, FamilyClient
from rpc_client.settings import ClientSettings
from rpc_client.sync import Client

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "AsyncFamilyClient",
    "AuthorizationError",
    "CallFailed",
    "CallOutcome",
    "Client",
    "ClientSettings",
    "Conflict",
    "DatabaseManagerAsyncClient",
    "DatabaseManagerClient",
    "DeadlineExceeded",
    "Disconnected",
    "FamilyClient",
    "IdempotencyKeyReused",
    "InsideEventLoop",
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
