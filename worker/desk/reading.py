"""``Reading``: opens what of a letter is sealed, and shows of it what may be seen."""

from __future__ import annotations

from typing import Any

import orjson

from rpc_client import wire
from rpc_client.errors import InvalidRequest
from worker.desk.records import Deed, Shown
from worker.desk.shelf import Kept
from worker.keys import KeyRing, UnreadableError
from worker.redaction import MASK, redacted, takes_secrets
from worker.served import Served

SHOWN_BYTES = 4096
"""So much is shown of bytes that are no call."""


class Reading:
    """Reads letters with the keys and the families of one installation."""

    def __init__(self, served: Served, keys: KeyRing, max_depth: int) -> None:
        self._served = served
        self._keys = keys
        self._max_depth = max_depth
        self._no_secrets = not any(takes_secrets(answer.method) for answer in served.answers.values())

    def line(self, kept: Kept) -> bytes:
        """The call's own bytes. UnreadableError when they cannot be had."""
        return self._keys.unseal(kept.body, place=f"letter/{kept.letter.id}")

    def call(self, kept: Kept) -> wire.Line:
        """The call. UnreadableError when its bytes cannot be had, InvalidRequest when they are none."""
        return wire.decode_line(self.line(kept), self._max_depth)

    def holds_secrets(self, kept: Kept) -> bool:
        """Whether what is sealed may hold secrets, as far as anybody here can tell."""
        answer = self._served.answers.get(kept.letter.method)
        return not self._no_secrets if answer is None else takes_secrets(answer.method)

    def traceback(self, kept: Kept) -> str:
        """The traceback; where it cannot be had, why."""
        try:
            text = self._keys.unseal(kept.traceback, place=f"traceback/{kept.letter.id}")
        except UnreadableError as error:
            return f"({error})"
        return text.decode("utf-8", "replace")

    def shown(self, kept: Kept, deeds: list[Deed]) -> Shown:
        """Everything that may be seen of a letter."""
        call, hidden = self.redacted(kept)
        return Shown(kept.letter, call, hidden, self.traceback(kept), deeds)

    def redacted(self, kept: Kept) -> tuple[dict[str, Any] | None, str | None]:
        """The call with its secrets masked; or None, and why, with the bytes where nothing here takes secrets."""
        try:
            line = self.call(kept)
        except UnreadableError as error:
            return None, str(error)
        except InvalidRequest as error:
            return None, self._unreadable(kept, error)
        arguments = orjson.loads(line.arguments)
        try:
            shown = redacted(self._served.find(line.method).method, arguments)
        except InvalidRequest:  # which of its arguments are secret, nobody here can tell
            shown = dict.fromkeys(arguments, MASK)
        return {"id": line.id, "method": line.method, "args": shown}, None

    def _unreadable(self, kept: Kept, error: InvalidRequest) -> str:
        line = self.line(kept)
        if not self._no_secrets:
            return f"{len(line)} bytes that are no call: {error.message}"
        return f"no call: {error.message}\n{line[:SHOWN_BYTES].decode('utf-8', 'replace')}"

    def holds(self, kept: Kept, text: str) -> bool:
        """Whether this text is in the error, the traceback or the call, as they are shown."""
        call, hidden = self.redacted(kept)
        seen = (kept.letter.error, self.traceback(kept), hidden or "", orjson.dumps(call).decode())
        return any(text.casefold() in part.casefold() for part in seen)
