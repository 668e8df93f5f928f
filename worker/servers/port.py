"""A free port of this machine."""

from __future__ import annotations

import secrets
import socket

from worker.servers.errors import NotStarted

PORTS = range(20000, 32768)  # below the ephemeral range: no outgoing connection takes one meanwhile
ATTEMPTS = 100


def free_port(preferred: int | None = None) -> int:
    """``preferred`` if it is free, so that a URL survives a restart; else any."""
    for port in [
        preferred or secrets.choice(PORTS),
        *(secrets.choice(PORTS) for _ in range(ATTEMPTS)),
    ]:
        if _is_free(port):
            return port

    raise NotStarted("no free port on 127.0.0.1")


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False

    return True
