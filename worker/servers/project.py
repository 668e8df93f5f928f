"""Our Docker Compose project, written down as the file of variables that Compose itself reads."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from dotenv import dotenv_values

from worker.servers.errors import ServersUnavailable
from worker.servers.kind import Kind
from worker.servers.port import free_port

NAME = "COMPOSE_PROJECT_NAME"
MANAGEMENT = "ROWCALL_MANAGEMENT_PORT"


@dataclass(frozen=True, slots=True)
class Project:
    """A name nobody else has, and a port for every server: containers may go and come, URLs stay."""

    variables: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.variables[NAME]

    def port(self, kind: Kind) -> int:
        return int(self.variables[_variable(kind)])

    def has(self, kind: Kind) -> bool:
        return _variable(kind) in self.variables

    def plus(self, kinds: Sequence[Kind]) -> Project:
        """With ports for these too."""
        names = [name for name in (*map(_variable, kinds), MANAGEMENT) if name not in self.variables]
        return Project({**self.variables, **{name: str(free_port()) for name in names}})


def new_project() -> Project:
    """Random: the same folder on another machine may share the engine."""
    return Project({NAME: f"rowcall-{secrets.token_hex(4)}"})


def compose_file() -> Path:
    """In the installed package, or in the repository."""
    installed = Path(str(files("worker"))) / "docker-compose.yml"
    return installed if installed.is_file() else Path(__file__).parents[2] / "docker-compose.yml"


class ProjectFile:
    """Remembers the project; change it only while holding ``locked``."""

    def __init__(self, state: Path) -> None:
        self.path = state / "compose.env"

    def read(self) -> Project | None:
        if not self.path.exists():
            return None
        variables = {name: value for name, value in dotenv_values(self.path).items() if value}
        if NAME not in variables:
            raise ServersUnavailable(f"{self.path} does not say {NAME}: remove our containers by hand, then delete it")

        return Project(variables)

    def write(self, project: Project) -> None:
        draft = self.path.with_suffix(".part")  # whole or not at all: a torn record leaks containers
        draft.write_text("".join(f"{name}={value}\n" for name, value in project.variables.items()))
        draft.replace(self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def _variable(kind: Kind) -> str:
    return f"ROWCALL_{kind.service.upper()}_PORT"
