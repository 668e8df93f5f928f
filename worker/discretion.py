"""``Discretion``: which calls a worker may keep as dead letters, and which it has to leave with the broker.

With a key every letter is sealed, and may be kept. Without one a letter lies in the clear: then a call that may hold
secrets, as far as this worker can tell, stays where its sender put it, until a worker with a key takes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rpc_client import wire
from rpc_client.errors import InvalidRequest
from worker.redaction import takes_secrets

if TYPE_CHECKING:
    from rpc_client.contract import Method
    from worker.keys import KeyRing


class Discretion:
    """The keys of a worker, and what it knows of the methods it serves."""

    def __init__(self, keys: KeyRing, methods: Iterable[Method[..., Any]] = ()) -> None:
        self.keys = keys
        self._takes_secrets = {method.name: takes_secrets(method) for method in methods}
        self._secretive = [name.partition(".")[2].encode() for name, takes in self._takes_secrets.items() if takes]

    def may_keep(self, line: bytes, routing_key: str) -> bool:
        """Whether these bytes may be kept as a dead letter.

        Without a key, and where any method takes secrets, that is so of calls of the others alone. What is no call is
        judged by its routing key, and by the names that stand in it.
        """
        if self.keys.seals or not self._secretive:
            return True
        routed = routing_key.partition(".")[2]
        try:
            method = wire.decode_line(line, wire.MAX_DEPTH).method
        except InvalidRequest:
            method = routed
            if any(name in line for name in self._secretive):
                return False
        return not self._takes_secrets.get(routed) and self._takes_secrets.get(method) is False
