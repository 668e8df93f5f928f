"""Lays out the client's wheel: ``rpc_client`` as it is, and beside it the module that pytest loads.

Hatchling puts a prefix before every file or before none: it knows no package whose folder is the project's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Layout(BuildHookInterface[Any]):
    """Says where each file goes."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add this folder's modules to a wheel. An editable one points at the folders themselves."""
        if version == "editable":
            return
        root, plugin = Path(self.root), Path(self.root, "plugin")
        modules = [root / "py.typed", *(path for path in root.rglob("*.py") if plugin not in path.parents)]
        placed = {str(path): f"rpc_client/{path.relative_to(root).as_posix()}" for path in modules}
        build_data["force_include"] |= {**placed, str(plugin / "rowcall_pytest.py"): "rowcall_pytest.py"}
