"""Rowcall's pytest plugin: ``rowcall_client``, a real client, and ``rowcall_stub``, one without servers.

It lies outside ``rpc_client`` because pytest loads every installed plugin: what does not use a fixture of ours imports
this module and nothing else. There is no async fixture here, so no plugin that runs such has to be installed or told.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from rpc_client import AsyncClient
    from rpc_client.testing import StubClient


@pytest.fixture
def rowcall_stub() -> StubClient:
    """A client without servers, which answers what the test tells it to: see ``rpc_client.testing``."""
    from rpc_client.testing import StubClient

    return StubClient()


@pytest.fixture
def rowcall_client() -> Iterator[AsyncClient]:
    """A client of the settings in the environment (``ROWCALL_…``), closed when the test ends.

    Whatever runs the test's coroutine will do: pytest-asyncio, anyio, or ``asyncio.run`` in a plain function.
    """
    from rpc_client import AsyncClient, ClientSettings
    from rpc_client.transport import Transport

    settings = ClientSettings()
    transport = Transport(settings)
    client = AsyncClient(settings, transport=transport)
    yield client
    _close(client, transport.loop)


def _close(client: AsyncClient, loop: AbstractEventLoop | None) -> None:
    """Close it on the loop it lives on. Where that is closed, it took the connection along, and any other will do."""
    from asyncio import new_event_loop

    if loop is not None and not loop.is_closed():
        loop.run_until_complete(client.close())
        return
    with closing(new_event_loop()) as another:
        another.run_until_complete(client.close())
