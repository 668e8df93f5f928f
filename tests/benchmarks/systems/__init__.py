"""The systems under measurement: each has a client side, and most have a server side, a process of its own."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tests.benchmarks.work import WORKLOADS, Api

MODULES = {
    "rowcall": "rowcall",
    "aio_pika": "aio_pika_rpc",
    "faststream": "faststream_rpc",
    "http": "http",
    "direct": "direct",
    "direct_grouped": "direct_grouped",
    "direct_receipt": "direct_receipt",
    "rowcall_async": "rowcall",
}
OURS = ("rowcall", "rowcall_async")
"""In the setting ``sync``, ``rowcall`` is the sync client; the async one is measured beside it under its own name."""
THREADED = ("rowcall", "http")
"""Those that can be called from threads."""
SERVED = ("aio_pika", "faststream", "http")
"""Those whose server side is ``serve`` in their module; Rowcall's is its worker, ``direct`` has none."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is."""

    amqp_url: str
    postgres_url: str
    redis_url: str
    prefix: str
    reset: bool = True
    """Whether the peers' pools reset a connection when it is given back, as asyncpg's does by default."""
    http_port: int = 0
    callers: int = 1


def connect(system: str, place: Place) -> contextlib.AbstractAsyncContextManager[Api]:
    """The client side of a system."""
    return _module(system).connect(place)


def connect_sync(system: str, place: Place) -> contextlib.AbstractContextManager[Any]:
    """The client side of a system, for threads."""
    return _module(system).connect_sync(place)


async def serve(system: str, place: Place) -> None:
    """The server side of a system; returns when it is cancelled."""
    await _module(system).serve(place)


def can(system: str, workload: str) -> bool:
    """Whether the system is measured under this workload."""
    if system == "direct_receipt":
        return workload == "write"
    if system == "direct_grouped":
        return workload in {"noop", "read", "write", "list"}
    return workload in WORKLOADS and (system != "faststream" or workload != "mixed")


def _module(system: str) -> Any:
    return import_module(f"tests.benchmarks.systems.{MODULES[system]}")
