"""A proxy on every way between a process and a server: one way can be cut, or stand still, and the others go on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.proxy import Proxy, proxied

URLS = ("amqp_url", "postgres_url", "redis_url")


@dataclass(frozen=True, slots=True)
class Ways:
    """One process's ways to the servers, by the setting that names them."""

    proxies: dict[str, Proxy] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def ways(servers: dict[str, str], wanted: tuple[str, ...] = URLS) -> AsyncIterator[Ways]:
    """Ways to these servers for one process, and for those who take its place."""
    made = Ways()
    async with contextlib.AsyncExitStack() as stack:
        for name in wanted:
            proxy, made.urls[name] = await stack.enter_async_context(proxied(servers[name]))
            proxy.sent, proxy.received = Unread(), Unread()
            made.proxies[name] = proxy
        yield made


class Unread(bytearray):
    """Takes what passed, and keeps nothing: hours of it would not fit."""

    def extend(self, _: object) -> None:
        return
