"""A worker's keys when it starts: without one it serves what needs none, and says what that leaves out."""

from __future__ import annotations

import asyncio
import json
import sys

from tests.conftest import NAMED
from tests.processes import environment
from worker.__main__ import EX_CONFIG
from worker.keys import new_key

KEY = new_key()
FAMILIES = ",".join([*NAMED, "tests.acceptance.vault:family"])
CLEAR, UNSERVED = "dead letters are kept in the clear", "methods with secrets are not served: there is no key"


async def test_a_worker_does_not_start_with_what_is_no_key(settings, tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "worker",
        env={**environment(settings), "ROWCALL_ENCRYPTION_KEYS": f"{KEY},no-key-at-all"},
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )

    _, told = await process.communicate()

    assert process.returncode == EX_CONFIG
    assert "place 2 of 2 holds no key" in told.decode()
    assert told.count(b"\n") == 1
    assert b"no-key-at-all" not in told


async def test_a_worker_without_a_key_starts_and_says_once_what_that_means(start_worker):
    without = await start_worker(ROWCALL_FAMILIES=FAMILIES)
    sealing = await start_worker(ROWCALL_FAMILIES=FAMILIES, ROWCALL_ENCRYPTION_KEYS=KEY)

    logs = [[json.loads(line) for line in worker.log.read_text().splitlines()] for worker in (without, sealing)]
    told = [[line for line in log if line["event"] in {CLEAR, UNSERVED}] for log in logs]

    assert [[line["event"] for line in lines] for lines in told] == [[CLEAR, UNSERVED], []]
    assert told[0][1]["methods"] == [
        "platform.create_unsubscribe_token",
        "platform.get_user_integrations",
        "platform.get_user_metadata",
        "platform.patch_user_metadata",
        "platform.unsubscribe_by_token",
        "platform.update_user_integrations",
        "vault.log_in",
    ]
