"""The finder against real servers: it starts its own, so a machine needs only the programs."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import stat
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.servers.given import (
    NAMES,
    SERVER_OF,
    VARIABLES,
    Ours,
    clean,
    create_role,
    homes,
    is_running,
    listeners,
    nothing_runs_for,
    pids,
    read,
    write,
)
from worker.servers import (
    ServersUnavailable,
    down,
    find,
)

pytestmark = pytest.mark.timeout(300)  # starting RabbitMQ can take a minute on a slow machine


async def test_urls_in_the_environment_win_and_are_used_as_given(ours: Ours, tmp_path: Path) -> None:
    found = await find(state=tmp_path / "state", environment=ours.environment)

    assert (found.amqp_url, found.postgres_url, found.redis_url) == ours.urls
    assert all(line.startswith("from the environment at ") for line in found.chosen.values())
    assert not (tmp_path / "state").exists()


async def test_one_answering_node_among_several_amqp_urls_is_enough(
    ours: Ours, tmp_path: Path, nowhere: dict[str, int]
) -> None:
    several = f"amqp://guest:guest@127.0.0.1:{nowhere['RabbitMQ']}/,{ours.servers.amqp_url}"
    environment = {**ours.environment, "ROWCALL_AMQP_URL": several}

    found = await find(state=tmp_path, environment=environment)

    assert found.amqp_url == several


@pytest.mark.parametrize("variable", VARIABLES)
async def test_a_wrong_url_in_the_environment_is_an_error_that_names_its_variable(
    variable: str, ours: Ours, tmp_path: Path, nowhere: dict[str, int]
) -> None:
    port = nowhere[SERVER_OF[variable]]
    scheme = urlsplit(ours.environment[variable]).scheme
    environment = {**ours.environment, variable: f"{scheme}://someone:s3,cret@127.0.0.1:{port}/"}

    with pytest.raises(ServersUnavailable) as caught:
        await find(state=tmp_path, environment=environment, ports=ours.ports)

    assert variable in str(caught.value)
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "cret" not in str(caught.value)


async def test_a_role_that_may_not_create_databases_is_no_answer(ours: Ours, tmp_path: Path) -> None:
    role = await create_role(ours.servers.postgres_url)
    url = ours.servers.postgres_url.replace("postgres@", f"{role}@")

    with pytest.raises(ServersUnavailable, match=r"ROWCALL_POSTGRES_URL .* may not create databases"):
        await find(state=tmp_path, environment={**ours.environment, "ROWCALL_POSTGRES_URL": url})


# Servers that run already


async def test_running_servers_are_found_on_the_standard_ports(ours: Ours, tmp_path: Path) -> None:
    said: list[str] = []

    found = await find(state=tmp_path / "state", environment=clean(), ports=ours.ports, say=said.append)

    assert (found.amqp_url, found.postgres_url, found.redis_url) == ours.urls
    assert found.chosen == {n: f"running at 127.0.0.1:{p}" for n, p in ours.ports.items()}
    assert sorted(said) == sorted(f"{name}: {line}" for name, line in found.chosen.items())
    assert not (tmp_path / "state").exists()


async def test_a_port_where_something_else_answers_is_not_the_server(ours: Ours, tmp_path: Path) -> None:
    swapped = {**ours.ports, "Redis": ours.ports["RabbitMQ"]}

    with pytest.raises(ServersUnavailable, match="No Redis"):
        await find(state=tmp_path, environment=clean(PATH="/nowhere"), ports=swapped)


# Private instances


async def test_private_instances_answer_and_are_recorded_for_their_owner_only(ours: Ours) -> None:
    again = await find(state=ours.state, environment=ours.environment)

    assert set(again.chosen) == set(NAMES)
    assert stat.S_IMODE(ours.state.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(home.stat().st_mode) == 0o700 for home in homes(ours.state))


async def test_private_instances_listen_on_loopback_only(ours: Ours) -> None:
    listening = {address for pid in pids(ours.state) for address in listeners(pid)}

    assert listening
    assert listening <= {"127.0.0.1", "::1"}


async def test_a_second_find_reuses_the_private_instances(ours: Ours, nowhere: dict[str, int]) -> None:
    before = read(ours.state)

    again = await find(state=ours.state, environment=clean(), ports=nowhere)

    assert (again.amqp_url, again.postgres_url, again.redis_url) == ours.urls
    assert read(ours.state) == before


async def test_private_instances_come_before_servers_on_the_standard_ports(ours: Ours) -> None:
    found = await find(state=ours.state, environment=clean(), ports=ours.ports)

    assert all(line.startswith("private instance") for line in found.chosen.values())


@pytest.mark.parametrize("name", NAMES)
async def test_a_killed_private_instance_is_started_again_in_its_directory(
    name: str, ours: Ours, nowhere: dict[str, int]
) -> None:
    before = read(ours.state)
    os.kill(pids(ours.state, name)[-1], signal.SIGKILL)

    again = await find(state=ours.state, environment=clean(), ports=nowhere)

    after = read(ours.state)
    assert (again.amqp_url, again.postgres_url, again.redis_url) == ours.urls
    assert after[name]["home"] == before[name]["home"]
    assert after[name]["processes"] != before[name]["processes"]
    assert {n: after[n] for n in NAMES if n != name} == {n: before[n] for n in NAMES if n != name}


async def test_two_finds_at_once_start_one_set_and_down_leaves_nothing(tmp_path: Path, nowhere: dict[str, int]) -> None:
    state = tmp_path / ".rowcall"
    try:
        one, other = await asyncio.gather(*(find(state=state, environment=clean(), ports=nowhere) for _ in range(2)))
        started, directories = pids(state), homes(state)
        assert one == other
        assert len(started) == len(NAMES) + 1  # RabbitMQ has an epmd of its own
    finally:
        await down(state=state)

    assert not any(is_running(pid) for pid in started)
    assert not any(home.exists() for home in directories)
    assert not (state / "servers.json").exists()
    await nothing_runs_for(directories)


async def test_down_is_harmless_when_nothing_was_started(tmp_path: Path) -> None:
    await down(state=tmp_path / ".rowcall")

    assert not (tmp_path / ".rowcall").exists()


async def test_a_recycled_pid_is_not_signalled(tmp_path: Path) -> None:
    somebody = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=-1)
    home = tmp_path / "rowcall-redis-test"
    home.mkdir()
    processes = [{"pid": somebody.pid, "started": 1}]
    write(tmp_path, {"Redis": {"home": str(home), "port": 1, "processes": processes}})

    await down(state=tmp_path)

    assert not (tmp_path / "servers.json").exists()
    assert not home.exists()
    assert is_running(somebody.pid)
    await somebody.communicate(b"\n")
    assert somebody.returncode == 0  # not by a signal


async def test_a_private_instance_that_does_not_start_again_is_not_silently_replaced(
    ours: Ours, tmp_path: Path
) -> None:
    home = tmp_path / "rowcall-redis-broken"
    home.mkdir()
    write(tmp_path, {"Redis": {"home": str(home), "port": ours.ports["Redis"], "processes": []}})
    environment = {**ours.environment, "PATH": "/nowhere", "ROWCALL_REDIS_URL": ""}

    with pytest.raises(ServersUnavailable, match="Redis, private instance of an earlier command") as caught:
        await find(state=tmp_path, environment=environment, ports=ours.ports)

    assert "rowcall down" in str(caught.value)


async def test_an_instance_whose_directory_is_gone_is_replaced(
    ours: Ours, tmp_path: Path, nowhere: dict[str, int]
) -> None:
    gone = str(tmp_path / "rowcall-redis-gone")
    write(tmp_path, {"Redis": {"home": gone, "port": nowhere["Redis"], "processes": []}})
    environment = {**ours.environment, "ROWCALL_REDIS_URL": ""}
    try:
        found = await find(state=tmp_path, environment=environment, ports=nowhere)

        assert found.chosen["Redis"].startswith("private instance")
        assert str(homes(tmp_path)[0]) != gone
    finally:
        await down(state=tmp_path)


async def test_down_deletes_no_directory_that_is_not_named_like_ours(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    write(tmp_path, {"Redis": {"home": str(precious), "port": 1, "processes": []}})

    await down(state=tmp_path)

    assert precious.exists()


# Nothing to be had


async def test_without_programs_the_error_says_what_was_tried_and_what_to_do(
    ours: Ours, tmp_path: Path, nowhere: dict[str, int]
) -> None:
    environment = clean(PATH="/nowhere", ROWCALL_POSTGRES_URL=ours.servers.postgres_url)

    with pytest.raises(ServersUnavailable) as caught:
        await find(state=tmp_path, environment=environment, ports=nowhere)

    message = str(caught.value)
    assert "No RabbitMQ and no Redis" in message
    assert f"127.0.0.1:{nowhere['Redis']}" in message
    assert "not installed: redis-server" in message
    assert "set ROWCALL_AMQP_URL, ROWCALL_REDIS_URL" in message
    if shutil.which("apt-get"):
        assert re.search(r"apt-get install -y --no-install-recommends .*redis-server", message)


async def test_nothing_is_started_when_a_server_is_missing(tmp_path: Path, nowhere: dict[str, int]) -> None:
    with pytest.raises(ServersUnavailable):
        await find(state=tmp_path, environment=clean(PATH="/nowhere"), ports=nowhere)

    assert not (tmp_path / "servers.json").exists()


async def test_an_unreadable_state_file_is_an_error_that_names_it(tmp_path: Path, nowhere: dict[str, int]) -> None:
    (tmp_path / "servers.json").write_text("{")

    with pytest.raises(ServersUnavailable, match=r"servers\.json"):
        await find(state=tmp_path, environment=clean(), ports=nowhere)


# Databases
