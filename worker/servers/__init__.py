"""Where are RabbitMQ, PostgreSQL and Redis? Finds them, or starts private ones and stops them."""

from worker.servers.database import create_database, drop_database, ensure_database
from worker.servers.errors import ServersUnavailable
from worker.servers.search import Servers, down, find, started

__all__ = [
    "Servers",
    "ServersUnavailable",
    "create_database",
    "down",
    "drop_database",
    "ensure_database",
    "find",
    "started",
]
