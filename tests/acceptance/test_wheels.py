"""The two wheels, each in an empty environment: what people install works, and brings nothing that it should not."""

from __future__ import annotations

import asyncio
import os
import sys
import venv
from collections.abc import AsyncIterator
from email.parser import HeaderParser
from pathlib import Path
from uuid import uuid4
from zipfile import ZipFile

import pytest

from rpc_client import __version__
from tests.conftest import ROOT
from tests.processes import environment
from worker import stream, topology
from worker.cli.scaffold import scaffold
from worker.servers import create_database, drop_database

INSTALL_S = 240
RUN_S = 60
CALL = """
import asyncio, importlib.util, rpc_client

async def call():
    async with rpc_client.AsyncClient() as client:
        await client.platform.create_user("u-1", "u-1@example.org")
        return await client.platform.get_credits("u-1")

there = [name for name in ("asyncpg", "worker", "structlog") if importlib.util.find_spec(name)]
print(there, asyncio.run(call()), rpc_client.__file__)
"""

pytestmark = pytest.mark.timeout(2 * INSTALL_S)


async def run(*words: str | Path, folder: Path, **variables: str) -> str:
    """Run a program outside of our environment; what it printed, if all is well."""
    keep = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"} or name.startswith("PIP_")}
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=folder,
        env={**keep, "COLUMNS": "200", **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), INSTALL_S)
    assert process.returncode == 0, errors.decode() + output.decode()
    return output.decode()


@pytest.fixture(scope="module")
async def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both, built as `make dist` builds them: from their source distributions."""
    made = tmp_path_factory.mktemp("dist")
    for project in ("rpc_client", "."):
        await run(sys.executable, "-m", "build", "--outdir", made, ROOT / project, folder=made)
    return {wheel.name.split("-")[0]: wheel for wheel in made.glob("*.whl")}


async def install(wheel: Path, folder: Path) -> Path:
    """A new environment with nothing in it but this wheel and what it asks for; its programs."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    where = ["--no-compile", "--find-links", wheel.parent]
    await run(sys.executable, "-m", "pip", "--python", python, "install", "-q", *where, wheel, folder=wheel.parent)
    return folder / "bin"


@pytest.fixture(scope="module")
async def installed(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return await install(wheels["rowcall"], tmp_path_factory.mktemp("rowcall"))


@pytest.fixture
async def empty_database(servers) -> AsyncIterator[str]:
    name = f"rowcall_wheel_{uuid4().hex[:8]}"
    try:
        yield await create_database(servers.postgres_url, name)
    finally:
        await drop_database(servers.postgres_url, name)


@pytest.mark.heavy
async def test_the_client_alone_calls_without_a_database_driver_and_without_the_worker(
    wheels, worker, settings, tmp_path
):
    programs = await install(wheels["rowcall_client"], tmp_path / "client")
    variables = {name: value for name, value in environment(settings).items() if name.startswith("ROWCALL_")}

    printed = await run(programs / "python", "-c", CALL, folder=tmp_path, **variables)

    there, balance, file = printed.rsplit(maxsplit=2)
    assert (there, balance) == ("[]", "0")
    assert Path(file).is_relative_to(tmp_path / "client")


@pytest.mark.heavy
async def test_rowcall_finds_its_sql_migrates_and_serves(installed, settings, empty_database, tmp_path):
    variables = {name: value for name, value in environment(settings).items() if name.startswith("ROWCALL_")}
    variables |= {"ROWCALL_POSTGRES_URL": empty_database, "ROWCALL_FAMILIES": "*"}

    migrated = await run(installed / "rowcall", "migrate", folder=tmp_path, **variables)
    with (tmp_path / "log").open("w") as log:
        worker = await asyncio.create_subprocess_exec(
            installed / "rowcall", "worker", cwd=tmp_path, env={"PATH": os.environ["PATH"], **variables}, stderr=log
        )
    try:
        async with asyncio.timeout(RUN_S):
            while '"consuming"' not in (tmp_path / "log").read_text():
                assert worker.returncode is None, (tmp_path / "log").read_text()
                await asyncio.sleep(0.05)
        printed = await run(installed / "python", "-c", CALL, folder=tmp_path, **variables)
    finally:
        if worker.returncode is None:
            worker.terminate()
        await asyncio.wait_for(worker.wait(), RUN_S)
        await topology.delete(settings)
        await stream.delete(settings)

    assert "applied rowcall/0001_receipts" in migrated
    assert "applied platform/0001_platform" in migrated
    assert " 0 " in printed
    assert worker.returncode == 0


async def test_rowcall_knows_its_version_and_brings_what_a_new_family_is_made_of(installed, tmp_path):
    said = await run(installed / "rowcall", "--version", folder=tmp_path)
    await run(installed / "rowcall", "new", "family", "bees", folder=tmp_path)

    written = {str(path.relative_to(tmp_path / "bees")) for path in (tmp_path / "bees").rglob("*") if path.is_file()}
    assert said.strip() == __version__
    assert written == {str(path) for path, _ in scaffold("bees")}


def test_both_carry_their_types_and_their_licence_and_are_of_one_version(wheels):
    # The plugin stands alone, so that pytest does not import the client with it.
    for name, package, beside in (
        ("rowcall_client", "rpc_client", {"rowcall_pytest.py"}),
        ("rowcall", "worker", set()),
    ):
        with ZipFile(wheels[name]) as wheel:
            info = f"{name}-{__version__}.dist-info"
            told = HeaderParser().parsestr(wheel.read(f"{info}/METADATA").decode())
            tops = {entry.partition("/")[0] for entry in wheel.namelist()}
            assert tops == {package, info} | beside
            assert f"{package}/py.typed" in wheel.namelist()
            assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
            assert (told["Version"], told["License-Expression"]) == (__version__, "MIT")
            wanted = told.get_all("Requires-Dist") or []
            assert (f"rowcall-client=={__version__}" in wanted) == (name == "rowcall")
            assert not (name == "rowcall_client" and any(line.startswith("asyncpg") for line in wanted))
