"""The servers of docker-compose.yml by testcontainers, which removes them even if the tests are killed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from worker.servers.docker import Docker
from worker.servers.errors import NoDocker
from worker.servers.kind import Kind
from worker.servers.places import Answer, Answers, Missing, each, look_at
from worker.servers.project import compose_file

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

ANSWER_S = 120.0
POLL_S = 0.2


class Containers:
    """A place to find servers that takes Docker Compose's turn in the tests."""

    way = "containers"
    name = "container"

    def __init__(self, docker: Docker) -> None:
        self._docker = docker
        self._started: list[DockerContainer] = []

    async def find(self, wanted: Sequence[Kind]) -> Answers:
        # Imported here, where they are wanted: they look for the engine at once.
        from docker.errors import DockerException

        try:
            await self._docker.check()
            for kind in wanted:
                await asyncio.to_thread(self._start, kind)
        except NoDocker as error:
            return {kind: Missing(str(error), error.remedy) for kind in wanted}
        except (DockerException, OSError) as error:
            return {kind: Missing(f"not started: {error}") for kind in wanted}
        containers = dict(zip(wanted, self._started[-len(wanted) :], strict=True))
        return await each(wanted, lambda kind: _answer(kind, containers[kind]))

    async def stop(self) -> None:
        """Remove every container and its volumes."""
        while self._started:
            await asyncio.to_thread(self._started.pop().stop)

    def _start(self, kind: Kind) -> None:
        from testcontainers.core.container import DockerContainer

        service = yaml.safe_load(compose_file().read_text())["services"][kind.service]
        options: dict[str, Any] = {name: service[name] for name in ("hostname", "shm_size") if name in service}
        container = DockerContainer(service["image"], command=service.get("command"), env=service.get("environment"))
        self._started.append(container)
        container.with_exposed_ports(kind.port).with_kwargs(**options).start()


async def _answer(kind: Kind, container: DockerContainer) -> Answer:
    port = await asyncio.to_thread(container.get_exposed_port, kind.port)
    try:
        async with asyncio.timeout(ANSWER_S):
            while isinstance(answer := await look_at(kind, port), Missing):
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        logs = await asyncio.to_thread(container.get_logs)
        return Missing(f"no answer within {ANSWER_S:g} s; its log: {b''.join(logs)[-1000:].decode(errors='replace')}")

    return answer


@dataclass
class OwnContainer:
    """A server of one test, on one port, which may be killed and started again with what it has on its disk."""

    kind: Kind
    port: int
    options: Sequence[str]
    container: DockerContainer | None = None

    async def start(self) -> None:
        await asyncio.to_thread(self._start)

    async def kill(self) -> None:
        assert self.container is not None
        await asyncio.to_thread(self.container.get_wrapped_container().kill)

    async def remove(self) -> None:
        if self.container is not None:
            await asyncio.to_thread(self.container.stop)

    def _start(self) -> None:
        from testcontainers.core.container import DockerContainer

        if self.container is not None:
            self.container.get_wrapped_container().start()
            return
        image = yaml.safe_load(compose_file().read_text())["services"][self.kind.service]["image"]
        self.container = DockerContainer(image, command=[*self.kind.programs, *self.options])
        self.container.with_bind_ports(self.kind.port, self.port).start()
