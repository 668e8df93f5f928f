"""The points at which tests kill workers: armed only on purpose, only here, and nothing to anybody else."""

from __future__ import annotations

import ast
import asyncio
import os
import random
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from worker import answers, consumer, copying, crash_points, database, groups, replies
from worker.crash_points import POINTS, Armed, CrashPointsError
from worker.settings import WorkerSettings

MEANT = {"ROWCALL_TEST_HOOKS": "1", "ROWCALL_CRASH_AT": "K6"}
HERE = "amqp://guest:guest@127.0.0.1:5672/"


def named(file: Path) -> set[str]:
    """The points that are passed in a file."""
    calls = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    reached = [call for call in calls if getattr(call.func, "id", "") == "reached"]
    return {argument.value for call in reached for argument in call.args if isinstance(argument, ast.Constant)}


def test_every_point_is_somewhere_in_the_worker():
    assert set.union(*(named(file) for file in (ROOT / "worker").rglob("*.py"))) == set(POINTS)


def test_unarmed_every_point_is_one_call_of_a_function_that_does_nothing():
    rows = [("a", 1)]

    for module in (answers, consumer, copying, database, groups, replies):
        assert module.reached is crash_points.reached
    assert crash_points.reached.__code__.co_names == ()
    assert crash_points.departing(rows) is rows


def test_a_point_is_due_always_or_at_one_passing_or_by_a_seeded_chance():
    armed = Armed.read("K6@3, K2:1/300,K10")

    def deaths(point: str, passings: int, seed: str = "7") -> list[int]:
        luck = random.Random(seed)
        return [passed for passed in range(1, passings + 1) if armed[point].is_due(passed, luck)]

    assert deaths("K10", 2) == [1, 2]
    assert deaths("K6", 9) == [3]
    assert deaths("K2", 9000) == deaths("K2", 9000) != deaths("K2", 9000, seed="8")
    assert 10 <= len(deaths("K2", 9000)) <= 60


@pytest.mark.parametrize("text", ["", "K12", "k6", "K6@0", "K6:1/0", "K6,", "K6,K6@2", "K6:0.5"])
def test_what_names_no_point_is_refused(text):
    with pytest.raises(CrashPointsError, match="ROWCALL_CRASH_AT"):
        Armed.read(text)


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("amqp://guest:guest@127.0.0.1:5672/", True),
        ("redis://localhost", True),
        ("redis://[::1]:6379/0", True),
        ("postgresql://postgres@127.0.0.1:5432,localhost:5433/rowcall", True),
        ("postgresql:///rowcall?host=/var/run/postgresql", True),
        ("postgresql://postgres@127.0.0.1:5432,db.example:5432/rowcall", False),
        ("postgresql://postgres@127.0.0.1:5432/rowcall?host=db.example", False),
        ("postgresql:///rowcall", False),
        ("amqp://guest:127.0.0.1@10.0.0.7/", False),
        ("redis://localhost.example:6379/0", False),
        ("redis://0.0.0.0:6379/0", False),
    ],
)
def test_only_addresses_that_surely_are_of_this_machine_count(url, here):
    assert crash_points.is_here(url) is here


async def start_and_end(**environment: str) -> tuple[int | None, str]:
    """How a worker with this environment ends: it is told of servers where nobody listens."""
    nowhere = {"ROWCALL_AMQP_URL": HERE, "ROWCALL_POSTGRES_URL": "postgresql://postgres@127.0.0.1:1/none"}
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "worker"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **nowhere, **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, said.decode()


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("amqp_url", f"{HERE},amqp://guest:guest@broker.example/"),
        ("postgres_url", "postgresql://postgres@db.example/rowcall"),
        ("postgres_direct_url", "postgresql://postgres@db.example/rowcall"),
        ("redis_url", "redis://redis.example:6379/0"),
    ],
)
def test_arming_is_refused_where_any_server_is_elsewhere(monkeypatch, setting, url):
    monkeypatch.setattr(crash_points, "ASKED", True)
    settings = WorkerSettings.model_validate({setting: url})

    with pytest.raises(CrashPointsError, match=f"at a loopback address, and {url.partition(':')[0]} leads elsewhere"):
        crash_points.arm(settings)


async def test_a_worker_that_is_to_crash_refuses_to_start_where_a_server_is_elsewhere():
    code, said = await start_and_end(**MEANT, ROWCALL_REDIS_URL="redis://redis.example:6379/0")

    assert (code, "it needs every server at a loopback address, and redis leads elsewhere" in said) == (78, True)


async def test_a_worker_that_cannot_read_where_to_crash_refuses_to_start():
    code, said = await start_and_end(**MEANT | {"ROWCALL_CRASH_AT": "K66"})

    assert (code, "'K66' is none of K0 … K11" in said) == (78, True)


async def test_without_the_hooks_of_tests_the_points_stay_harmless_wherever_the_servers_are():
    code, said = await start_and_end(ROWCALL_CRASH_AT="K6", ROWCALL_REDIS_URL="redis://redis.example:6379/0")

    assert (code, "PostgreSQL cannot be used now" in said) == (75, True)
