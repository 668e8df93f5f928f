"""``Arrivals.read``: a message of the dead-letter queue in, one letter out for every call in it.

It comes from a worker, which says why and seals the call; from the broker, which adds ``x-death`` to what its client
sent; or from whoever else may publish there, of whom nothing is believed. A worker is known by the broker's user, or,
under another user than ours, by the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rpc_client import wire
from rpc_client.errors import InvalidRequest
from rpc_client.properties import decode_headers, shortened
from worker.calls import UUID_SHAPE, hash_arguments, identify, mark_of
from worker.dead_letters import REASONS, error_text, fit, gist
from worker.desk.store import KeptLetter
from worker.fingerprint import fingerprint
from worker.keys import CLEAR, QUEUE, KeyRing, UnreadableError

if TYPE_CHECKING:
    from worker.calls import Origin
    from worker.settings import WorkerSettings

MAX_ATTEMPTS = 1 << 31
BROKER = "broker"
SAYINGS = {
    "expired": ("expired", "its time was up before a worker took it"),
    "rejected": (
        "internal",
        "a worker could neither settle nor keep it, for a bug or for want of a key; its log tells",
    ),
    "delivery_limit": ("poison", "delivered again and again, and settled never: its workers died, most likely of it"),
}
"""What the broker says of a message it gave up, and what that means."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of a message: why it lies there, since when, and whose it was."""

    reason: str
    error: str
    at: datetime
    first_at: datetime
    cause: str
    """What its fingerprint is made of, besides the method and the traceback."""
    traceback: str = ""
    attempts: int = 1
    worker: str = BROKER


class Arrivals:
    """Reads dead letters."""

    def __init__(self, settings: WorkerSettings, keys: KeyRing) -> None:
        self._settings = settings
        self._keys = keys

    def read(self, body: bytes, headers: bytes, routing_key: str, origin: Origin) -> list[KeptLetter]:
        """One letter for every call of a message. UnreadableError when no key opens it."""
        known = _read_headers(headers)
        trusted = origin.caller in self._settings.operator_names
        opened = self._opened(body, trusted) if known.get("x-rowcall-sealed") == 1 else None
        if opened is not None:
            body, told, trusted = opened, _told_by_worker(known), True
        else:
            told = _told_by_broker(known)
            body = body if len(body) <= self._settings.message_bytes else gist(body)
        caller = _text(known, "x-rowcall-caller", origin.caller) if trusted else origin.caller
        given = _text(known, "x-rowcall-id", "") if trusted else ""
        lines = self._lines(body)
        if len(lines) > 1:
            given = ""
        return [self._letter(line, told, given, caller, routing_key, origin) for line in lines]

    def whole(self, body: bytes, routing_key: str, origin: Origin) -> list[KeptLetter]:
        """One letter of a message that cannot be kept otherwise: its bytes, and nothing that anybody says of it."""
        now = datetime.now(UTC)
        error = "it could not be kept as what it says it is; these are its bytes"
        told = Told("malformed", error, at=now, first_at=now, cause=error)
        return [_kept(told, mark_of(body, origin), origin.caller, routing_key, "?", body, _digest(body))]

    def _opened(self, body: bytes, trusted: bool) -> bytes | None:  # noqa: FBT001 - the one question
        """What a worker sealed. None if nothing shows that it was one: under another user, only the key does."""
        if trusted:
            return self._keys.unseal(body, place=QUEUE)
        try:
            return None if body.startswith(CLEAR) else self._keys.unseal(body, place=QUEUE)
        except UnreadableError:
            return None

    def _lines(self, body: bytes) -> list[bytes]:
        try:
            return wire.split_lines(body, self._settings.message_calls)
        except InvalidRequest:
            return [body]

    def _letter(self, line: bytes, told: Told, given: str, caller: str, routing_key: str, origin: Origin) -> KeptLetter:
        try:
            call = wire.decode_line(line, self._settings.max_depth)
        except InvalidRequest as error:
            if told.worker == BROKER:
                words = error_text(error)
                told = Told("malformed", words, at=told.at, first_at=told.first_at, cause=words)
            method = routing_key.partition(".")[2] or "?"
            return _kept(told, _id(given) or mark_of(line, origin), caller, routing_key, method, line, _digest(line))
        request_id = _id(call.id) or _id(given) or _marked(call, line, origin)
        args_hash = hash_arguments(call.method, call.arguments)
        return _kept(told, request_id, caller, routing_key, call.method, line, args_hash)


def _kept(
    told: Told, request_id: str, caller: str, routing_key: str, method: str, line: bytes, args_hash: bytes
) -> KeptLetter:
    return KeptLetter(
        id=request_id,
        caller=fit(caller),
        args_hash=args_hash,
        routing_key=fit(routing_key),
        method=shortened(fit(method)),
        reason=told.reason,
        error=fit(told.error),
        traceback=fit(told.traceback),
        fingerprint=fingerprint(method, told.cause, told.traceback),
        attempts=told.attempts,
        first_at=told.first_at,
        last_at=told.at,
        worker=fit(told.worker),
        body=line,
    )


def _read_headers(headers: bytes) -> dict[str, Any]:
    try:
        return decode_headers(headers)
    except ValueError:
        return {}


def _told_by_worker(headers: Mapping[str, Any]) -> Told:
    reason, error = _text(headers, "x-rowcall-reason", ""), _text(headers, "x-rowcall-error", "")
    attempts = headers.get("x-rowcall-attempts")
    at = _moment(headers.get("x-rowcall-last-at"))
    return Told(
        reason=reason if reason in REASONS else "exhausted",
        error=error,
        at=at,
        first_at=min(at, _moment(headers.get("x-rowcall-first-at"))),
        cause=error,
        traceback=_text(headers, "x-rowcall-traceback", ""),
        attempts=attempts if isinstance(attempts, int) and 0 < attempts < MAX_ATTEMPTS else 1,
        worker=_text(headers, "x-rowcall-worker", "?"),
    )


def _told_by_broker(headers: Mapping[str, Any]) -> Told:
    deaths = headers.get("x-death")
    death = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
    said = _text(death, "reason", "no reason")
    reason, error = SAYINGS.get(said, ("exhausted", f"the broker gave it up: {said}"))
    at = _moment(death.get("time"))
    return Told(reason, error, at=at, first_at=at, cause=reason)


def _text(fields: Mapping[str, Any], name: str, default: str) -> str:
    found = fields.get(name)
    return found if isinstance(found, str) else default


def _moment(said: object) -> datetime:
    """What a header says as a moment; now, where that is none."""
    try:
        moment = datetime.fromisoformat(said) if isinstance(said, str) else said
    except ValueError:
        moment = None
    if not isinstance(moment, datetime):
        return datetime.now(UTC)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _id(text: str | None) -> str | None:
    return text.lower() if text is not None and UUID_SHAPE.fullmatch(text) else None


def _marked(call: wire.Line, line: bytes, origin: Origin) -> str:
    """The id that a worker gives a call without one, or one for this very line."""
    try:
        return identify(call, origin, write=True)
    except InvalidRequest:
        return mark_of(line, origin)


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=16).digest()
