"""Which way is chosen: with a `docker` that says what we want it to say, for no engine is needed to be turned down."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.servers.given import NAMES, Ours, clean
from worker.servers import ServersUnavailable, down, find, started
from worker.servers.docker import Docker
from worker.servers.errors import NoDocker
from worker.servers.kinds import KINDS
from worker.servers.project import compose_file

LOCAL = 'case "$*" in "version --format"*) echo 28.0;; "context inspect"*) echo unix:///var/run/docker.sock;;'
DEAD = 'echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock." >&2; exit 1'
BUSY = '*" up "*) echo "port is already allocated"; exit 1;;'


@pytest.fixture
def program(tmp_path: Path):
    """Put a program on a PATH of its own; it keeps a list of what it was asked."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def put(name: str, script: str) -> str:
        path = folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/asked\n{script}\n')
        path.chmod(0o755)
        return f"{folder}:/usr/bin:/bin"

    return put


def asked(tmp_path: Path) -> list[str]:
    file = tmp_path / "asked"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (DEAD, "no engine answers: Cannot connect to the Docker daemon"),
        ("exec sleep 60", r"no engine answers: docker took longer than 0.2 s"),
        ("exit 3", "no engine answers: exit code 3"),
        ('case "$1" in version) echo 28.0;; *) echo tcp://build-host:2375;; esac', "another machine .*build-host"),
    ],
)
async def test_an_engine_that_is_no_use_is_turned_down_with_the_reason(program, script: str, reason: str) -> None:
    docker = Docker({"PATH": program("docker", script)}, ask_s=0.2)

    with pytest.raises(NoDocker, match=reason):
        await docker.check()


async def test_without_docker_the_reason_is_that_there_is_none() -> None:
    with pytest.raises(NoDocker, match="there is no program docker"):
        await Docker({"PATH": "/nowhere"}).check()


async def test_the_plugin_is_preferred_and_the_older_program_will_do(program) -> None:
    without = program("docker", f"{LOCAL} *) exit 1;; esac")
    with pytest.raises(NoDocker, match=r"neither `docker compose` nor `docker-compose`"):
        await Docker({"PATH": without.partition(":")[0]}).compose()

    path = program("docker-compose", "exit 0")
    assert await Docker({"PATH": path}).compose() == ["docker-compose"]

    program("docker", "exit 0")
    assert await Docker({"PATH": path}).compose() == ["docker", "compose"]


async def test_only_the_way_asked_for_is_tried(program, ours: Ours, tmp_path: Path) -> None:
    environment = clean(PATH=program("docker", DEAD), ROWCALL_WITH="compose")

    with pytest.raises(ServersUnavailable) as caught:
        await find(state=tmp_path / "state", environment=environment, ports=ours.ports)

    message = str(caught.value)
    assert message.count("Docker Compose: no engine answers") == len(NAMES)
    assert "`docker version` must show a server" in message
    assert "running:" not in message
    assert "private instance:" not in message
    assert not (tmp_path / "state").exists()


async def test_docker_is_not_asked_when_it_is_left_out(program, ours: Ours, nowhere, tmp_path: Path) -> None:
    path = program("docker", DEAD)

    found = await find(state=tmp_path / "state", environment=clean(PATH=path), ports=ours.ports, ways="running")
    with pytest.raises(ServersUnavailable):
        await find(state=tmp_path / "state", environment=clean(PATH=path), ports=nowhere, ways="running")

    assert (found.amqp_url, found.postgres_url, found.redis_url) == ours.urls
    assert asked(tmp_path) == []


async def test_docker_is_asked_before_anything_private_is_started(program, nowhere, tmp_path: Path) -> None:
    path = program("docker", DEAD).partition(":")[0]

    with pytest.raises(ServersUnavailable) as caught:
        await find(state=tmp_path / "state", environment={"PATH": path}, ports=nowhere)

    tried = [line for line in str(caught.value).splitlines() if line.startswith("  Redis:")]
    places = [line.split(": ")[1] for line in tried]
    assert places == ["from the environment", "running", "Docker Compose", "private instance"]


async def test_an_unknown_way_is_an_error_that_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ServersUnavailable, match=r"no way 'podman' .* compose, environment, private, running"):
        await find(state=tmp_path, environment=clean(), ways="running, podman")


async def test_a_project_that_does_not_start_is_removed_and_forgotten(program, nowhere, tmp_path: Path) -> None:
    environment = {"PATH": program("docker", f"{LOCAL} {BUSY} esac"), "ROWCALL_WITH": "compose"}

    with pytest.raises(ServersUnavailable, match="Docker Compose: not started: port is already allocated"):
        await find(state=tmp_path / "state", environment=environment, ports=nowhere)

    ups, downs = ([line for line in asked(tmp_path) if f" {word} " in line] for word in ("up", "down"))
    assert len(ups) == len(downs) == 1
    assert ups[0].endswith("up --detach rabbitmq postgres redis")
    assert downs[0] == ups[0].partition(" up ")[0] + " down --volumes --remove-orphans"
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["servers.lock"]


async def test_containers_that_cannot_be_removed_are_not_forgotten(program, tmp_path: Path) -> None:
    (tmp_path / "compose.env").write_text("COMPOSE_PROJECT_NAME=rowcall-12345678\n")

    with pytest.raises(ServersUnavailable, match=r"rowcall-12345678 could not be removed: no engine answers"):
        await down(state=tmp_path, environment={"PATH": program("docker", DEAD)})

    assert started(tmp_path)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.service)
def test_the_compose_file_publishes_each_server_to_this_machine_only(kind) -> None:
    service = yaml.safe_load(compose_file().read_text())["services"][kind.service]

    assert f"127.0.0.1:${{ROWCALL_{kind.service.upper()}_PORT:-{kind.port}}}:{kind.port}" in service["ports"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["healthcheck"]["test"]
