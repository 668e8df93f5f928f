"""A worker's keys when it starts: without one, secrets are refused, and letters in the clear are said to be."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.conftest import environment
from worker.__main__ import EX_CONFIG
from worker.keys import new_key

KEY = new_key()


@pytest.mark.parametrize(
    ("keys", "remedy"),
    [("", "`rowcall keys new` makes a key"), (f"{KEY},no-key-at-all", "place 2 of 2 holds no key")],
    ids=["no key", "what is no key"],
)
async def test_a_worker_trusted_with_secrets_does_not_start_without_a_key_that_seals(settings, tmp_path, keys, remedy):
    given = {**environment(settings), "ROWCALL_FAMILIES": "tests.acceptance.vault:family"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "worker",
        env={**given, "ROWCALL_ENCRYPTION_KEYS": keys},
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )

    _, told = await process.communicate()

    assert process.returncode == EX_CONFIG
    assert remedy in told.decode()
    assert told.count(b"\n") == 1
    assert b"no-key-at-all" not in told


async def test_a_worker_without_a_key_says_once_that_it_keeps_letters_in_the_clear(start_worker):
    without, sealing = await start_worker(), await start_worker(ROWCALL_ENCRYPTION_KEYS=KEY)

    told = [worker.log.read_text().count('"dead letters are kept in the clear"') for worker in (without, sealing)]

    assert told == [1, 0]
