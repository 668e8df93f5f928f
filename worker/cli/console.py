"""What every command needs: a place to write, and one clear line for what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

import asyncpg
import typer
from aiormq.exceptions import AMQPError
from pydantic import ValidationError
from redis.exceptions import RedisError
from rich.console import Console
from typer.core import TyperGroup

from rpc_client import ClientSettings
from rpc_client.errors import CallFailed, RemoteError, RPCError
from worker.desk import DeskError
from worker.keys import KeysError
from worker.logs import quiet_drivers
from worker.migrations import MigrationError
from worker.registry import RegistryError
from worker.servers import ServersUnavailable
from worker.settings import WorkerSettings, explain
from worker.statements import StatementError

T = TypeVar("T")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)

EXPECTED = (
    RPCError,
    RegistryError,
    StatementError,
    MigrationError,
    KeysError,
    DeskError,
    ServersUnavailable,
    ValidationError,
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    AMQPError,
    RedisError,
)
SETTINGS = {ClientSettings.__name__, WorkerSettings.__name__}


class Commands(TyperGroup):
    """What can be expected to go wrong becomes one line, in every command."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except EXPECTED as error:
            fail(error)


def fail(error: BaseException | str) -> NoReturn:
    """End with one line on standard error, and exit code 1."""
    err.print(error if isinstance(error, str) else describe(error), markup=False)
    raise typer.Exit(1)


def describe(error: BaseException) -> str:
    """One line: what was wrong, and under which id."""
    if isinstance(error, ValidationError) and error.title in SETTINGS:
        return explain(error)
    if isinstance(error, DeskError):
        return str(error)
    name = error.code if isinstance(error, RemoteError) else type(error).__name__
    text = " ".join(str(error).split()) or "no answer in time"
    request_id = error.request_id if isinstance(error, RemoteError | CallFailed) else None
    return f"{name}: {text}" + (f" (request id {request_id})" if request_id else "")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work."""
    quiet_drivers()
    return asyncio.run(work)
