"""Which families a worker is told to serve, and what it says of those that cannot be had."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from rpc_client.contract import Service
from worker.registry import Family, Registry, RegistryError, find_families

ROOT = Path(__file__).parent.parent.parent


class Shelf(Service, name="shelf"):
    """Books."""


class Attic(Service, name="attic"):
    """Other things."""


def test_a_family_of_two_names_is_refused(tmp_path: Path):
    with pytest.raises(RegistryError, match=r"a family has one name, these registries have \['attic', 'shelf'\]"):
        Family(Registry(Shelf), Registry(Attic), sql=tmp_path)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two modules, each with a family called shelf."""
    for name in ("shelf_one", "shelf_two"):
        module = ModuleType(name)
        vars(module).update(family=Family(Registry(Shelf), sql=tmp_path), nothing=None)
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("modules")
def test_two_families_of_one_name_are_refused():
    with pytest.raises(RegistryError, match="two families are called 'shelf'"):
        find_families(["shelf_one:family", "shelf_two:family"])


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nowhere:family", r"the family 'nowhere:family' cannot be imported: .* No module named 'nowhere'"),
        ("shelf_one:fmaily", r"the family 'shelf_one:fmaily' cannot be imported: .* no attribute 'fmaily'"),
        ("shelf_one:nothing", "'shelf_one:nothing' is not a Family"),
    ],
)
def test_a_family_that_cannot_be_had_is_named_with_the_reason(name: str, complaint: str):
    with pytest.raises(RegistryError, match=complaint):
        find_families([name])


async def test_a_worker_that_cannot_start_says_why_in_one_line_and_ends_for_good(tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ROWCALL_FAMILIES": "nowhere:family"}

    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", stderr=asyncio.subprocess.PIPE, env=environment, cwd=tmp_path
    )
    _, said = await worker.communicate()

    assert worker.returncode == 78
    assert re.fullmatch(r"rowcall worker: the family 'nowhere:family' cannot be imported: .*'nowhere'\n", said.decode())
