"""``rowcall up`` and ``rowcall down``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from rpc_client.settings import STATE
from worker import servers
from worker.cli.console import out, run
from worker.keys import new_key
from worker.servers.project import compose_file
from worker.settings import WorkerSettings

STATE_DIRECTORY = Path(STATE)
ENV_FILE = STATE_DIRECTORY / "env"
KEY_FILE = STATE_DIRECTORY / "key"
KEYS = "ROWCALL_ENCRYPTION_KEYS"


def up(
    install: Annotated[
        bool, typer.Option(help="Install missing packages (Debian or Ubuntu, as root).", envvar="ROWCALL_INSTALL")
    ] = False,
    ways: Annotated[
        str,
        typer.Option(
            "--with", help="Look nowhere else: running, compose, private; several by commas.", envvar="ROWCALL_WITH"
        ),
    ] = "",
) -> None:
    """Find RabbitMQ, PostgreSQL and Redis, or start our own, and make this folder a database of its own."""
    run(_up(install, ways))


async def _up(install: bool, ways: str) -> None:
    found = await servers.find(state=STATE_DIRECTORY, install=install, ways=ways, say=out.print)
    name = own_name()
    database = name.replace("-", "_")
    lines = {
        "ROWCALL_AMQP_URL": found.amqp_url,
        "ROWCALL_POSTGRES_URL": await servers.ensure_database(found.postgres_url, database),
        "ROWCALL_REDIS_URL": found.redis_url,
        "ROWCALL_PREFIX": name,
        KEYS: _keys(),
    }
    if found.project:  # for a worker beside them
        lines |= {**found.project, "ROWCALL_DATABASE": database}
    _write(ENV_FILE, "".join(f"{key}={value}\n" for key, value in lines.items()))
    for key, value in lines.items():
        out.print(f"{key}={'***' if key == KEYS else value}", markup=False, soft_wrap=True)
    out.print(f"Written to {ENV_FILE}, which rowcall reads in this folder. Next: rowcall worker", soft_wrap=True)
    if found.project and compose_file().parent == Path.cwd():  # only there is what its image is made of
        out.print(f"Or in a container: docker compose --env-file {ENV_FILE} up --detach --build worker", soft_wrap=True)


def _keys() -> str:
    """What seals dead letters: the keys that are set, else this folder's own. It stays when the addresses go."""
    if keys := WorkerSettings().encryption_keys.get_secret_value():
        return keys
    if not KEY_FILE.exists():
        _write(KEY_FILE, new_key())
    return KEY_FILE.read_text(encoding="utf-8").strip()


def _write(file: Path, text: str) -> None:
    """For the other commands; for their user's eyes only, since addresses may hold passwords."""
    STATE_DIRECTORY.mkdir(mode=0o700, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")


def down() -> None:
    """Stop what `rowcall up` started, and forget the addresses, but not the key. Servers that ran before are left."""
    run(servers.down(state=STATE_DIRECTORY, say=out.print))
    ENV_FILE.unlink(missing_ok=True)
    out.print("down")


def own_name() -> str:
    """A name for this folder's database and prefix: nobody else's, and the same every time."""
    return f"rowcall-{hashlib.sha256(str(Path.cwd()).encode()).hexdigest()[:8]}"
