"""Private servers for a module, and ports where nothing listens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.servers.given import (
    Ours,
    clean,
    silence,
)
from worker.servers import (
    down,
    find,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ours]:
    state = tmp_path_factory.mktemp("checkout") / ".rowcall"
    with silence() as nowhere:
        try:
            yield Ours(await find(state=state, environment=clean(), ports=nowhere), state)
        finally:
            await down(state=state)


@pytest.fixture
def nowhere() -> Iterator[dict[str, int]]:
    """Ports at which nothing listens, and nothing will while the test runs."""
    with silence() as ports:
        yield ports


# The environment
