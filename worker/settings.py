"""What a worker can be told, through ``ROWCALL_…`` in the environment, ``.env`` or ``.rowcall/env``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import NoDecode

from rpc_client.settings import ClientSettings
from rpc_client.wire import MAX_CALLS, MAX_DEPTH

MAX_WRITE_REPLY_BYTES = 256 << 10
"""Also a constraint of the receipts' table: docs/decisions/0004."""


class WorkerSettings(ClientSettings):
    """A worker's addresses and limits. Every limit has a typed error."""

    postgres_url: SecretStr = Field(
        default=SecretStr("postgresql://postgres@127.0.0.1:5432/rowcall"),
        description="The database whose methods are served; it is migrated when a worker starts.",
    )
    postgres_direct_url: SecretStr | None = Field(
        default=None,
        description="The same database past a connection pooler, for migrations and the relay; unset: as above.",
    )
    families: Annotated[list[str], NoDecode] = Field(
        default_factory=lambda: ["*"],
        description="What to serve, as module:family, comma-separated; * stands for every installed family.",
    )
    pool_size: int = Field(default=10, ge=1, le=500, description="Database connections of one worker process.")
    prefetch: int = Field(default=32, ge=1, le=1024, description="Messages of each lane a worker holds at most.")
    acquire_s: float = Field(
        default=2.0, gt=0, le=60, description="How long a call may wait for a database connection."
    )
    default_deadline_s: float = Field(default=10.0, gt=0, le=300, description="For calls that name no deadline.")
    max_deadline_s: float = Field(default=300.0, gt=0, le=300, description="No call may ask for more.")
    statement_s: float = Field(
        default=60.0, ge=0.1, le=300, description="No statement runs longer, however much time its call has left."
    )
    lock_s: float = Field(
        default=2.0, gt=0, description="No statement waits longer for a lock before it is tried again."
    )
    read_reply_bytes: int = Field(
        default=8 << 20,
        ge=1024,
        le=15 << 20,
        description="The largest answer of a read; brokers take no message over 16 MiB.",
    )
    write_reply_bytes: int = Field(
        default=MAX_WRITE_REPLY_BYTES,
        ge=1024,
        le=MAX_WRITE_REPLY_BYTES,
        description="The largest answer of a write that is a story; those of one statement are held to 256 KiB.",
    )
    message_calls: int = Field(
        default=MAX_CALLS, ge=MAX_CALLS, le=1024, description="Calls of one message; clients put up to 64 together."
    )
    max_depth: int = Field(default=MAX_DEPTH, ge=8, le=128, description="How deep arguments may be nested.")
    retention_days: int = Field(default=7, ge=1, le=90, description="How long a repeat of a write is recognised.")
    dead_letter_days: int = Field(
        default=7,
        ge=1,
        le=90,
        description="How long the queue keeps dead letters; no longer than repeats are recognised.",
    )
    dead_letter_table_days: int = Field(
        default=90, ge=1, le=3650, description="How long the database keeps dead letters, settled or not."
    )
    max_replays: int = Field(
        default=5, ge=1, le=1000, description="A dead letter replayed so often without success is not replayed again."
    )
    event_entries: int = Field(
        default=1_000_000,
        ge=1000,
        le=10_000_000,
        description="How many events the record in Redis keeps, within the retention.",
    )
    encryption_keys: SecretStr = Field(
        default=SecretStr(""),
        description="Seal dead letters, and what families keep; newest first, comma-separated; `rowcall keys new`.",
    )
    operators: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Broker users who may ask for, fence and replay other users' calls; the worker's own user may.",
    )
    drain_s: float = Field(default=25.0, gt=0, description="After SIGTERM, how long running calls may take to finish.")
    read_queue: Literal["classic", "quorum"] = Field(
        default="classic", description="The kind of the read queue; quorum for clusters of several nodes."
    )
    http_host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Where /health and /ready listen; 0.0.0.0: for other machines too, as a container needs it.",
    )
    http_port: int | None = Field(
        default=None, ge=0, le=65535, description="Serves /health and /ready there; 0: any free port."
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="One JSON object a line, or coloured text."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="What is worth a line.")

    @property
    def message_bytes(self) -> int:
        """The largest message that can run: the limit is on arguments, and the rest of a line is small."""
        return self.body_bytes + 4096

    @property
    def direct_url(self) -> str:
        """The database without a pooler in between: for what needs a session of its own."""
        return (self.postgres_direct_url or self.postgres_url).get_secret_value()

    @property
    def operator_names(self) -> frozenset[str]:
        """The broker users who may act on other users' calls."""
        return frozenset({self.caller, *self.operators})

    @field_validator("families", "operators", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("dead_letter_days")
    @classmethod
    def _outlived(cls, value: int, info: object) -> int:
        kept = getattr(info, "data", {}).get("retention_days", value)
        if value > kept:
            raise ValueError(f"is {value}, more than ROWCALL_RETENTION_DAYS ({kept}): a late replay could run twice")
        return value


def explain(error: ValidationError) -> str:
    """The first setting that cannot be used, by its variable, and why, in one line."""
    first = error.errors(include_url=False)[0]
    return f"ROWCALL_{'.'.join(map(str, first['loc'])).upper()}: {first['msg']}"
