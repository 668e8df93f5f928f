"""The ``chaos`` family: work that goes well, fails, is slow, or is the death of its worker. Each leaves its mark."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rpc_client.contract import AsyncService, EventData, Service, read, write
from rpc_client.errors import Conflict

Mark = Annotated[str, Field(min_length=1, max_length=64)]
"""The call's own request id: whoever looks at the tables sees who has been there, and how often."""


class Noted(EventData, aggregate="mark"):
    """A mark was left."""

    kind: str


class Offered(EventData, aggregate="task"):
    """There is a new task."""

    mark: str


class Claimed(EventData, aggregate="task"):
    """A task is somebody's."""

    mark: str


class Chaos(Service, name="chaos"):
    """Everything that can become of a call."""

    @write(locks="mark", emits=[Noted])
    async def note(self, mark: Mark) -> int:
        """Leave the mark; how often it stands there now, which can only be once. Emits Noted."""

    @write(emits=[Offered])
    async def offer(self, mark: Mark) -> int:
        """Put up a task; its number. Emits Offered."""

    @write(emits=[Claimed])
    async def claim(self, mark: Mark) -> int | None:
        """Take the oldest task that nobody has; its number, or None. Emits Claimed."""

    @write(raises=[Conflict], emits=[Noted])
    async def refuse(self, mark: Mark) -> int:
        """Leave the mark, announce it, and then think better of it. Raises Conflict, always. Emits Noted, never."""

    @write(emits=[Noted])
    async def trip(self, mark: Mark) -> int:
        """Leave the mark, announce it, and meet a bug. Emits Noted, once that is mended."""

    @write(slow=True, emits=[Noted])
    async def linger(self, mark: Mark, ms: Annotated[int, Field(ge=0, le=300)]) -> int:
        """Leave the mark and take that long; how often it stands there now. Emits Noted."""

    @write(slow=True, emits=[Noted])
    async def overrun(self, mark: Mark) -> int:
        """Leave the mark and take 5 s, which is longer than anybody waits. Emits Noted."""

    @write(slow=True, emits=[Noted])
    async def kill(self, mark: Mark) -> int:
        """Leave the mark and end the worker's process as a power cut does. Emits Noted, once that is mended."""

    @read
    async def look(self, mark: Mark) -> int:
        """How often the mark stands there."""

    @read(slow=True)
    async def kill_read(self, mark: Mark) -> int:
        """End the worker's process, and answer nothing."""


class AsyncChaos(Chaos, AsyncService):
    """Every method as an ``async def``."""
