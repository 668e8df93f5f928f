"""Clients of one family each, whose methods are the client's own; under the names that the documents give them."""

from __future__ import annotations

from typing import Self
from uuid import UUID

from rpc_client.client import AsyncClient
from rpc_client.contract import AsyncService, SyncService
from rpc_client.contract.platform import Platform
from rpc_client.settings import ClientSettings
from rpc_client.sync import Client


class AsyncFamilyClient(AsyncService):
    """An ``AsyncClient`` that is its family's async view at the same time."""

    def __init__(self, settings: ClientSettings | None = None, *, timeout_s: float | None = None) -> None:
        self._client = AsyncClient(settings, timeout_s=timeout_s)
        super().__init__(self._client)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """As ``AsyncClient.close``."""
        await self._client.close()

    def with_options(
        self, *, timeout_s: float | None = None, request_id: UUID | None = None, idempotency_key: str | None = None
    ) -> Self:
        """As ``AsyncClient.with_options``."""
        other = object.__new__(type(self))
        other._caller = other._client = self._client.with_options(
            timeout_s=timeout_s, request_id=request_id, idempotency_key=idempotency_key
        )
        return other


class FamilyClient(SyncService):
    """A ``Client`` that is its family's sync view at the same time."""

    def __init__(self, settings: ClientSettings | None = None, *, timeout_s: float | None = None) -> None:
        self._client = Client(settings, timeout_s=timeout_s)
        super().__init__(self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """As ``Client.close``."""
        self._client.close()

    def with_options(
        self, *, timeout_s: float | None = None, request_id: UUID | None = None, idempotency_key: str | None = None
    ) -> Self:
        """As ``Client.with_options``."""
        other = object.__new__(type(self))
        other._caller = other._client = self._client.with_options(
            timeout_s=timeout_s, request_id=request_id, idempotency_key=idempotency_key
        )
        return other


class DatabaseManagerAsyncClient(Platform, AsyncFamilyClient):
    """Spec 0's async client: ``await DatabaseManagerAsyncClient().get_credits(user_id)``."""


class DatabaseManagerClient(Platform, FamilyClient):
    """Spec 0's sync client: ``DatabaseManagerClient().get_credits(user_id)``."""
