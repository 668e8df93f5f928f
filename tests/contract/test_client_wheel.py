"""The client's wheel: the package as it is, and beside it the one module that pytest loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "rpc_client"


def test_the_wheel_holds_every_module_and_the_plugin_outside_the_package(tmp_path: Path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=PACKAGE, check=True, capture_output=True, timeout=50)
    (wheel,) = tmp_path.glob("*.whl")

    packed = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}

    modules = [path for path in PACKAGE.rglob("*.py") if PACKAGE / "plugin" not in path.parents]
    own = {path.relative_to(ROOT).as_posix() for path in [*modules, PACKAGE / "py.typed"]}
    assert packed == {*own, "rowcall_pytest.py"}
    assert "rpc_client/testing/__init__.py" in packed
