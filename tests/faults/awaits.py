"""Every await of the sources that waits for somebody else, and whether it says for how long: by reading them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = {"demo", "servers", "cli", "supervisor", "testing", "plugin"}
"""What a person starts by hand and may stop by hand."""
WAITS = {
    *("acquire", "cancel", "channel", "close", "closed", "connect", "create_connection", "drain", "failed", "get"),
    *("get_underlay_channel", "gather", "join", "open_channel", "shield", "wait", "exchange_declare", "queue_bind"),
    *("queue_declare", "basic_cancel", "basic_consume", "basic_nack", "basic_publish", "basic_qos"),
}
"""What is awaited of the broker's driver and of asyncio. PostgreSQL's and Redis's sessions are limited as such."""
TIMEOUT = re.compile(r"\b_?timeout(_at)?\(")
SESSIONS = {"connect": {"timeout", "command_timeout"}, "from_url": {"socket_timeout", "socket_connect_timeout"}}
"""How a session is opened, and what limits everything that is ever asked on it."""


@dataclass(frozen=True)
class Wait:
    """One await that sets itself no limit."""

    place: str
    """File and function."""
    what: str


def trees() -> Iterator[tuple[str, ast.Module]]:
    """What programs are made of."""
    for package in ("worker", "rpc_client"):
        for file in sorted((ROOT / package).rglob("*.py")):
            name = file.relative_to(ROOT)
            if not TOOLS & {*name.parts, name.stem}:
                yield str(name), ast.parse(file.read_text(encoding="utf-8"))


def unlimited() -> list[Wait]:
    """The awaits without a time-out of their own, and outside a block that has one."""
    return [wait for name, tree in trees() for wait in _within(tree, name, limited=False)]


def sessions() -> Iterator[tuple[str, set[str], set[str]]]:
    """Where a session with PostgreSQL or Redis is opened: the limits it needs, and those it has."""
    for name, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if ast.unparse(node.func.value) in {"asyncpg", "redis"} and node.func.attr in SESSIONS:
                yield f"{name}:{node.lineno}", SESSIONS[node.func.attr], {word.arg or "" for word in node.keywords}


def _within(node: ast.AST, place: str, *, limited: bool) -> Iterator[Wait]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        place, limited = f"{place}::{node.name}", False
    if isinstance(node, ast.AsyncWith):
        limited = limited or any(TIMEOUT.search(ast.unparse(item.context_expr)) for item in node.items)
    if isinstance(node, ast.Await) and not limited and _waits(node.value):
        yield Wait(place, ast.unparse(node.value).partition("(")[0])
    for child in ast.iter_child_nodes(node):
        yield from _within(child, place, limited=limited)


def _waits(awaited: ast.expr) -> bool:
    if not isinstance(awaited, ast.Call):
        return True  # a future or a task
    if isinstance(awaited.func, ast.Name) and awaited.func.id == "end":
        return True  # of a task
    name = awaited.func.attr if isinstance(awaited.func, ast.Attribute) else getattr(awaited.func, "id", "")
    return name in WAITS and not any((word.arg or "").startswith("timeout") for word in awaited.keywords)
