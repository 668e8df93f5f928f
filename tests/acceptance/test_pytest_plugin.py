"""The pytest plugin: a client for whichever plugin runs the tests, and no import for those that use none of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from tests.conftest import RUN
from tests.processes import environment, workers
from worker.settings import WorkerSettings
from worker.testing import scratch_database

LISTS_MODULES = """
import json, sys

def pytest_unconfigure(config):
    print("modules:", json.dumps(sorted(sys.modules)))
"""
CALLS = """
import asyncio
from uuid import uuid4

import pytest

from rpc_client import Disconnected

kept = []


@pytest.fixture
{fixture}async def user(rowcall_client):
    created = await rowcall_client.platform.create_user(str(uuid4()), f"{{uuid4()}}@example.org")
    yield created.id
    assert await rowcall_client.platform.get_credits(created.id) == 500


{mark}async def test_calls_are_answered(rowcall_client, user):
    kept.append(rowcall_client)

    assert await rowcall_client.platform.add_credits(user, 500, "gift") == 500


{mark}async def test_the_client_of_the_test_before_is_closed():
    (client,) = kept

    with pytest.raises(Disconnected):
        await client.platform.get_credits("user-1")
    assert client._transport._link.connection is None
"""
PLAIN = """
import asyncio

import pytest

from rpc_client import NotFoundError


async def gift(client):
    with pytest.raises(NotFoundError):
        await client.platform.add_credits("nobody", 500, "gift")


def test_a_plain_function_runs_the_loop_itself(rowcall_client):
    asyncio.run(gift(rowcall_client))


def test_a_client_that_nobody_used_is_closed_too(rowcall_client):
    assert rowcall_client.settings.prefix
"""
STUBBED = """
import asyncio

from rpc_client.testing import StubClient


def test_a_stub_answers(rowcall_stub: StubClient):
    rowcall_stub.platform.get_credits.answers(500)

    assert asyncio.run(rowcall_stub.platform.get_credits("user-1")) == 500


def test_every_test_has_its_own(rowcall_stub: StubClient):
    assert rowcall_stub.calls == []
"""
NEITHER = ["-p", "no:asyncio", "-p", "no:anyio"]


@pytest.fixture(scope="module")
async def reachable(base_settings: WorkerSettings, migrated: str, tmp_path_factory) -> AsyncIterator[dict[str, str]]:
    """A worker that answers every test of this file, as the environment names it to them."""
    async with scratch_database(base_settings.postgres_url.get_secret_value(), copy_of=migrated) as url:
        own = {"postgres_url": SecretStr(url), "prefix": f"rowcall-test-{RUN}-{uuid4().hex[:8]}"}
        settings = base_settings.model_copy(update=own)
        async with workers(settings, tmp_path_factory.mktemp("worker")) as start:
            await start()
            yield environment(settings)


async def run_pytest(folder: Path, tests: str, *options: str, **variables: str) -> str:
    """Run these tests in a process of their own, where every warning is an error; what pytest printed."""
    (folder / "test_inner.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\n")
    always = ["-q", "-W", "error", "-p", "no:cacheprovider"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *["-m", "pytest", *always, *options],
        cwd=folder,
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await asyncio.wait_for(process.communicate(), 50))[0].decode()
    assert process.returncode == 0, output
    return output


async def modules_after(folder: Path, *options: str) -> set[str]:
    (folder / "conftest.py").write_text(LISTS_MODULES)
    output = await run_pytest(folder, "def test_nothing_of_ours():\n    pass\n", *NEITHER, *options)
    return set(json.loads(output.rpartition("modules: ")[2]))


async def test_tests_that_use_no_fixture_of_ours_import_the_plugins_module_and_nothing_else(tmp_path: Path):
    with_plugin = await modules_after(tmp_path)
    without = await modules_after(tmp_path, "-p", "no:rowcall")

    assert with_plugin - without == {"rowcall_pytest"}


def calls(mark: str, fixture: str = "") -> str:
    return CALLS.format(mark=mark, fixture=fixture).replace("@pytest.fixture\n@", "@")


STRICT = calls("@pytest.mark.asyncio\n", "@__import__('pytest_asyncio').fixture\n")
ANYIO = calls("@pytest.mark.anyio\n") + "\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
PER_TEST = ["-o", "asyncio_default_fixture_loop_scope=function"]
PER_SESSION = ["-o", "asyncio_default_fixture_loop_scope=session", "-o", "asyncio_default_test_loop_scope=session"]


@pytest.mark.parametrize(
    ("tests", "options"),
    [
        (STRICT, ["-p", "no:anyio", *PER_TEST]),
        pytest.param(STRICT, ["-p", "no:anyio", *PER_SESSION], marks=pytest.mark.heavy),
        pytest.param(calls(""), ["-p", "no:anyio", "--asyncio-mode=auto", *PER_TEST], marks=pytest.mark.heavy),
        (calls(""), ["-p", "no:anyio", "--asyncio-mode=auto", *PER_SESSION]),
        (ANYIO, ["-p", "no:asyncio"]),
        pytest.param(ANYIO, PER_TEST, marks=pytest.mark.heavy),
        (PLAIN, NEITHER),
        pytest.param(PLAIN, PER_SESSION, marks=pytest.mark.heavy),
    ],
    ids=["strict", "strict-session", "auto", "auto-session", "anyio", "anyio-beside-asyncio", "neither", "plain"],
)
async def test_the_client_works_with_whatever_runs_the_tests(
    reachable: dict[str, str], tmp_path: Path, tests: str, options: list[str]
):
    assert "2 passed" in await run_pytest(tmp_path, tests, *options, **reachable)


async def test_the_stub_needs_no_plugin_for_async_tests_and_no_servers(tmp_path: Path):
    assert "2 passed" in await run_pytest(tmp_path, STUBBED, *NEITHER)
