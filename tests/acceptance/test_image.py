"""The worker's image beside servers in containers: as somebody runs it who follows docs/deployment.md."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from rpc_client import AsyncClient, ClientSettings
from rpc_client.contract.platform import AsyncPlatform
from worker.servers import Servers, create_database, down, find
from worker.servers.docker import Docker
from worker.servers.errors import NoDocker
from worker.servers.project import compose_file

ROOT = Path(__file__).parents[2]
MARK = uuid4().hex[:8]
BUILD_S = 900
STEP_S = 120

pytestmark = [pytest.mark.heavy, pytest.mark.engine, pytest.mark.timeout(1500)]  # images may have to be downloaded


@dataclass(frozen=True)
class Deployed:
    """Two workers in containers, and what reaches them."""

    servers: Servers
    docker: Docker
    prefix: str
    workers: list[str]

    async def inspect(self, worker: str, form: str) -> str:
        return await self.docker.ask("docker", "inspect", "--format", form, worker)


@pytest.fixture
async def deployed(tmp_path: Path) -> AsyncIterator[Deployed]:
    image, prefix, database = (f"rowcall-image-{MARK}", f"rowcall-image-{MARK}", f"rowcall_image_{MARK}")
    docker = Docker(os.environ)
    try:
        await docker.check()
        compose = await docker.compose()
    except NoDocker as error:
        pytest.skip(str(error))
    try:
        await run(
            docker,
            "docker",
            "build",
            "--network",
            "host",
            "--file",
            str(ROOT / "deploy" / "Dockerfile"),
            "--tag",
            image,
            str(ROOT),
        )
        servers = await find(state=tmp_path, ways="compose")
        await create_database(servers.postgres_url, database)
        told = {"ROWCALL_IMAGE": image, "ROWCALL_PREFIX": prefix, "ROWCALL_DATABASE": database, **servers.project}
        words = ("--file", str(compose_file()), "up", "--detach", "--scale", "worker=2", "worker")
        await run(docker, *compose, *words, **told)
        label = f"label=com.docker.compose.project={told['COMPOSE_PROJECT_NAME']}"
        workers = await docker.ask("docker", "ps", "--quiet", "--filter", label, "--filter", f"ancestor={image}")
        yield Deployed(servers, docker, prefix, workers.split())
    finally:
        await down(state=tmp_path)
        await docker.run(["docker", "image", "rm", image], timeout_s=STEP_S)


async def run(docker: Docker, *command: str, **variables: str) -> None:
    code, output = await docker.run(command, timeout_s=BUILD_S, **variables)
    assert code == 0, output


async def test_workers_in_containers_answer_calls_report_health_and_end_in_order(deployed: Deployed) -> None:
    for worker in deployed.workers:
        while await deployed.inspect(worker, "{{.State.Health.Status}}") != "healthy":
            await asyncio.sleep(0.5)  # the engine's next look at it
    async with AsyncClient(ClientSettings(amqp_url=deployed.servers.amqp_url, prefix=deployed.prefix)) as client:
        user = await AsyncPlatform(client).create_user("u-1", "ada@example.org")
        first, second = deployed.workers
        await run(deployed.docker, "docker", "stop", first)
        credit = await AsyncPlatform(client).get_credits(user.id)

    _, log = await deployed.docker.run(["docker", "logs", first], timeout_s=STEP_S)
    assert credit == 0
    assert json.loads(log.splitlines()[-1])["event"] == "stopped"
    assert await deployed.inspect(first, "{{.State.ExitCode}}") == "0"
    assert await deployed.docker.ask("docker", "exec", second, "id", "--user") != "0"
