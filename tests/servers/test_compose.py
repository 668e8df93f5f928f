"""Docker Compose with a real engine, which is an optional tool: without one these tests are skipped."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.servers.given import Ours, clean, port_of, value
from worker.servers import ServersUnavailable, create_database, down, find
from worker.servers.docker import Docker
from worker.servers.errors import NoDocker
from worker.servers.project import ProjectFile

DOCKER = ("DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "HOME")
LISTS = ("ps --all", "network ls", "volume ls")

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500)]  # images may have to be downloaded


def contained(**variables: str) -> dict[str, str]:
    """Docker Compose and nothing else."""
    known = {name: os.environ[name] for name in DOCKER if name in os.environ}
    return clean(ROWCALL_WITH="compose", **known, **variables)


async def ids(project: str) -> list[str]:
    """Every container, network and volume of a project."""
    docker = Docker(os.environ)
    label = ("--quiet", "--filter", f"label=com.docker.compose.project={project}")
    return [line for what in LISTS for line in (await docker.ask("docker", *what.split(), *label)).split()]


async def container_of(engine: Docker, state: Path, service: str) -> str:
    labels = (f"project={project_of(state)}", f"service={service}")
    filters = [word for label in labels for word in ("--filter", f"label=com.docker.compose.{label}")]
    return await engine.ask("docker", "ps", "--all", "--quiet", *filters)


def project_of(state: Path) -> str:
    project = ProjectFile(state).read()
    assert project is not None
    return project.name


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> Docker:
    docker = Docker(os.environ)
    try:
        await docker.check()
        await docker.compose()
    except NoDocker as error:
        pytest.skip(str(error))
    return docker


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theirs(engine: Docker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ours]:
    """The three servers in containers."""
    state = tmp_path_factory.mktemp("checkout") / ".rowcall"
    try:
        yield Ours(await find(state=state, environment=contained()), state)
    finally:
        await down(state=state)


async def test_the_three_servers_answer_from_containers(theirs: Ours) -> None:
    assert all(line.startswith("Docker Compose at 127.0.0.1:") for line in theirs.servers.chosen.values())
    assert theirs.servers.project["COMPOSE_PROJECT_NAME"] == project_of(theirs.state)
    assert int(await value(theirs.servers.postgres_url, "show server_version_num")) >= 170000


async def test_a_second_find_reuses_them_before_the_standard_ports(theirs: Ours, engine: Docker) -> None:
    before = await ids(project_of(theirs.state))

    again = await find(state=theirs.state, environment={**contained(), "ROWCALL_WITH": ""}, ports=theirs.ports)

    assert again == theirs.servers
    assert await ids(project_of(theirs.state)) == before


async def test_a_killed_container_comes_back_with_its_data_and_its_url(theirs: Ours, engine: Docker) -> None:
    name = f"kept{secrets.token_hex(4)}"
    url = await create_database(theirs.servers.postgres_url, name)
    await engine.ask("docker", "kill", await container_of(engine, theirs.state, "postgres"))

    again = await find(state=theirs.state, environment=contained())

    assert again == theirs.servers
    assert await value(url, "select current_database()") == name


async def test_two_folders_have_two_projects_and_down_removes_only_its_own(
    theirs: Ours, engine: Docker, tmp_path: Path
) -> None:
    others = await ids(project_of(theirs.state))
    urls = {"ROWCALL_AMQP_URL": theirs.servers.amqp_url, "ROWCALL_POSTGRES_URL": theirs.servers.postgres_url}

    found = await find(state=tmp_path, environment=contained(**urls))
    project = project_of(tmp_path)
    running = await ids(project)
    await down(state=tmp_path)

    assert found.redis_url != theirs.servers.redis_url
    assert found.project == {}  # a worker beside them would miss two of the three
    assert len(running) > 1
    assert await ids(project) == []
    assert await ids(project_of(theirs.state)) == others
    assert not ProjectFile(tmp_path).path.exists()


async def test_a_container_that_cannot_come_back_is_not_silently_replaced(
    theirs: Ours, engine: Docker, tmp_path: Path
) -> None:
    urls = {"ROWCALL_AMQP_URL": theirs.servers.amqp_url, "ROWCALL_POSTGRES_URL": theirs.servers.postgres_url}
    try:
        found = await find(state=tmp_path, environment=contained(**urls))
        await engine.ask("docker", "kill", await container_of(engine, tmp_path, "redis"))
        with socket.socket() as squatter:
            squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            squatter.bind(("127.0.0.1", port_of(found.redis_url)))
            squatter.listen()
            with pytest.raises(ServersUnavailable, match="Redis, Docker Compose of an earlier command: not started"):
                await find(state=tmp_path, environment={**contained(**urls), "ROWCALL_WITH": ""}, ports=theirs.ports)

        assert await find(state=tmp_path, environment=contained(**urls)) == found
    finally:
        await down(state=tmp_path)
