"""What can go wrong while looking for servers."""

from __future__ import annotations


class ServersUnavailable(Exception):
    """A server is not to be had; the message says what was tried and what to do."""


class NotStarted(Exception):
    """A private instance did not come up; never leaves this package."""


class NotInstalled(Exception):
    """Packages are absent; the message says how to get them; never leaves this package."""


class NoDocker(Exception):
    """Docker cannot be used: why, and what to do about it; never leaves this package."""

    def __init__(self, reason: str, remedy: str | None = None) -> None:
        super().__init__(reason)
        self.remedy = remedy
