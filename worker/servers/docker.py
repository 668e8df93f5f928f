"""Docker's command line: whether there is an engine on this machine, and which Compose there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from worker.servers.errors import NoDocker
from worker.servers.process import run, tail

ASK_S = 5.0  # for questions; an engine that is there answers at once
LOCAL = (None, "localhost", "127.0.0.1", "::1")  # a socket has no host name
PROGRAMS = (["docker", "compose"], ["docker-compose"])


class Docker:
    """Runs docker in the whole environment it is given: DOCKER_HOST and the like say where the engine is."""

    def __init__(self, environment: Mapping[str, str], *, ask_s: float = ASK_S) -> None:
        self.environment = environment
        self.ask_s = ask_s

    async def check(self) -> None:
        """Raise NoDocker unless an engine answers whose published ports are ports of this machine."""
        try:
            await self.ask("docker", "version", "--format", "{{.Server.Version}}")
        except NoDocker as error:
            raise NoDocker(f"no engine answers: {error}", "start Docker: `docker version` must show a server") from None
        address = await self.ask("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
        if urlsplit(address).hostname not in LOCAL:
            raise NoDocker(f"the engine is on another machine ({address}), and so are the ports it publishes")

    async def compose(self) -> list[str]:
        """The command of Docker Compose: the plugin, or else the older program."""
        for command in PROGRAMS:
            with suppress(NoDocker):
                await self.ask(*command, "version")
                return command

        raise NoDocker("there is neither `docker compose` nor `docker-compose`", "install Docker's Compose plugin")

    async def ask(self, *command: str) -> str:
        """What a question is answered with; it should be answered soon, and with success."""
        try:
            code, output = await self.run(command, timeout_s=self.ask_s)
        except FileNotFoundError:
            raise NoDocker(f"there is no program {command[0]}") from None
        except (OSError, TimeoutError) as error:
            raise NoDocker(str(error)) from None
        if code:
            raise NoDocker(" ".join(tail(output).split()) or f"exit code {code}")

        return output

    async def run(self, command: Sequence[str], *, timeout_s: float, **variables: str) -> tuple[int, str]:
        """Its exit code and what it wrote, under these variables too."""
        return await run(command, timeout_s=timeout_s, environment={**self.environment, **variables})
