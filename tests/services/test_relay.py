"""The relay copies exactly what committed to the record, once and in order, whatever happens meanwhile."""

from __future__ import annotations

import pytest

from tests.record import assert_exact, complete, relaying, storm
from worker import stream


@pytest.fixture
async def settings(settings):
    """This test's own stream, which goes with it."""
    yield settings
    await stream.delete(settings)


async def test_what_twelve_writers_commit_is_recorded_exactly_once_and_in_order(settings, served, pipeline, sql):
    async with relaying(settings, served):
        await storm(pipeline, 5000)
        await complete(settings, sql)

    assert await assert_exact(settings, sql) >= 5000
