"""What a client can be told, through ``ROWCALL_…`` in the environment or ``.env``.

Secrets may lie in files of those names too, in the directory that ``ROWCALL_SECRETS_DIR`` names.
"""

from __future__ import annotations

import os
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rpc_client.wire import MAX_PARCEL_BYTES

STATE = ".rowcall"
"""The folder in which ``rowcall up`` leaves the addresses of the servers it found (``.rowcall/env``)."""


class ClientSettings(BaseSettings):
    """How a client reaches the broker, and its limits. The environment wins over ``.env``, that over ``rowcall up``."""

    model_config = SettingsConfigDict(
        env_prefix="ROWCALL_",
        env_file=(f"{STATE}/env", ".env"),
        secrets_dir=os.environ.get("ROWCALL_SECRETS_DIR"),
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    amqp_url: SecretStr = Field(
        default=SecretStr("amqp://guest:guest@127.0.0.1:5672/"),
        description="RabbitMQ; several addresses of one cluster separated by commas, tried in turn.",
    )
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis, through which committed changes are announced and recorded.",
    )
    prefix: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")] = Field(
        default="rowcall",
        description="Begins every name in RabbitMQ, Redis and among advisory locks; one per installation.",
    )
    timeout_s: float = Field(
        default=10.0, gt=0, le=300, description="How long a call may take, unless the caller says else."
    )
    heartbeat_s: int = Field(
        default=5, ge=1, le=60, description="A peer silent for about three of these is taken for dead."
    )
    body_bytes: int = Field(
        default=1 << 20,
        ge=MAX_PARCEL_BYTES,
        le=8 << 20,
        description="The largest arguments of a call, in bytes; larger ones are refused unsent. A worker's is no less.",
    )

    @field_validator("amqp_url")
    @classmethod
    def _is_amqp(cls, value: SecretStr) -> SecretStr:
        if not all(url.strip().startswith(("amqp://", "amqps://")) for url in value.get_secret_value().split(",")):
            raise ValueError("must be amqp:// or amqps:// addresses, separated by commas")
        return value

    @property
    def caller(self) -> str:
        """Who we are to the broker, which checks it in every message: the user of the broker's address."""
        return unquote(urlsplit(self.amqp_urls[0]).username or "guest")

    @property
    def amqp_urls(self) -> list[str]:
        """The broker's addresses, in the order given."""
        return [url.strip() for url in self.amqp_url.get_secret_value().split(",")]
