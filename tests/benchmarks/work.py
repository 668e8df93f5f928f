"""The workloads: what one caller asks, one call after the other, of whatever system is measured."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

USERS = 100_000
GROUPS = 1_000
EXECUTIONS = 100_000
PLATFORM_USERS = 1_000

Asked = Coroutine[Any, Any, Any]


class Api(Protocol):
    """The five methods of the bench family, and any method of the platform family by name."""

    async def noop(self) -> Any: ...
    async def read_user(self, user_id: int) -> Any: ...
    async def write(self, user_id: int, amount: int) -> Any: ...
    async def list_rows(self, group_id: int) -> Any: ...
    async def slow(self) -> Any: ...
    async def platform(self, method: str, arguments: dict[str, Any]) -> Any: ...


@dataclass
class Numbers:
    """What a caller draws its arguments from."""

    random: random.Random
    executions: Iterator[int]
    """Of the executions, those that this process may take."""


def noop(api: Api, _: Numbers) -> Iterator[Asked]:
    while True:
        yield api.noop()


def read(api: Api, numbers: Numbers) -> Iterator[Asked]:
    while True:
        yield api.read_user(numbers.random.randrange(1, USERS + 1))


def write(api: Api, numbers: Numbers) -> Iterator[Asked]:
    while True:
        yield api.write(numbers.random.randrange(1, USERS + 1), 5)


def list_(api: Api, numbers: Numbers) -> Iterator[Asked]:
    while True:
        yield api.list_rows(numbers.random.randrange(1, GROUPS + 1))


def slow(api: Api, _: Numbers) -> Iterator[Asked]:
    while True:
        yield api.slow()


def mixed(api: Api, numbers: Numbers) -> Iterator[Asked]:
    """An executor takes an execution and runs its first node: four reads, four writes."""
    for number in numbers.executions:
        run, step, user = f"run-{number}", f"step-{number}", f"user-{number % PLATFORM_USERS}"
        yield api.platform("get_graph_execution_meta", {"user_id": user, "execution_id": run})
        yield api.platform("update_graph_execution_stats", {"graph_exec_id": run, "status": "RUNNING"})
        yield api.platform("get_node", {"node_id": "node-1"})
        paid = {"node_exec_id": step, "block": "AgentInputBlock"}
        yield api.platform("spend_credits", {"user_id": user, "cost": 3, "metadata": paid})
        yield api.platform("update_node_execution_status", {"node_exec_id": step, "status": "RUNNING"})
        output = {"node_exec_id": step, "output_name": "result", "output_data": {"answer": 42, "why": "as before"}}
        yield api.platform("upsert_execution_output", output)
        yield api.platform("get_connected_output_nodes", {"node_id": "node-1", "output_name": "result"})
        yield api.platform("get_node_execution", {"node_exec_id": step})


MIXED = (
    "get_graph_execution_meta",
    "update_graph_execution_stats",
    "get_node",
    "spend_credits",
    "update_node_execution_status",
    "upsert_execution_output",
    "get_connected_output_nodes",
    "get_node_execution",
)
WORKLOADS: dict[str, Callable[[Api, Numbers], Iterator[Asked]]] = {
    "noop": noop,
    "read": read,
    "write": write,
    "list": list_,
    "mixed": mixed,
    "slow": slow,
}


def numbers(seed: int, first_execution: int) -> Numbers:
    """The numbers of one client process; the same for every system in the same round."""
    executions = (n % EXECUTIONS for n in itertools.count(first_execution))
    return Numbers(random.Random(seed), executions)
