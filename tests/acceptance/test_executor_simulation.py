"""A fleet of executors while workers die: every execution completes, every cent and every event is accounted for."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from rpc_client.contract.platform import AsyncPlatform, BlockType, GraphModel
from tests import record
from tests.acceptance.walker import COST
from tests.processes import environment
from tests.services.platform.given import link, node

PROGRAM = Path(__file__).parent / "programs" / "executor.py"
WORKERS, KILLED = 3, 2
AT_ONCE = 3
GRANT = 10**6
END_S = 400


def twenty_nodes(user_id: str) -> GraphModel:
    """An input, three layers of six, an output; every node is fed by two of the layer before, so that branches join."""
    ask = node(BlockType.INPUT, input_default={"name": "question", "value": 1})
    layers = [[node() for _ in range(6)] for _ in range(3)]
    tell = node(BlockType.OUTPUT, input_default={"name": "answer"})
    links = [link(ask, "result", each, "a") for each in layers[0]]
    for before, after in itertools.pairwise(layers):
        for n, each in enumerate(after):
            links += [link(before[n], "out", each, "a"), link(before[(n + 1) % 6], "out", each, "b")]
    links += [link(each, "out", tell, "value" if n == 0 else f"more {n}") for n, each in enumerate(layers[-1])]
    return GraphModel(user_id=user_id, nodes=[ask, *layers[0], *layers[1], *layers[2], tell], links=links)


WAYS = 4
"""So many ways lead to each node of the last layer, so that is what it tells the output."""


@contextlib.asynccontextmanager
async def executors(settings, orders: list[dict[str, Any]]) -> AsyncIterator[list[Process]]:
    """One process for each order, which knows no database; whatever happens, none is left."""
    known = {name: value for name, value in environment(settings).items() if "POSTGRES" not in name}
    processes: list[Process] = []
    try:
        for order in orders:
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(PROGRAM), stdin=PIPE, stdout=PIPE, env=known
            )
            processes.append(process)
            process.stdin.write(json.dumps(order).encode() + b"\n")
        yield processes
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def follow(process: Process, ended: Callable[[str], None]) -> int:
    """Pass on every execution that ended; how many calls it took in all."""
    last = ""
    async for line in process.stdout:
        if last:
            ended(last)
        last = line.decode().strip()
    assert await process.wait() == 0
    return json.loads(last)["calls"]


async def run(settings, orders: list[dict[str, Any]], workers: list[Any]) -> tuple[int, list[str]]:
    """Let the executors do their orders, and kill workers at a third and at two thirds of them. Calls, and runs."""
    done: list[str] = []
    victims = workers[:KILLED]
    wanted = sum(order["executions"] for order in orders)

    def ended(execution_id: str) -> None:
        done.append(execution_id)
        if victims and len(done) >= wanted * (KILLED - len(victims) + 1) // (KILLED + 1):
            victims.pop().process.kill()

    async with executors(settings, orders) as processes, asyncio.timeout(END_S):
        calls = await asyncio.gather(*(follow(process, ended) for process in processes))
    assert not victims
    return sum(calls), done


async def assert_ran_once(sql, executions: list[str], graph: GraphModel, users: list[str]) -> None:
    """Every execution completed with the right answer, and every node of it ran once and was paid for once."""
    rows = await sql.fetch("select id, status, outputs from platform.graph_execution_details")
    assert {row["id"] for row in rows} == set(executions)
    assert {(row["status"], row["outputs"]) for row in rows} == {("COMPLETED", f'{{"answer": [{WAYS}]}}')}
    nodes = await sql.fetch("select graph_exec_id, node_id, status, id from platform.node_executions")
    assert len(nodes) == len(executions) * len(graph.nodes) == len({(n["graph_exec_id"], n["node_id"]) for n in nodes})
    assert {n["status"] for n in nodes} == {"COMPLETED"}
    paid = await sql.fetch(
        "select metadata ->> 'node_exec_id' as run, amount from platform.credit_transactions where amount < 0"
    )
    assert sorted(row["run"] for row in paid) == sorted(n["id"] for n in nodes)
    assert {row["amount"] for row in paid} == {-COST}
    balances = await sql.fetchval("select sum(balance)::bigint from platform.balances")
    assert balances == len(users) * GRANT - COST * len(nodes)


def assert_told_in_order(events: list[dict[str, Any]]) -> None:
    """What is told of each thing is a chain: each status begins where the one before ended, each balance too."""
    told = defaultdict(list)
    for event in events:
        told[event["aggregate"], event["aggregate_id"]].append(event)
    for (aggregate, _), chain in told.items():
        moves = [event["data"] for event in chain if "previous" in event["data"]]
        assert [move["previous"] for move in moves[1:]] == [move["status"] for move in moves[:-1]]
        if moves:
            assert moves[-1]["status"] == "COMPLETED"
        if aggregate == "credits":
            assert [event["data"]["balance"] for event in chain] == [GRANT - COST * n for n in range(len(chain))]


@pytest.mark.timeout(END_S + 60)
@pytest.mark.parametrize(("fleet", "each"), [(2, 4), pytest.param(8, 25, marks=pytest.mark.heavy)], ids=["8", "200"])
async def test_a_fleet_completes_every_execution_once_though_workers_die(
    start_worker, settings, client, sql, fleet, each
):
    workers = await asyncio.gather(*(start_worker() for _ in range(WORKERS)))
    db = AsyncPlatform(client)
    users = [f"user-{n}" for n in range(fleet)]
    for user in users:
        await db.create_user(user, f"{user}@example.org")
        await db.add_credits(user, GRANT, "welcome")
    graph = await db.create_graph(twenty_nodes(users[0]))
    await db.list_graph(graph.id, graph.version)
    common = {"graph_id": graph.id, "starts": {graph.nodes[0].id: {"value": 1}}, "executions": each, "at_once": AT_ONCE}
    orders = [{**common, "kind": "sync" if n % 2 else "async", "user_id": user} for n, user in enumerate(users)]

    began = time.perf_counter()
    calls, executions = await run(settings, orders, workers)
    took = time.perf_counter() - began

    await assert_ran_once(sql, executions, graph, users)
    await record.complete(settings, sql)
    recorded, committed = await record.recorded(settings), await record.committed(sql)
    assert list(recorded.items()) == list(committed.items())
    assert_told_in_order(list(recorded.values()))
    what = f"{len(executions)} executions of {len(graph.nodes)} nodes on {fleet} executors"
    print(f"\n{what}, {KILLED} of {WORKERS} workers killed: {calls:,} calls in {took:.1f} s, {len(recorded):,} events")
