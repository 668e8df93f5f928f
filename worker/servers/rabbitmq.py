"""RabbitMQ: an AMQP connection that opens; a node with an epmd of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiormq
from yarl import URL

from worker.servers.kind import Kind, Launch, newest_first, nodes
from worker.servers.port import free_port

PORTS = {"amqp": 5672, "amqps": 5671}
FILES = {
    "rabbitmq.conf": "",  # so that the ones in /etc/rabbitmq are not read
    "enabled_plugins": "[].",
}


class RabbitMQ(Kind):
    name = "RabbitMQ"
    variable = "ROWCALL_AMQP_URL"
    port = PORTS["amqp"]
    package = "rabbitmq-server"
    service = "rabbitmq"
    programs = ("rabbitmq-server", "erl", "epmd")
    user = "rabbitmq"
    errors = (aiormq.exceptions.AMQPError,)

    def urls(self, port: int) -> list[str]:
        return [f"amqp://guest:guest@127.0.0.1:{port}/"]

    async def probe(self, url: str) -> None:
        """One of the comma-separated nodes is enough: clients fail over between them."""
        *others, last = nodes(url)
        for node in others:
            if await self.refusal(node) is None:
                return
        await _open(last)

    def search_path(self, path: str) -> str:
        """Debian's script in the PATH is a wrapper that insists on its own user: real one first."""
        real = ["/usr/lib/rabbitmq/bin", *newest_first("/usr/lib/rabbitmq/lib/*/sbin")]
        return ":".join([*real, path, "/usr/lib/erlang/bin"])

    async def prepare(self, home: Path, path: str) -> None:  # noqa: ARG002  # as declared
        for name, text in FILES.items():
            (home / name).write_text(text)
            (home / name).chmod(0o644)  # ours, but the server's to read

    def launches(self, home: Path, port: int, path: str) -> list[Launch]:
        epmd_port = str(free_port())
        environment = (
            self.environment(home, path)
            | _settings(home)
            | {
                "ERL_EPMD_PORT": epmd_port,
                "RABBITMQ_NODE_PORT": str(port),
                "RABBITMQ_DIST_PORT": str(free_port()),
            }
        )
        # Our own epmd, in the foreground: the one Erlang starts is a daemon that outlives all.
        epmd = ["epmd", "-address", "127.0.0.1", "-port", epmd_port]
        return [Launch(epmd, environment), Launch(["rabbitmq-server"], environment)]


def _settings(home: Path) -> dict[str, str]:
    return {
        "ERL_CRASH_DUMP_SECONDS": "0",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_FLAGS": "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(home / "conf.d"),
        "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_LOGS": "-",  # to our log file
        "RABBITMQ_LOG_BASE": str(home / "logs"),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_NODENAME": f"{home.name}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RUNNING_UNDER_SYSTEMD": "true",  # the script then becomes the server: one pid, not two
    }


async def _open(url: str) -> None:
    await _knock(URL(url))
    # Not aio_pika's: those that fail half-way, as many do while a container starts, close themselves at any later time.
    connection = await aiormq.connect(url)
    await connection.close()


async def _knock(url: URL) -> None:
    """Every refused connection is an error in aiormq's log; while a server starts there are many."""
    if url.scheme not in PORTS:
        raise ValueError("the URL does not start with amqp:// or amqps://")
    _, writer = await asyncio.open_connection(url.host or "localhost", url.port or PORTS[url.scheme])
    writer.close()
