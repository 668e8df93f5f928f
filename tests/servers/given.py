"""What the tests of the finder share: three private servers, and ways to look at them."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from worker.servers import (
    Servers,
)

NAMES = ("RabbitMQ", "PostgreSQL", "Redis")
VARIABLES = ("ROWCALL_AMQP_URL", "ROWCALL_POSTGRES_URL", "ROWCALL_REDIS_URL")
SERVER_OF = dict(zip(VARIABLES, NAMES, strict=True))

State = dict[str, dict[str, object]]


@dataclass(frozen=True, slots=True)
class Ours:
    """The three private servers the tests of this module share, and the state they came from."""

    servers: Servers
    state: Path

    @property
    def urls(self) -> tuple[str, str, str]:
        return self.servers.amqp_url, self.servers.postgres_url, self.servers.redis_url

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], **dict(zip(VARIABLES, self.urls, strict=True))}

    @property
    def ports(self) -> dict[str, int]:
        return {name: port_of(url) for name, url in zip(NAMES, self.urls, strict=True)}


def clean(**variables: str) -> dict[str, str]:
    """No URL and no permission from the developer's environment; an engine that may be there is left alone."""
    return {"PATH": os.environ["PATH"], "ROWCALL_WITH": "running,private", **variables}


class silence:  # noqa: N801  # reads as a word in `with`
    """Ports that are taken but do not listen: connections are refused, nobody can move in."""

    def __enter__(self) -> dict[str, int]:
        self.sockets = [socket.socket() for _ in NAMES]
        for one in self.sockets:
            one.bind(("127.0.0.1", 0))
        ports = (one.getsockname()[1] for one in self.sockets)
        return dict(zip(NAMES, ports, strict=True))

    def __exit__(self, *_: object) -> None:
        for one in self.sockets:
            one.close()


def read(state: Path) -> State:
    found: State = json.loads((state / "servers.json").read_text())
    return found


def write(state: Path, records: State) -> None:
    (state / "servers.json").write_text(json.dumps(records))


def pids(state: Path, *names: str) -> list[int]:
    records = json.loads((state / "servers.json").read_text())
    return [process["pid"] for name in names or NAMES for process in records[name]["processes"]]


def homes(state: Path) -> list[Path]:
    return [Path(str(record["home"])) for record in read(state).values()]


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def listeners(pid: int) -> set[str]:
    """The addresses at which the process listens, from the kernel's own tables."""
    inodes = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.add(address(fields[1].partition(":")[0], family))
    return found


def address(text: str, family: socket.AddressFamily) -> str:
    words = [bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, len(text), 8)]
    return socket.inet_ntop(family, b"".join(words))


async def nothing_runs_for(directories: list[Path]) -> None:
    """Children of the servers end on their own, soon; the test's time-out is the limit."""
    while somebody_mentions(directories):  # strangers' processes send no event
        await asyncio.sleep(0.05)


def somebody_mentions(directories: list[Path]) -> bool:
    return any(mentions(process, directories) for process in Path("/proc").glob("[0-9]*"))


def mentions(process: Path, directories: list[Path]) -> bool:
    try:
        text = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return any(str(directory).encode() in text for directory in directories)


async def value(url: str, statement: str, *parameters: object) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement, *parameters)
    finally:
        await connection.close()


async def exists(url: str, name: str) -> bool:
    return bool(await value(url, "select 1 from pg_database where datname = $1", name))


async def create_role(url: str) -> str:
    role = f"role{secrets.token_hex(4)}"
    await value(url, f"create role {role} login")
    return role
