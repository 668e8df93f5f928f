"""Points at which a worker kills itself, for tests of what a crash there leaves behind. Unarmed, each does nothing.

| point | a call has … |
|---|---|
| K0 | been delivered; nothing of it is decoded |
| K1 | been validated |
| K2 | been looked up and its deadline judged; it has no connection yet |
| K3 | a connection; BEGIN, or its one statement, is about to be sent |
| K4 | had its effect; its receipt is not written |
| K5 | its receipt; COMMIT is not sent |
| K6 | had its COMMIT sent; the answer is not read |
| K7 | been committed, which the worker knows; its reply is not sent |
| K8 | its reply on the way; the broker has not confirmed it |
| K9 | its reply confirmed; the acknowledgement is not written |
| K10 | its events read by the relay; they are not appended |
| K11 | its events appended; the relay has not noted it |

A call of one statement, or a group of such, is one round trip: effect, receipt and commit happen inside PostgreSQL. So
its K4, K5 and K6 are one point of the worker, where the whole round trip has left and nothing of its answer is read.
How far PostgreSQL is by then is for the test to say: a trigger that waits for a lock holds it at the receipt or at the
commit, and whatever the worker died of, PostgreSQL goes on.

``ROWCALL_CRASH_AT`` arms them in a process that has ``ROWCALL_TEST_HOOKS=1`` too: ``K6``, the third passing as
``K6@3``, by chance as ``K6:1/300,K2:1/300``, drawn from ``ROWCALL_CRASH_SEED``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import random
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from worker.settings import WorkerSettings

T = TypeVar("T")

POINTS = tuple(f"K{n}" for n in range(12))
ASKED = os.environ.get("ROWCALL_TEST_HOOKS") == "1" and "ROWCALL_CRASH_AT" in os.environ
_ONE = re.compile(r"(K\d+)(?:@([1-9]\d*)|:(\d+)/([1-9]\d*))?")


class CrashPointsError(Exception):
    """The crash points cannot be armed, so the worker does not start."""


@dataclass(frozen=True, slots=True)
class Armed:
    """One point at which to die: at one passing of it, or by chance at any."""

    passing: int | None
    chance: float

    @classmethod
    def read(cls, text: str) -> dict[str, Armed]:
        """What ``ROWCALL_CRASH_AT`` says, by point."""
        found: dict[str, Armed] = {}
        for part in text.split(","):
            match = _ONE.fullmatch(part.strip())
            if match is None or match[1] not in POINTS or match[1] in found:
                raise CrashPointsError(
                    f"ROWCALL_CRASH_AT: {part.strip()!r} is none of K0 … K11, alone or as K6@3 or K6:1/300, each once"
                )
            point, passing, chances, among = match.groups()
            found[point] = cls(int(passing) if passing else None, int(chances) / int(among) if among else 1.0)
        return found

    def is_due(self, passed: int, luck: random.Random) -> bool:
        """Whether this passing is the last."""
        return passed == self.passing if self.passing is not None else luck.random() < self.chance


class Crashes:
    """What is armed in this process, and how often each point of it was passed."""

    def __init__(self, armed: dict[str, Armed], seed: str | None) -> None:
        self._armed = armed
        self._luck = random.Random(seed)  # noqa: S311 - it decides over tests
        self._passed = Counter[str]()

    def pass_by(self, points: Sequence[str], *, sending: bool) -> None:
        """Die, if it is time to; while sending, once what is written in this tick has left."""
        for point in points:
            if (armed := self._armed.get(point)) is None:
                continue
            self._passed[point] += 1
            if not armed.is_due(self._passed[point], self._luck):
                continue
            if not sending:
                die(point)
            asyncio.get_running_loop().call_soon(die, point)


class Departing(list[T]):
    """Rows of arguments that the driver goes through when it writes them, in the tick in which it sends them."""

    def __iter__(self) -> Iterator[T]:
        reached("K3")
        reached("K4", "K5", "K6", sending=True)
        return super().__iter__()


def die(point: str) -> None:
    """End this process as a crash does: nothing is cleaned up."""
    os.write(sys.stderr.fileno(), f"crash point {point}\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)


_crashes = Crashes({}, None)

if ASKED:

    def reached(*points: str, sending: bool = False) -> None:
        """A call is at one of these points, or, while sending, will be once what is written in this tick has left."""
        _crashes.pass_by(points, sending=sending)

    def departing(rows: Sequence[T]) -> Sequence[T]:
        """The rows of one statement, on whose way to the server lie K3 to K6."""
        return Departing(rows)

else:

    def reached(*points: str, sending: bool = False) -> None:
        """Nothing: no crash is asked for."""

    def departing(rows: Sequence[T]) -> Sequence[T]:
        """The rows as they are: no crash is asked for."""
        return rows


def arm(settings: WorkerSettings) -> None:
    """Let this worker die as its environment asks. CrashPointsError where anything it talks to is not on this machine.

    Without it, as in every program but ``python -m worker``, the points stay harmless.
    """
    global _crashes  # noqa: PLW0603 - one process dies once
    if not ASKED:
        return
    direct, redis_url = settings.direct_url, settings.redis_url.get_secret_value()
    for url in (*settings.amqp_urls, settings.postgres_url.get_secret_value(), direct, redis_url):
        if not is_here(url):
            raise CrashPointsError(
                "ROWCALL_CRASH_AT kills workers and is for tests: it needs every server at a loopback address,"
                f" and {urlsplit(url).scheme} leads elsewhere"
            )
    _crashes = Crashes(Armed.read(os.environ["ROWCALL_CRASH_AT"]), os.environ.get("ROWCALL_CRASH_SEED"))


def is_here(url: str) -> bool:
    """Whether every host of an address is this machine. What does not say where it leads is taken to lead elsewhere."""
    parts = urlsplit(url)
    named = (parts.netloc.rpartition("@")[2], *parse_qs(parts.query).get("host", []))
    places = [place for hosts in named if hosts for place in hosts.split(",")]
    return bool(places) and all(_is_loopback(_host(place)) for place in places)


def _host(place: str) -> str:
    """A host without its port and without the brackets of IPv6."""
    return place[1:].partition("]")[0] if place.startswith("[") else place.rpartition(":")[0] or place


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.startswith("/"):  # a socket in the file system
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
