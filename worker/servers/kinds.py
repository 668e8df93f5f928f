"""The three, in the order people read them."""

from __future__ import annotations

from worker.servers.postgresql import PostgreSQL
from worker.servers.rabbitmq import RabbitMQ
from worker.servers.redis import Redis

KINDS = (RabbitMQ(), PostgreSQL(), Redis())

STANDARD_PORTS = {kind.name: kind.port for kind in KINDS}
