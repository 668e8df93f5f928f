"""Servers of our own in containers: one Docker Compose project for each state directory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from worker.servers.docker import Docker
from worker.servers.errors import NoDocker, NotStarted, ServersUnavailable
from worker.servers.kind import Kind
from worker.servers.places import Answer, Answers, Missing, each, look_at, unbroken
from worker.servers.process import tail
from worker.servers.project import Project, ProjectFile, compose_file, new_project
from worker.servers.records import Say, locked

UP_S = 1200.0  # images may have to be downloaded
DOWN_S = 180.0
LOGS_S = 20.0
ANSWER_S = 120.0  # RabbitMQ needs up to 60 s on a slow machine
POLL_S = 0.5  # a glance at a container costs a process


class Compose:
    """The servers of our ``docker-compose.yml``, on ports that nobody else uses."""

    way = "compose"
    name = "Docker Compose"

    def __init__(self, docker: Docker, file: ProjectFile, say: Say) -> None:
        self.docker = docker
        self.file = file
        self.say = say

    async def find(self, wanted: Sequence[Kind]) -> Answers:
        try:
            await self._command()
        except NoDocker as error:
            return {kind: Missing(str(error), error.remedy) for kind in wanted}
        async with locked(self.file.path.parent, self.say):
            before = self.file.read()
            project = (before or new_project()).plus(wanted)
            self.file.write(project)
            answers = await self.ensure(project, wanted)
            if not (missing := {kind: no for kind, no in answers.items() if isinstance(no, Missing)}):
                return answers
            if before is None:
                await self.remove()
            else:
                self.file.write(before)

        other = Missing("not started, because another server cannot be")
        return {kind: missing.get(kind, other) for kind in wanted}

    async def ensure(self, project: Project, kinds: Sequence[Kind]) -> Answers:
        """Create their containers, or start those that stopped, and wait until they answer."""
        services = [kind.service for kind in kinds]
        self.say(f"Docker Compose: starting {', '.join(services)} as {project.name}; missing images are downloaded")
        try:
            code, output = await self._compose(project, "up", "--detach", *services, timeout_s=UP_S)
        except (NoDocker, TimeoutError) as error:
            code, output = 1, str(error)
        if code:
            return {kind: Missing(f"not started: {tail(output)}") for kind in kinds}

        return await each(kinds, lambda kind: self._answer(project, kind))

    async def remove(self) -> None:
        """Delete our containers, networks and volumes, and nothing of any other project."""
        if (project := self.file.read()) is None:
            return
        try:
            code, output = await self._compose(project, "down", "--volumes", "--remove-orphans", timeout_s=DOWN_S)
        except (NoDocker, TimeoutError) as error:
            code, output = 1, str(error)
        if code:
            raise ServersUnavailable(
                f"The containers of {project.name} could not be removed: {tail(output)}\n"
                f"Try again when Docker answers; if they are gone for good, delete {self.file.path}."
            )
        self.file.remove()
        self.say(f"Docker Compose: removed {project.name} and its volumes")

    async def _answer(self, project: Project, kind: Kind) -> Answer:
        """Wait while the container runs: a busy server is not a dead one."""
        healthy = False
        try:
            async with asyncio.timeout(ANSWER_S):
                while isinstance(answer := await look_at(kind, project.port(kind)), Missing):
                    if healthy:  # it was, and still could not be reached after that
                        raise NotStarted(f"its container is healthy, but from here {answer.reason}")
                    healthy = await self._is_healthy(project, kind)
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            return Missing(f"no answer within {ANSWER_S:g} s; {await self._last_words(project, kind)}")
        except (NotStarted, NoDocker) as error:
            return Missing(f"{error}; {await self._last_words(project, kind)}")

        return answer

    async def _is_healthy(self, project: Project, kind: Kind) -> bool:
        """What the engine says; NotStarted when it is no use to wait."""
        labels = (f"project={project.name}", f"service={kind.service}")
        filters = [word for label in labels for word in ("--filter", f"label=com.docker.compose.{label}")]
        status = await self.docker.ask("docker", "ps", "--all", *filters, "--format", "{{.Status}}")
        if not status.startswith("Up"):
            raise NotStarted(f"its container does not run: {status or 'it is gone'}")

        return "(healthy)" in status

    async def _last_words(self, project: Project, kind: Kind) -> str:
        words = ("logs", "--no-color", "--tail", "5", kind.service)
        try:
            _, output = await self._compose(project, *words, timeout_s=LOGS_S)
        except (NoDocker, TimeoutError) as error:
            output = str(error)
        return f"its log ends with:\n{tail(output)}"

    async def _compose(self, project: Project, *words: str, timeout_s: float) -> tuple[int, str]:
        line = [*await self._command(), "--file", str(compose_file()), "--project-name", project.name, *words]
        return await self.docker.run(line, timeout_s=timeout_s, **project.variables)

    async def _command(self) -> list[str]:
        await self.docker.check()
        return await self.docker.compose()


class RecordedCompose:
    """What an earlier command started with Docker Compose, before the standard ports: our databases are in there."""

    way = Compose.way
    name = Compose.name

    def __init__(self, compose: Compose) -> None:
        self.compose = compose

    async def find(self, wanted: Sequence[Kind]) -> Answers:
        file = self.compose.file
        if not file.path.exists():
            return {}
        async with locked(file.path.parent, self.compose.say):
            project = file.read()
            if project is None or not (kinds := [kind for kind in wanted if project.has(kind)]):
                return {}
            return unbroken(self.name, await self.compose.ensure(project, kinds))
