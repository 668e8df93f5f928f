"""``find`` and ``down``: the whole story, place by place."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.servers.debian import Packages
from worker.servers.errors import ServersUnavailable
from worker.servers.kind import Kind, shown
from worker.servers.kinds import KINDS, STANDARD_PORTS
from worker.servers.places import Environment, Missing, Place, Running
from worker.servers.private import Private, Recorded, remove
from worker.servers.records import Records, Say, locked


@dataclass(frozen=True, slots=True)
class Servers:
    amqp_url: str
    postgres_url: str
    """Reaches a maintenance database with the right to create databases."""
    redis_url: str
    chosen: Mapping[str, str]
    """For people: ``{"RabbitMQ": "running at 127.0.0.1:5672", ...}``."""


def _silent(_: str) -> None:
    """Say nothing."""


async def find(
    *,
    state: Path,
    install: bool = False,
    environment: Mapping[str, str] = os.environ,
    ports: Mapping[str, int] = STANDARD_PORTS,
    say: Say = _silent,
) -> Servers:
    """The three servers, from the first place that has each; starts private ones if need be.

    Args:
        state: the directory that remembers what was started.
        install: installing packages is allowed; so does ``ROWCALL_INSTALL=1``.
        environment: where the URLs, ROWCALL_INSTALL and the PATH come from.
        ports: the standard local ports, by server.
        say: receives lines for people.

    Raises:
        ServersUnavailable: a URL in the environment does not answer, or no place has a server.
    """
    allowed = install or environment.get("ROWCALL_INSTALL") == "1"
    packages = Packages(environment, say, allowed=allowed)
    private = Private(Records(state), packages, environment.get("PATH", os.defpath), say)
    places: Sequence[Place] = (
        Environment(environment),
        Recorded(private),
        Running(ports),
        # Docker Compose belongs here: after all that runs already, before anything of our own.
        private,
    )

    return await _search(places, say)


async def down(*, state: Path, say: Say = _silent) -> None:
    """Stop what ``find`` started, by recorded process; harmless when it started nothing."""
    records = Records(state)
    if not records.file.exists():
        return
    async with locked(state, say):
        for kind in KINDS:
            await remove(kind, records, say)


async def _search(places: Sequence[Place], say: Say) -> Servers:
    urls: dict[Kind, str] = {}
    chosen: dict[str, str] = {}
    tried: list[tuple[Kind, Place, Missing]] = []
    for place in places:
        wanted = [kind for kind in KINDS if kind not in urls]
        for kind, answer in (await place.find(wanted)).items() if wanted else ():
            if isinstance(answer, Missing):
                tried.append((kind, place, answer))
                continue
            urls[kind], chosen[kind.name] = answer, f"{place.name} at {shown(answer)}"
            say(f"{kind.name}: {chosen[kind.name]}")

    if missing := [kind for kind in KINDS if kind not in urls]:
        raise ServersUnavailable(_advice(missing, tried))
    amqp_url, postgres_url, redis_url = (urls[kind] for kind in KINDS)
    return Servers(amqp_url, postgres_url, redis_url, chosen)


def _advice(missing: Sequence[Kind], tried: Sequence[tuple[Kind, Place, Missing]]) -> str:
    lines = [f"No {' and no '.join(kind.name for kind in missing)}. Tried:"]
    for one in missing:
        lines += [f"  {one.name}: {place.name}: {no.reason}" for kind, place, no in tried if kind is one]
    remedies = [no.remedy for _, _, no in tried if no.remedy]
    variables = ", ".join(kind.variable for kind in missing)
    remedies.append(f"set {variables} to the URL of a running server")
    return "\n".join([*lines, "Do one of these:", *(f"  - {one}" for one in dict.fromkeys(remedies))])
