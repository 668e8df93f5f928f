"""``Flights``: messages on their way to the broker, until it has taken, refused or returned them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rpc_client.parcels import Pending


@dataclass(frozen=True, slots=True)
class Flight:
    """A message on its way to the broker."""

    routing_key: str
    calls: list[Pending]
    size: int
    """Of its body, in bytes."""


class Flights:
    """Those of one channel, by the number of their publish on it."""

    def __init__(self) -> None:
        self._flying: dict[int, Flight] = {}
        self.published = 0

    def __iter__(self) -> Iterator[Flight]:
        return iter(list(self._flying.values()))

    def begin(self, flight: Flight) -> int:
        """One more message is published: its number."""
        self.published += 1
        self._flying[self.published] = flight
        return self.published

    def taken(self, number: int, *, multiple: bool) -> list[Flight]:
        """Those that the broker has; with `multiple`, all up to this one."""
        numbers = [n for n in self._flying if n <= number] if multiple else [number]
        return [flight for n in numbers if (flight := self._flying.pop(n, None)) is not None]

    def refused(self, number: int, *, multiple: bool) -> list[Flight]:
        """Those that the broker does not take now."""
        flights = self.taken(number, multiple=multiple)
        for flight in flights:
            for call in flight.calls:
                call.refused += 1
        return flights

    def returned(self, number: int) -> Flight | None:
        """The one that no queue takes. The broker confirms it as well, afterwards."""
        flight = self._flying.pop(number, None)
        for call in flight.calls if flight is not None else []:
            call.returned += 1
        return flight

    def stranded(self) -> None:
        """There is no exchange: the last one was not taken. Which was the first of which that is true, nobody says."""
        if self._flying:
            self.returned(max(self._flying))
