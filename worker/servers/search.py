"""``find`` and ``down``: the whole story, place by place."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.servers.compose import Compose, RecordedCompose
from worker.servers.debian import Packages
from worker.servers.docker import Docker
from worker.servers.errors import ServersUnavailable
from worker.servers.kind import Kind, shown
from worker.servers.kinds import KINDS, STANDARD_PORTS
from worker.servers.places import Environment, Missing, Place, Running
from worker.servers.private import Private, Recorded, remove
from worker.servers.project import ProjectFile
from worker.servers.records import Records, Say, locked


@dataclass(frozen=True, slots=True)
class Servers:
    amqp_url: str
    postgres_url: str
    """Reaches a maintenance database with the right to create databases."""
    redis_url: str
    chosen: Mapping[str, str]
    """For people: ``{"RabbitMQ": "running at 127.0.0.1:5672", ...}``."""
    project: Mapping[str, str]
    """What our Docker Compose file must be told to mean these servers; empty unless all three are its."""


@dataclass(frozen=True, slots=True)
class _Found:
    place: Place
    url: str

    def __str__(self) -> str:
        return f"{self.place.name} at {shown(self.url)}"


def _silent(_: str) -> None:
    """Say nothing."""


async def find(
    *,
    state: Path,
    install: bool = False,
    ways: str = "",
    environment: Mapping[str, str] = os.environ,
    ports: Mapping[str, int] = STANDARD_PORTS,
    containers: Place | None = None,
    say: Say = _silent,
) -> Servers:
    """The three servers, from the first place that has each; starts private ones if need be.

    Args:
        state: the directory that remembers what was started.
        install: installing packages is allowed; so does ``ROWCALL_INSTALL=1``.
        ways: of ``running,compose,private`` only these, besides the environment; so says ``ROWCALL_WITH``.
        environment: where the URLs, ROWCALL_INSTALL, ROWCALL_WITH, the PATH and Docker's variables come from.
        ports: the standard local ports, by server.
        containers: asked instead of Docker Compose.
        say: receives lines for people.

    Raises:
        ServersUnavailable: a URL in the environment does not answer, or no place has a server, or there is no such way.
    """
    allowed = install or environment.get("ROWCALL_INSTALL") == "1"
    packages = Packages(environment, say, allowed=allowed)
    private = Private(Records(state), packages, environment.get("PATH", os.defpath), say)
    compose = Compose(Docker(environment), ProjectFile(state), say)
    recorded = (Recorded(private), RecordedCompose(compose))
    places = (Environment(environment), *recorded, Running(ports), containers or compose, private)

    found = await _search(_chosen(places, ways or environment.get("ROWCALL_WITH", "")), say)
    amqp_url, postgres_url, redis_url = (found[kind].url for kind in KINDS)
    whole = all(one.place.way == Compose.way for one in found.values())
    project = compose.file.read() if whole else None
    chosen = {kind.name: str(found[kind]) for kind in KINDS}
    return Servers(amqp_url, postgres_url, redis_url, chosen, project.variables if project else {})


def started(state: Path) -> bool:
    """Whether ``find`` has started something that ``down`` would stop."""
    return Records(state).file.exists() or ProjectFile(state).path.exists()


async def down(*, state: Path, environment: Mapping[str, str] = os.environ, say: Say = _silent) -> None:
    """Stop what ``find`` started, by recorded process and project; harmless when it started nothing.

    Raises:
        ServersUnavailable: Docker does not let us remove our containers now.
    """
    if not started(state):
        return
    async with locked(state, say):
        for kind in KINDS:
            await remove(kind, Records(state), say)
        await Compose(Docker(environment), ProjectFile(state), say).remove()


def _chosen(places: Sequence[Place], ways: str) -> Sequence[Place]:
    """Those asked for, in the order in which all are looked at; all, if none is named."""
    words = [word.strip() for word in ways.split(",") if word.strip()]
    known = sorted({place.way for place in places})
    if strange := [word for word in words if word not in known]:
        raise ServersUnavailable(f"there is no way '{strange[0]}' to find servers; the ways are {', '.join(known)}")

    return [place for place in places if not words or place.way in words or isinstance(place, Environment)]


async def _search(places: Sequence[Place], say: Say) -> Mapping[Kind, _Found]:
    found: dict[Kind, _Found] = {}
    tried: list[tuple[Kind, Place, Missing]] = []
    for place in places:
        wanted = [kind for kind in KINDS if kind not in found]
        for kind, answer in (await place.find(wanted)).items() if wanted else ():
            if isinstance(answer, Missing):
                tried.append((kind, place, answer))
                continue
            found[kind] = _Found(place, answer)
            say(f"{kind.name}: {found[kind]}")

    if missing := [kind for kind in KINDS if kind not in found]:
        raise ServersUnavailable(_advice(missing, tried))
    return found


def _advice(missing: Sequence[Kind], tried: Sequence[tuple[Kind, Place, Missing]]) -> str:
    lines = [f"No {' and no '.join(kind.name for kind in missing)}. Tried:"]
    for one in missing:
        lines += [f"  {one.name}: {place.name}: {no.reason}" for kind, place, no in tried if kind is one]
    remedies = [no.remedy for _, _, no in tried if no.remedy]
    variables = ", ".join(kind.variable for kind in missing)
    remedies.append(f"set {variables} to the URL of a running server")
    return "\n".join([*lines, "Do one of these:", *(f"  - {one}" for one in dict.fromkeys(remedies))])
