"""``rowcall new family``: what it writes works as it stands, and a name that cannot be one is refused in one line."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from tests.conftest import ROOT
from tests.processes import environment
from worker.cli import app
from worker.cli.scaffold import SQL_WORDS, refusal
from worker.registry import find_families
from worker.settings import WorkerSettings

CHECK_S = 120


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A family as a person gets it, untouched."""
    folder = tmp_path_factory.mktemp("new")
    made = CliRunner().invoke(app, ["new", "family", "bee_hives", "--directory", str(folder)])
    assert made.exit_code == 0, made.output
    return folder / "bee_hives"


async def run(package: Path, *words: str, **variables: str) -> str:
    """Run a tool of our environment in the package; what it printed, if all is well."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *words,
        cwd=package,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), CHECK_S)
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_it_passes_its_own_tests_untouched(package, settings):
    variables = environment(settings)
    path = os.pathsep.join([str(package), variables.pop("PYTHONPATH")])

    output = await run(package, "pytest", "-q", "-p", "no:cacheprovider", **{**variables, "PYTHONPATH": path})

    assert "6 passed" in output


@pytest.mark.heavy
@pytest.mark.timeout(3 * CHECK_S)
@pytest.mark.parametrize(
    "words",
    [
        ["mypy", "--cache-dir", os.devnull],
        ["pyright", "--pythonpath", sys.executable],
        ["ruff", "check", "--no-cache"],
        ["ruff", "format", "--no-cache", "--check"],
        ["sqlfluff", "lint", "--config", str(ROOT / "pyproject.toml"), "--disable-progress-bar", "bee_hives"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
async def test_every_checker_is_content_with_it(package, words):
    await run(package, *words, MYPYPATH=f"{ROOT}:{package}")


async def test_its_calls_are_answered_over_the_broker(package, settings, client, start_worker):
    path = os.pathsep.join([str(package), environment(settings)["PYTHONPATH"]])
    await start_worker(ROWCALL_FAMILIES="bee_hives.services:family", PYTHONPATH=path)

    added = await client.call_by_name("bee_hives.add_item", "write", {"item_id": "i-1", "title": "Chair"})

    assert added["title"] == "Chair"
    assert await client.call_by_name("bee_hives.get_item", "read", {"item_id": "i-1"}) == added


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Bees", "use 2 to 30 of a-z, 0-9 and _, a letter first"),
        ("x", "use 2 to 30"),
        ("bee-hives", "use 2 to 30"),
        ("../bees", "use 2 to 30"),
        ("b" * 31, "use 2 to 30"),
        ("bees\n", "use 2 to 30"),
        ("", "use 2 to 30"),
        ("class", "a word of Python's"),
        ("order", "a word of SQL's"),
        ("pg_bees", "a word of SQL's"),
        ("rowcall", "Rowcall uses it itself"),
        ("item", "Rowcall uses it itself"),
        ("platform", "a Python module of that name"),
        ("accounts", "a Python module of that name"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_in_one_line_and_nothing_is_written(name, said, tmp_path):
    ran = CliRunner().invoke(app, ["new", "family", "--directory", str(tmp_path), "--", name])

    assert ran.exit_code == 1
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_written_over(tmp_path):
    (tmp_path / "bees").mkdir()

    ran = CliRunner().invoke(app, ["new", "family", "bees", "--directory", str(tmp_path)])

    assert (ran.exit_code, ran.stderr.count("\n")) == (1, 1)
    assert "exists already" in ran.stderr
    assert list((tmp_path / "bees").iterdir()) == []


async def test_every_word_that_postgresql_reserves_is_refused(sql: asyncpg.Connection):
    reserved = await sql.fetchval("select array_agg(word) from pg_get_keywords() where catcode in ('R', 'T')")

    assert set(reserved) <= SQL_WORDS


def test_the_name_of_a_family_that_is_there_is_not_free():
    served = {family.name for family in find_families(WorkerSettings(families=["*"]).families)}

    assert all(refusal(name) for name in served)
