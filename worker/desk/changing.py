"""A changed letter: another call, with other arguments, that takes the place of one that cannot succeed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
from uuid_utils import uuid7

from worker.admission import Refused
from worker.calls import Call
from worker.desk.planning import Planner, fence_of
from worker.desk.reading import Reading
from worker.desk.records import DeskError
from worker.desk.shelf import Kept, Shelf
from worker.keys import KeyRing, UnreadableError
from worker.settings import WorkerSettings

_OF_ITS_ATTEMPT = ("deadline", "attempt")
"""What a line says of the time it was sent, not of the call."""


class Changing:
    """Makes one letter of another."""

    def __init__(
        self, shelf: Shelf, reading: Reading, planner: Planner, keys: KeyRing, settings: WorkerSettings
    ) -> None:
        self._shelf = shelf
        self._reading = reading
        self._planner = planner
        self._keys = keys
        self._settings = settings

    async def change(self, number: int, changes: Mapping[str, Any]) -> int:
        """The number of the new letter; its call has a new id, and the old one's may never run any more.

        DeskError when the letter is not open, has run, or cannot be read; InvalidRequest when a worker would not take
        the new arguments.
        """
        kept = await self._shelf.read_one(number)
        if kept.letter.state != "open":
            raise DeskError(f"dead letter {number} is {kept.letter.state}; only one that is open can be changed")
        new_id = UUID(str(uuid7()))
        line = self._line(kept, new_id, changes)
        admitted = self._planner.admitted(kept, line, new_id)
        if isinstance(admitted, Refused):
            raise admitted.result
        fence = fence_of(kept, new_id, self._settings.retention_days)
        return await self._shelf.replace(kept, self._other(kept, new_id, admitted), fence, sorted(changes))

    def _line(self, kept: Kept, new_id: UUID, changes: Mapping[str, Any]) -> bytes:
        try:
            fields = orjson.loads(self._reading.line(kept))
        except (UnreadableError, orjson.JSONDecodeError) as error:
            raise DeskError(f"dead letter {kept.letter.number} cannot be changed: {error}") from error
        if not isinstance(fields, dict) or not isinstance(fields.setdefault("args", {}), dict):
            raise DeskError(f"dead letter {kept.letter.number} cannot be changed: it is no call")
        for path, value in changes.items():
            _set(fields["args"], path.split("."), value, path)
        kept_fields = {name: value for name, value in fields.items() if name not in _OF_ITS_ATTEMPT}
        return orjson.dumps({**kept_fields, "id": str(new_id)})

    def _other(self, kept: Kept, new_id: UUID, call: Call) -> Kept:
        letter = replace(
            kept.letter, id=new_id, state="open", replay_id=None, replays=0, replayed_at=None, outcome=None
        )
        traceback = self._reading.traceback(kept).encode()
        return Kept(
            letter,
            call.args_hash,
            kept.routing_key,
            self._keys.seal(call.line, place=f"letter/{new_id}"),
            self._keys.seal(traceback, place=f"traceback/{new_id}"),
            None,
        )


def _set(place: Any, path: Sequence[str], value: Any, whole: str) -> None:
    """Put a value where this path leads: names in objects, numbers in lists. Only the last name may be new."""
    for name in path[:-1]:
        place = place[_key(place, name, whole)]
    place[_key(place, path[-1], whole, new=True)] = value


def _key(place: Any, name: str, whole: str, *, new: bool = False) -> str | int:
    if isinstance(place, dict) and (new or name in place):
        return name
    if isinstance(place, list) and name.isdecimal() and int(name) < len(place):
        return int(name)
    raise DeskError(f"{whole}: there is no {name!r} in these arguments")
