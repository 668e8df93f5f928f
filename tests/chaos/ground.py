"""What the workload starts from: accounts and users with money, and a graph to run.

Client 0 lays it, under ids that do not change: however often it is killed over it, everything is there once. The
others begin when the last of it is there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from rpc_client import AsyncClient
from rpc_client.errors import RPCError
from tests.chaos.calling import Caller
from tests.chaos.history import Call
from tests.chaos.workload import ACCOUNTS, ASK, GRAPH, TELL, USERS

CENTS = 50_000
TIMEOUT_S, LOOK_S = 10.0, 0.2
BLOCKS = {"INPUT": "block-ask", "OUTPUT": "block-tell"}


async def lay(caller: Caller, prefix: str) -> None:
    """Lay the ground, part by part; each is sent until it is answered."""
    for method, args in _parts():
        request_id = _id(prefix, method, args)
        marked = {name: request_id if value is ... else value for name, value in args.items()}
        await caller.insist(Call(request_id, method, marked, "ground", TIMEOUT_S))


async def laid(client: AsyncClient, prefix: str) -> None:
    """Wait until the last part of it is there."""
    impatient = client.with_options(timeout_s=TIMEOUT_S)
    *_, last = _parts()
    while True:
        with contextlib.suppress(RPCError):
            if (await impatient.outcome(_id(prefix, *last))).state == "done":
                return
        await asyncio.sleep(LOOK_S)


def _id(prefix: str, method: str, args: dict[str, Any]) -> str:
    return str(uuid5(NAMESPACE_URL, f"{prefix} {method} {sorted(args.items())}"))


def _parts() -> Iterator[tuple[str, dict[str, Any]]]:
    """In their order; `...` is for the request id."""
    for account in ACCOUNTS:
        yield "accounts.open_account", {"account_id": account, "owner": ...}
        yield "accounts.deposit", {"account_id": account, "amount": CENTS, "note": ...}
    for user in USERS:
        yield "platform.create_user", {"user_id": user, "email": f"{user}@example.com", "name": None}
    yield "platform.create_graph", {"graph": _graph()}
    yield "platform.list_graph", {"graph_id": GRAPH, "version": 1}
    for user in USERS:
        yield "platform.add_credits", {"user_id": user, "amount": CENTS, "reason": ...}


def _graph() -> dict[str, Any]:
    """A question and an answer."""
    nodes = [
        {
            "id": node,
            "block_id": BLOCKS[kind],
            "block": {"id": BLOCKS[kind], "name": kind.lower(), "type": kind},
            "input_default": {"name": node},
        }
        for node, kind in ((ASK, "INPUT"), (TELL, "OUTPUT"))
    ]
    links = [{"id": "link-1", "source_id": ASK, "source_name": "result", "sink_id": TELL, "sink_name": "value"}]
    return {"id": GRAPH, "version": 1, "user_id": USERS[0], "name": "chaos", "nodes": nodes, "links": links}
