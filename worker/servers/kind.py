"""What Rowcall knows about one of its three servers: name, address, handshake, how to run it."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

COMMON_ERRORS = (OSError, EOFError, ValueError, OverflowError)  # the last two: an unusable URL
PROBE_S = 5.0  # a refused connection fails at once; this is for a server slow to shake hands


@dataclass(frozen=True, slots=True)
class Launch:
    """One process to start."""

    command: list[str]
    environment: Mapping[str, str]


class Kind(ABC):
    """One kind of server; everything Rowcall must know to find or to run it."""

    name: ClassVar[str]
    variable: ClassVar[str]
    port: ClassVar[int]
    package: ClassVar[str]
    """In Debian and Ubuntu."""
    service: ClassVar[str]
    """In docker-compose.yml."""
    programs: ClassVar[tuple[str, ...]]
    user: ClassVar[str]
    """Whom to run as when we are root: PostgreSQL insists, the others need no more."""
    polite: ClassVar[signal.Signals] = signal.SIGTERM
    """Asks for a clean end."""
    errors: ClassVar[tuple[type[Exception], ...]]
    """Those of the driver, apart from ``COMMON_ERRORS``."""

    @abstractmethod
    def urls(self, port: int) -> list[str]:
        """What to try at a port of this machine; a private instance answers to the first."""

    @abstractmethod
    async def probe(self, url: str) -> None:
        """Shake hands, or raise."""

    @abstractmethod
    def launches(self, home: Path, port: int, path: str) -> list[Launch]:
        """The processes to start, in order; the last one is the server itself."""

    async def prepare(self, home: Path, path: str) -> None:  # noqa: B027  # most need nothing
        """Make what must exist before a start; called before every start."""

    def search_path(self, path: str) -> str:
        """Where to look for ``programs``: the PATH and what distributions keep out of it."""
        return path

    async def refusal(self, url: str) -> str | None:
        """Why no usable server answers at ``url``; None when one does."""
        expected = COMMON_ERRORS + self.errors
        try:
            async with asyncio.timeout(PROBE_S):
                await self.probe(url)
        except TimeoutError:
            return f"no answer within {PROBE_S:g} s"
        except expected as error:
            return _without_password(str(error).rstrip(".") or type(error).__name__, url)

        return None

    def lacks(self, path: str) -> list[str]:
        """The programs that are not installed."""
        where = self.search_path(path)
        return [program for program in self.programs if not shutil.which(program, path=where)]

    def environment(self, home: Path, path: str) -> dict[str, str]:
        """Nothing else is inherited: a stray PGDATA or RABBITMQ_* leads to somebody's server."""
        return {"PATH": self.search_path(path), "HOME": str(home), "LC_ALL": "C.UTF-8"}


def nodes(urls: str) -> list[str]:
    """The URLs of a comma-separated list; a comma inside one, as in a password, is not a separator."""
    return re.split(r",\s*(?=\w+://)", urls)


def shown(urls: str) -> str:
    """The host and port of each URL, without user and password, for people."""
    hosts = [re.split("[/?#]", url.partition("://")[2].rpartition("@")[2])[0] for url in nodes(urls)]
    return ", ".join(host or "a local socket" for host in hosts)


def newest_first(pattern: str) -> list[str]:
    """Directories that carry a version, such as ``/usr/lib/postgresql/*/bin``."""
    found = [str(path) for path in Path("/").glob(pattern.removeprefix("/"))]
    return sorted(found, key=lambda path: [int(n) for n in re.findall(r"\d+", path)], reverse=True)


def _without_password(text: str, urls: str) -> str:
    for url in nodes(urls):
        try:
            password = urlsplit(url).password
        except ValueError:
            return "the URL cannot be read"
        text = text.replace(password, "***") if password else text

    return text
