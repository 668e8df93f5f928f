"""``Row``: something a peer sends, and what it is answered."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import orjson

MARK = "hush-4711"
"""Stands in what is sent, and must never stand in a log."""
ACCOUNT = "a-1"


class Bytes(str):
    """A property as the bytes it is made of: what AMQP libraries forbid and AMQP does not."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return True  # the driver makes up a message id where there is none

    def encode(self, *_: object) -> bytes:
        return super().encode("latin-1")


@dataclass(frozen=True)
class Row:
    """One message of a peer, and its one reply."""

    name: str
    """As in the list of bad input: B1, B2 … and what it is."""
    body: bytes
    key: str
    error: str = "InvalidRequest"
    reason: str | None = None
    argument: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fine:
    """One message that looks odd and is right, and its result."""

    name: str
    body: bytes
    key: str
    result: Any
    properties: dict[str, Any] = field(default_factory=dict)


def call(method: str, arguments: Any, **more: Any) -> bytes:
    """A call as any peer may write it, with a fresh id."""
    return orjson.dumps({"id": str(uuid4()), "method": method, "args": arguments, **more})


def raw(method: str, arguments: bytes, more: bytes = b"") -> bytes:
    """A call whose arguments are these bytes."""
    return b'{"id":"%b","method":"%b","args":%b%b}' % (str(uuid4()).encode(), method.encode(), arguments, more)


def deposit(arguments: bytes = b"", more: bytes = b"") -> bytes:
    """A deposit that would be right, with these bytes among its arguments and these behind them."""
    return raw("accounts.deposit", b'{"account_id":"a-1","amount":5%b}' % arguments, more)


def amount(value: bytes) -> bytes:
    """A deposit of this amount."""
    return raw("accounts.deposit", b'{"account_id":"a-1","amount":%b}' % value)


def soon() -> int:
    """A deadline that can be kept."""
    return int(time.time() + 10) * 1000


DEPOSIT = "write.accounts.deposit"
GET = "read.accounts.get_account"
