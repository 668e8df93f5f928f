"""That the benchmark runs: its smallest cell, for half a second."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEYS = {"system", "workload", "setting", "callers", "workers", "calls_per_s", "p50_ms", "p99_ms", "cpu_ms_per_call"}
GROUPS = {"client", "worker", "broker", "postgres", "redis", "total"}


@pytest.mark.heavy
@pytest.mark.timeout(120)
async def test_the_smallest_cell_gives_a_row_for_every_system(servers, tmp_path):
    file = tmp_path / "bench.json"
    words = ["--only", "rowcall/noop/lone,direct/noop/lone", "--rounds", "1", "--seconds", "0.5", "--json", str(file)]
    urls = {
        "ROWCALL_AMQP_URL": servers.amqp_url,
        "ROWCALL_POSTGRES_URL": servers.postgres_url,
        "ROWCALL_REDIS_URL": servers.redis_url,
        "ROWCALL_WITH": "environment",
    }

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks", *words, env={**os.environ, **urls}, cwd=ROOT
    )
    code = await process.wait()

    assert code == 0
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["system"] for row in rows] == ["rowcall", "direct"]
    for row in rows:
        assert row.keys() == KEYS
        assert row["cpu_ms_per_call"].keys() == GROUPS
        assert row["calls_per_s"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"]
