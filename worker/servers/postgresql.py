"""PostgreSQL: a role that may create databases; a cluster that trusts loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from pathlib import Path

import asyncpg

from worker.servers.errors import NotStarted
from worker.servers.kind import Kind, Launch, newest_first
from worker.servers.process import run

INITDB_S = 120.0


class PostgreSQL(Kind):
    name = "PostgreSQL"
    variable = "ROWCALL_POSTGRES_URL"
    port = 5432
    package = "postgresql"
    service = "postgres"
    programs = ("initdb", "postgres")
    user = "postgres"
    polite = signal.SIGINT  # SIGTERM would wait until every client has left
    errors = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

    def urls(self, port: int) -> list[str]:
        users = ["postgres", "postgres:postgres", *_own_name()]
        return [f"postgresql://{user}@127.0.0.1:{port}/postgres" for user in users]

    async def probe(self, url: str) -> None:
        connection = await asyncpg.connect(url, statement_cache_size=0)  # 0: perhaps a pooler
        try:
            if not await connection.fetchval(
                "select rolsuper or rolcreatedb from pg_roles where rolname = current_user"
            ):
                raise PermissionError("this role may not create databases")
        finally:
            connection.terminate()

    def search_path(self, path: str) -> str:
        """Debian keeps the server's programs out of the PATH, by version."""
        return ":".join([path, *newest_first("/usr/lib/postgresql/*/bin")])

    async def prepare(self, home: Path, path: str) -> None:
        if (home / "data").exists():
            _forget_last_run(home / "data")
            return
        draft = home / "data.part"  # renamed when complete: a killed initdb leaves no half
        shutil.rmtree(draft, ignore_errors=True)
        command = ["initdb", "-D", str(draft), "-U", "postgres", "-A", "trust"]
        command += ["-E", "UTF8", "--locale", "C.UTF-8"]
        environment = self.environment(home, path)
        code, output = await run(command, timeout_s=INITDB_S, environment=environment, home=home)
        if code:
            raise NotStarted(f"initdb failed: {output}")
        draft.rename(home / "data")

    def launches(self, home: Path, port: int, path: str) -> list[Launch]:
        data = str(home / "data")
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": data,
            "max_connections": "200",
        }
        options = [word for item in settings.items() for word in ("-c", "=".join(item))]
        return [Launch(["postgres", "-D", data, *options], self.environment(home, path))]


def _forget_last_run(data: Path) -> None:
    """Ours has ended, but its pid seems alive where nobody reaps zombies: a container without init.

    Safe without these files: a backend that lingers still holds the shared memory, which stops the start.
    """
    for lock in (data / "postmaster.pid", *data.glob(".s.PGSQL.*")):
        lock.unlink(missing_ok=True)


def _own_name() -> list[str]:
    try:
        return [pwd.getpwuid(os.getuid()).pw_name]
    except KeyError:  # a container may run under a number without a name
        return []
