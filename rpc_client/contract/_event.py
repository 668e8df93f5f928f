"""``EventData``: what an event of one type says, as a typed declaration."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from rpc_client.contract._record import Record

_AGGREGATE = re.compile(r"\w+")


class EventData(Record):
    """What events of one type say of what happened; the class's name is the type, in the past tense.

    ``class Deposited(EventData, aggregate="account"): …`` declares it, ``@write(emits=[Deposited])`` promises it, and
    ``event.read(Deposited)`` reads it. Fields of a newer worker that this client does not know are ignored.
    """

    aggregate: ClassVar[str]
    """The kind of thing it happens to, as in the channel ``family/aggregate/id``."""

    def __init_subclass__(cls, *, aggregate: str | None = None, **config: Any) -> None:
        super().__init_subclass__(**config)
        if aggregate is None:
            return
        if not _AGGREGATE.fullmatch(aggregate):
            raise TypeError(f"{cls.__name__}: aggregate={aggregate!r} must be one word, which channels are named by")
        cls.aggregate = aggregate
