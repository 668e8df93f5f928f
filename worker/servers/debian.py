"""Installing the servers' packages on Debian and Ubuntu, without starting their services."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from worker.servers.errors import NotInstalled
from worker.servers.kind import Kind
from worker.servers.process import run, tail
from worker.servers.records import Say

UPDATE_S = 300.0
INSTALL_S = 900.0
POLICY = Path("/usr/sbin/policy-rc.d")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Packages:
    """Installs when ``allowed``; otherwise says which command would."""

    def __init__(self, environment: Mapping[str, str], say: Say, *, allowed: bool) -> None:
        self.environment = {**environment, "PATH": SYSTEM_PATH, "DEBIAN_FRONTEND": "noninteractive"}
        self.say = say
        self.allowed = allowed

    async def provide(self, kinds: Sequence[Kind]) -> None:
        if not kinds:
            return
        if remedy := self._remedy(kinds):
            raise NotInstalled(remedy)
        packages = [kind.package for kind in kinds]
        self.say(f"installing {', '.join(packages)} with apt-get")
        with _no_services():
            update = await self._apt_get(UPDATE_S, "update")
            code, output = await self._apt_get(INSTALL_S, "install", *_flags(), *packages)
        if code:  # an update may fail for a source that has nothing to do with us
            raise NotInstalled(f"`{command(kinds)}` failed:\n{tail(update[1])}\n{tail(output)}")

    def _remedy(self, kinds: Sequence[Kind]) -> str | None:
        """What a person has to do; None when we can do it ourselves."""
        if not (Path("/etc/debian_version").exists() and shutil.which("apt-get", path=SYSTEM_PATH)):
            return f"install {', '.join(kind.name for kind in kinds)} (this is not Debian or Ubuntu)"
        if not self.allowed:
            return f"run as root: {command(kinds)} (--install or ROWCALL_INSTALL=1 does it for you)"
        if os.geteuid() != 0:
            return f"installing needs root; run as root: {command(kinds)}"

        return None

    async def _apt_get(self, timeout_s: float, *words: str) -> tuple[int, str]:
        line = ["apt-get", "-o", "DPkg::Lock::Timeout=120", *words]
        try:
            return await run(line, timeout_s=timeout_s, environment=self.environment)
        except TimeoutError as error:
            return 1, str(error)


def command(kinds: Sequence[Kind]) -> str:
    packages = " ".join(kind.package for kind in kinds)
    return f"apt-get update && apt-get install {' '.join(_flags())} {packages}"


def _flags() -> list[str]:
    return ["-y", "--no-install-recommends"]


@contextmanager
def _no_services() -> Iterator[None]:
    """Packages ask policy-rc.d whether to start their service; 101 is no. An existing one stays."""
    try:
        with POLICY.open("x") as policy:
            policy.write("#!/bin/sh\nexit 101\n")
    except FileExistsError:
        yield
        return
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
