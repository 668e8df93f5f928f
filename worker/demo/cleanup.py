"""What must be gone in the end, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

Say = Callable[[str], None]
Remove = Callable[[], Awaitable[None]]

CLEAN_S = 120.0
"""For each thing; ten times what any of them takes."""


class Cleanup:
    """Removes what was registered, the last first; what cannot be removed keeps nothing else from it."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._things: list[tuple[str, Remove]] = []
        self.left: list[str] = []
        """What is still there afterwards."""

    def later(self, thing: str, remove: Remove) -> None:
        """Remove this in the end. Said before it is made: nothing may come in between."""
        self._things.append((thing, remove))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for thing, remove in reversed(self._things):
            try:
                async with asyncio.timeout(CLEAN_S):
                    await remove()
            except Exception as error:  # noqa: BLE001 - whatever it is, the other things must go all the same
                self.left.append(thing)
                self._say(f"could not be removed: {thing} ({type(error).__name__}: {error})")
