"""Redis: a PING that is answered; an instance that keeps nothing."""

from __future__ import annotations

from pathlib import Path

from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from worker.servers.kind import Kind, Launch


class Redis(Kind):
    name = "Redis"
    variable = "ROWCALL_REDIS_URL"
    port = 6379
    package = "redis-server"
    service = "redis"
    programs = ("redis-server",)
    user = "redis"
    errors = (RedisError,)

    def urls(self, port: int) -> list[str]:
        return [f"redis://127.0.0.1:{port}/0"]

    async def probe(self, url: str) -> None:
        async with Client.from_url(url, retry=Retry(NoBackoff(), 0)) as client:
            await client.ping()

    def launches(self, home: Path, port: int, path: str) -> list[Launch]:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port)]
        command += ["--dir", str(home), "--save", "", "--appendonly", "no"]
        return [Launch(command, self.environment(home, path))]
