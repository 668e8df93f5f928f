"""One execution of a graph, step by step as an agent platform does it: every step is a call, none is SQL."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from rpc_client.contract.platform import (
    AgentExecutionStatus,
    AgentNode,
    AsyncPlatform,
    GraphExecutionWithNodes,
    GraphModel,
    UsageTransactionMetadata,
)
from worker.demo.blocks import BLOCKS, Pins
from worker.demo.orders import Order, Run


async def execute(platform: AsyncPlatform, order: Order, run: Run) -> None:
    """Queue an execution, start it, walk its graph, complete it."""
    graph = await platform.get_graph(order.graph_id, order.graph_version, run.user_id)
    assert graph is not None, "the graph was imported and listed before the first run"
    execution = await platform.create_graph_execution(graph.id, graph.version, run.starting_inputs, run.user_id)
    await platform.update_graph_execution_start_time(execution.id)
    await platform.update_graph_execution_stats(execution.id, AgentExecutionStatus.RUNNING)
    walk = Walk(platform, execution)
    await walk.start(graph, run)
    await platform.update_graph_execution_stats(
        execution.id, AgentExecutionStatus.COMPLETED, {"cost": walk.cost, "node_count": walk.nodes}
    )


@dataclass
class Walk:
    """The way through the graph: a node runs as soon as the last of its inputs has come."""

    platform: AsyncPlatform
    execution: GraphExecutionWithNodes
    cost: int = 0
    nodes: int = 0
    group: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup)

    async def start(self, graph: GraphModel, run: Run) -> None:
        """Run the nodes that need nobody's output; they lead to all others."""
        nodes = {node.id: node for node in graph.nodes}
        async with self.group:
            for waiting in self.execution.node_executions:
                if waiting.node_id in run.starting_inputs:
                    self._run_soon(nodes[waiting.node_id], waiting.node_exec_id, waiting.input_data)

    def _run_soon(self, node: AgentNode, node_exec_id: str, pins: Pins) -> None:
        self.group.create_task(self._run(node, node_exec_id, pins))

    async def _run(self, node: AgentNode, node_exec_id: str, pins: Pins) -> None:
        """Pay for a node, run it, and hand on what it yields."""
        await self._pay(node, node_exec_id)
        await self.platform.update_node_execution_status(node_exec_id, AgentExecutionStatus.RUNNING)
        for name, value in BLOCKS[node.block_id].compute({**node.input_default, **pins}).items():
            await self.platform.upsert_execution_output(node_exec_id, name, value)
            for sink, link in await self.platform.get_connected_output_nodes(node.id, name):
                await self._feed(sink, link.sink_name, value)
        await self.platform.update_node_execution_status(node_exec_id, AgentExecutionStatus.COMPLETED)
        self.nodes += 1

    async def _pay(self, node: AgentNode, node_exec_id: str) -> None:
        block = BLOCKS[node.block_id]
        spent = UsageTransactionMetadata(
            block_id=node.block_id, node_exec_id=node_exec_id, context={"graph_exec_id": self.execution.id}
        )
        await self.platform.spend_credits(self.execution.user_id, block.cost, spent)
        self.cost += block.cost

    async def _feed(self, sink: AgentNode, pin: str, value: object) -> None:
        """Fill a pin. Branches that join race here, and the database decides which of them sees the pins complete."""
        node_exec_id, pins = await self.platform.upsert_execution_input(sink.id, self.execution.id, pin, value)
        if {link.sink_name for link in sink.input_links} <= pins.keys():
            self._run_soon(sink, node_exec_id, pins)
