"""The types: what programs and families may write is accepted by mypy and pyright, both strict, and nothing else is."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CHECKED = ROOT / "tests" / "typing"
CHECK_S = 120
Problem = tuple[str, int, str]
"""File, line, and the checker's word for what is wrong there."""
Checker = Callable[[Path, Path], Awaitable[set[Problem]]]

pytestmark = pytest.mark.timeout(2 * CHECK_S + 60)


async def mypy(folder: Path, cache: Path) -> set[Problem]:
    """What mypy says, with the settings of pyproject.toml, which are strict."""
    options = ["--cache-dir", str(cache), "--disable-error-code", "empty-body", "--output", "json"]
    # A cache of its own: whoever runs mypy beside the tests writes to the usual one.
    code, output = await _run("mypy", *options, str(folder), MYPYPATH=str(folder))
    found = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    problems = {(Path(p["file"]).name, p["line"], p["code"]) for p in found if p["severity"] == "error"}
    assert (code == 0) == (not problems), output
    return problems


async def pyright(folder: Path, _: Path) -> set[Problem]:
    """What pyright says, with the settings of the folder's pyrightconfig.json, which are strict."""
    code, output = await _run("pyright", "--project", str(folder), "--pythonpath", sys.executable, "--outputjson")
    found = json.loads(output)["generalDiagnostics"]
    problems = {(Path(p["file"]).name, p["range"]["start"]["line"] + 1, p["rule"]) for p in found}
    assert (code == 0) == (not problems), output
    return problems


async def _run(checker: str, *arguments: str, **environment: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        checker,
        *arguments,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), CHECK_S)
    except TimeoutError:
        process.kill()
        raise
    return process.returncode, output.decode() or errors.decode()


CHECKERS = pytest.mark.parametrize(
    ("checker", "ignore"),
    [(mypy, r"  # type: ignore\[(.+?)\]"), (pyright, r"  # pyright: ignore\[(.+?)\]")],
    ids=["mypy", "pyright"],
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


@CHECKERS
async def test_what_may_be_written_is_accepted_and_every_ignored_line_needs_its_comment(
    checker: Checker, ignore: str, cache: Path
):
    problems = await checker(CHECKED, cache)

    assert problems == set()


@pytest.mark.heavy
@CHECKERS
async def test_without_its_comments_each_ignored_line_is_an_error_of_that_very_kind(
    checker: Checker, ignore: str, cache: Path, tmp_path: Path
):
    copy = shutil.copytree(CHECKED, tmp_path / "typing", ignore=shutil.ignore_patterns("__pycache__"))
    refused = copy / "refused.py"
    lines = refused.read_text().splitlines()
    words = {n: ", ".join(re.findall(ignore, line)) for n, line in enumerate(lines, 1)}
    ignored = {("refused.py", n, word) for n, found in words.items() for word in found.split(", ") if word}
    refused.write_text("\n".join(line.partition("  # type: ignore")[0] for line in lines) + "\n")

    problems = await checker(copy, cache)

    assert problems == ignored
    assert len(ignored) >= 42
