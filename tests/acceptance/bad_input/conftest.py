"""One worker for each file of tests: what a row does must not matter to the next."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.acceptance.bad_input.place import Place, opened


@pytest.fixture(scope="module")
async def place(servers, migrated, base_settings, tmp_path_factory) -> AsyncIterator[Place]:
    async with opened(servers, migrated, base_settings, tmp_path_factory.mktemp("bad-input")) as place:
        yield place
