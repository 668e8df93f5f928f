"""Nobody takes a worker's log any more: calls are served all the same."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from accounts import AsyncAccounts
from tests.processes import environment

WAYS = {
    "the disk is full": "exec {python} -m worker 2>/dev/full",
    "its reader has gone": "exec {python} -m worker",
    "it is closed": "exec {python} -m worker 2>&-",
}


@pytest.mark.parametrize(
    ("way", "log_format"),
    [
        ("its reader has gone", "console"),
        ("it is closed", "json"),
        pytest.param("the disk is full", "json", marks=pytest.mark.heavy),
        pytest.param("its reader has gone", "json", marks=pytest.mark.heavy),
        pytest.param("the disk is full", "console", marks=pytest.mark.heavy),
    ],
)
async def test_a_worker_whose_log_cannot_be_written_answers_calls(worker, settings, client, sql, way, log_format):
    await AsyncAccounts(client).open_account("a-1", "me")
    await worker.stop()
    reading, writing = os.pipe()
    os.close(reading)
    command = WAYS[way].format(python=sys.executable)
    mute = await asyncio.create_subprocess_exec(
        *("sh", "-c", command), env={**environment(settings), "ROWCALL_LOG_FORMAT": log_format}, stderr=writing
    )
    os.close(writing)
    try:
        for n in range(1, 11):
            assert await AsyncAccounts(client.with_options(timeout_s=30)).deposit("a-1", 5) == 5 * n
    finally:
        if mute.returncode is None:
            mute.terminate()
        code = await asyncio.wait_for(mute.wait(), 30)

    assert code == 0
    assert await sql.fetchval("select count(*) from accounts.entries") == 10
