"""``python -m tests.schema`` writes ``sql/schema.sql``: what all migrations of Rowcall and of platform add up to."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import asyncpg
import yaml
from pydantic import SecretStr

from worker.migrations import migrate
from worker.servers import create_database, drop_database, find
from worker.servers.project import compose_file
from worker.services.platform import family as platform
from worker.settings import WorkerSettings

ROOT = Path(__file__).parent.parent
SCHEMA = ROOT / "sql" / "schema.sql"
FAMILIES = [platform]
"""Whose migrations the file holds, beside Rowcall's own."""
DATED_PARTITIONS = "rowcall.receipts_2*"
DUMP_S = 60
HEADER = """\
-- What all migrations of Rowcall and of the platform family add up to. For readers: nothing reads this file but a test,
-- which compares it with the migrations. Made by `make schema`; change a migration, never this.
-- Left out: the partitions of rowcall.receipts that have a date, and the rows that migrations insert.
-- noqa: disable=all

"""
_NOISE = re.compile(r"^(--.*|SET .*;|SELECT pg_catalog\.set_config\(.*\);|\\(un)?restrict .*)$", re.MULTILINE)


def pg_dump(server: int) -> list[str]:
    """A pg_dump that reads servers of this version: the newest installed, or the one in docker-compose.yml's image."""
    installed = [*map(str, Path("/usr/lib/postgresql").glob("*/bin/pg_dump")), shutil.which("pg_dump")]
    known = [(_version(program), program) for program in installed if program]
    if known and max(known)[0] >= server:
        return [max(known)[1]]
    if shutil.which("docker"):
        image = yaml.safe_load(compose_file().read_text())["services"]["postgres"]["image"]
        return ["docker", "run", "--rm", "--network", "host", "--entrypoint", "pg_dump", image]
    raise FileNotFoundError(f"no pg_dump of version {server} or newer: install postgresql-client-{server}")


def _version(program: str) -> int:
    output = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    return int(re.findall(r"\d+", output)[0])


async def dump(postgres_url: str, *, without: str = DATED_PARTITIONS) -> str:
    """The database's schema as pg_dump tells it, without what differs from server to server."""
    connection = await asyncpg.connect(postgres_url)
    server = connection.get_server_version().major
    await connection.close()
    process = await asyncio.create_subprocess_exec(
        *pg_dump(server),
        "--schema-only",
        "--no-owner",
        "--no-privileges",
        f"--exclude-table={without}",
        postgres_url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), DUMP_S)
    if process.returncode != 0:
        raise RuntimeError(f"pg_dump: {errors.decode()}")
    return normalised(output.decode())


def normalised(text: str) -> str:
    """A dump without comments, settings and versions, its statements one blank line apart."""
    return re.sub(r"\n{3,}", "\n\n", _NOISE.sub("", text)).strip() + "\n"


async def migrated_schema(settings: WorkerSettings) -> str:
    """The dump of a new database that only the migrations have touched; the database is gone afterwards."""
    server = settings.postgres_url.get_secret_value()
    name = f"rowcall_schema_{uuid4().hex[:8]}"
    url = await create_database(server, name)
    try:
        await migrate(settings.model_copy(update={"postgres_url": SecretStr(url), "prefix": name}), FAMILIES)
        return await dump(url)
    finally:
        await drop_database(server, name)


async def _write() -> None:
    servers = await find(state=ROOT / ".rowcall", install=os.environ.get("ROWCALL_INSTALL") == "1", say=print)
    settings = WorkerSettings(postgres_url=SecretStr(servers.postgres_url))
    SCHEMA.write_text(HEADER + await migrated_schema(settings), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(_write())
