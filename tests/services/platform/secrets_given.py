"""Credentials of every kind, and workers with keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pydantic import SecretStr

from rpc_client.contract.platform import (
    APIKeyCredentials,
    AsyncPlatform,
    HostScopedCredentials,
    ManagedCredentials,
    OAuth2Credentials,
    OAuthState,
    UserIntegrations,
    UserMetadata,
    UserPasswordCredentials,
)
from worker.keys import StrictKeyRing, new_key, row_place
from worker.services.platform import family
from worker.settings import WorkerSettings
from worker.testing import local_worker

OLD, NEW, LOST = new_key(), new_key(), new_key()
CANARY = "c4nary"
STATE = OAuthState(
    token=f"{CANARY}-state",
    provider="github",
    expires_at=1_800_000_000,
    code_verifier=f"{CANARY}-pkce",
    scopes=["repo"],
)
API_KEY = APIKeyCredentials(id="key-1", provider="openai", title="mine", api_key=f"{CANARY}-key")
OF_EVERY_KIND = UserIntegrations(
    managed_credentials=ManagedCredentials(ayrshare_profile_key=f"{CANARY}-profile"),
    credentials=[
        API_KEY,
        OAuth2Credentials(
            provider="github",
            username="ann",
            access_token=f"{CANARY}-access",
            refresh_token=f"{CANARY}-refresh",
            refresh_token_expires_at=1_900_000_000,
            scopes=["repo", "gist"],
            metadata={"installation": f"{CANARY}-installation"},
        ),
        UserPasswordCredentials(provider="smtp", username=f"{CANARY}-user", password=f"{CANARY}-pässwörd-☃"),
        HostScopedCredentials(provider="http", host="example.org", headers={"X-Token": f"{CANARY}-header"}),
    ],
    oauth_states=[STATE],
)
SHAPES = {"user_integrations": UserIntegrations, "user_metadata": UserMetadata}


def with_keys(settings: WorkerSettings, *keys: str) -> WorkerSettings:
    """The settings of a worker that has these keys."""
    return settings.model_copy(update={"encryption_keys": SecretStr(",".join(keys))})


@asynccontextmanager
async def platform_with(settings: WorkerSettings, url: str, *keys: str) -> AsyncIterator[AsyncPlatform]:
    """The platform as a worker with these keys serves it."""
    async with local_worker(url, [family], settings=with_keys(settings, *keys)) as worker:
        yield AsyncPlatform(worker.client)


async def lying(sql: asyncpg.Connection, table: str) -> dict[str, str]:
    """What lies sealed, by user."""
    return dict(await sql.fetch(f"select user_id, sealed from platform.{table}"))


async def opened(sql: asyncpg.Connection, table: str, *keys: str) -> dict[str, UserIntegrations | UserMetadata]:
    """What these keys open, by user."""
    ring = StrictKeyRing(keys)
    return {
        user_id: SHAPES[table].model_validate_json(ring.unseal(sealed.encode(), place=row_place(table, user_id)))
        for user_id, sealed in (await lying(sql, table)).items()
    }
