"""An executor as agent platforms have them: it runs graphs by calls alone, in the order in which the original's does.

Blocks are not run: a node emits on every pin that is wired how many ways lead to it from where the graph starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rpc_client.contract.platform import (
    AgentExecutionStatus,
    AgentNode,
    AsyncPlatform,
    BaseGraph,
    BlockType,
    GraphModel,
    NodeExecutionUpdate,
    UsageTransactionMetadata,
)

COST = 3
"""Cents, of every node."""
Status = AgentExecutionStatus
Pins = dict[str, Any]


def emitted(node: AgentNode, pins: Pins) -> int:
    """What a node with these inputs emits."""
    return sum(pins.get(name, 0) for name in {link.sink_name for link in node.input_links}) or 1


@dataclass
class Walk:
    """One execution of a graph. Every node runs once: a circle of links is gone round once."""

    db: AsyncPlatform
    user_id: str
    execution_id: str
    known: Sequence[BaseGraph] = ()
    """What the graph that this one is part of brought along, for all of its parts."""
    ran: set[str] = field(default_factory=set)
    graph: GraphModel = field(init=False)
    group: asyncio.TaskGroup = field(init=False)

    async def run(self) -> None:
        """From QUEUED to COMPLETED. What has ended already is left alone."""
        meta = await self.db.get_graph_execution_meta(self.user_id, self.execution_id)
        assert meta is not None
        if meta.status is not Status.QUEUED:
            return
        await self.db.update_graph_execution_start_time(self.execution_id)
        assert await self.db.get_credits(self.user_id) > 0
        graph = await self.db.get_graph(meta.graph_id, meta.graph_version, self.user_id, include_subgraphs=True)
        assert graph is not None
        self.graph = graph
        while waiting := await self._waiting():
            async with asyncio.TaskGroup() as self.group:
                for node, run, pins in waiting:
                    await self._queue(node, run, pins)
        await self._end()

    async def _waiting(self) -> list[tuple[AgentNode, str, Pins]]:
        """First the nodes that nobody feeds; then, where only circles are left, the one with the most inputs."""
        nodes = {node.id: node for node in self.graph.nodes if node.id not in self.ran}
        runs = [n for n in await self.db.get_node_executions(self.execution_id) if n.node_id in nodes]
        found = [(nodes[n.node_id], n.node_exec_id, n.input_data) for n in runs if n.status is Status.PENDING]
        return [each for each in found if not each[0].input_links] or sorted(found, key=lambda each: -len(each[2]))[:1]

    async def _queue(self, node: AgentNode, run: str, pins: Pins) -> None:
        self.ran.add(node.id)
        await self.db.update_node_execution_status(run, Status.QUEUED, pins)
        self.group.create_task(self._run(node, run, pins))

    async def _run(self, node: AgentNode, run: str, pins: Pins) -> None:
        """Pay for the node, run it, hand on what it emits: stored before anybody hears that the node is done."""
        spent = UsageTransactionMetadata(
            graph_exec_id=self.execution_id, node_exec_id=run, node_id=node.id, block_id=node.block_id
        )
        await self.db.spend_credits(self.user_id, COST, spent)
        await self.db.update_node_execution_status(run, Status.RUNNING)
        await self._run_subgraph(node)
        for pin in sorted({link.source_name for link in node.output_links}):
            value = emitted(node, pins)
            await self.db.upsert_execution_output(run, pin, value)
            for sink, link in await self.db.get_connected_output_nodes(node.id, pin):
                await self._feed(sink, link.sink_name, value)
        await self.db.update_node_execution_status(run, Status.COMPLETED)
        await self.db.update_graph_execution_stats(self.execution_id, stats={"node_count": len(self.ran)})

    async def _run_subgraph(self, node: AgentNode) -> None:
        """A node that stands for a graph runs that graph. Exports name its version truly; its id they have renewed."""
        if node.block is None or node.block.type is not BlockType.AGENT:
            return
        known = self.known or self.graph.sub_graphs
        (inner,) = [part for part in known if part.version == node.input_default["graph_version"]]
        started = await self.db.create_graph_execution(inner.id, inner.version, {}, self.user_id)
        await Walk(self.db, self.user_id, started.id, known).run()

    async def _feed(self, sink: AgentNode, pin: str, value: int) -> None:
        """Fill a pin. Branches that join race here; the database decides which of them sees the pins complete."""
        run, pins = await self.db.upsert_execution_input(sink.id, self.execution_id, pin, value)
        await self.db.update_node_execution_status(run, Status.PENDING, pins)  # the original does; it changes nothing
        wired = {link.sink_name for link in sink.input_links}
        if static := {link.sink_name for link in sink.input_links if link.is_static} - pins.keys():
            latest = await self.db.get_latest_node_execution(self.execution_id, sink.id)
            for name in static & (latest.input_data if latest is not None else {}).keys():
                _, pins = await self.db.upsert_execution_input(
                    sink.id, self.execution_id, name, latest.input_data[name], run
                )
        if wired <= pins.keys() and sink.id not in self.ran:
            await self._queue(sink, run, pins)

    async def _end(self) -> None:
        """Cancel what circles left waiting, and complete the execution."""
        runs = await self.db.get_node_executions(self.execution_id)
        left = [n.node_exec_id for n in runs if n.status is Status.PENDING]
        await self.db.update_node_execution_status_batch(
            [NodeExecutionUpdate(node_exec_id=run, status=Status.CANCELED) for run in left]
        )
        await self.db.update_graph_execution_stats(
            self.execution_id, Status.COMPLETED, {"cost": COST * len(self.ran), "node_count": len(self.ran)}
        )
