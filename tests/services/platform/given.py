"""What the tests of the platform family start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from rpc_client.contract.platform import AgentExecutionStatus, AgentNode, AgentNodeLink, Block, BlockType, GraphModel

FILES = Path(__file__).parents[2] / "data" / "graphs"
TEMPLATE = "tide_table_writer_v4.json"
AGENT = "agent_fridge_to_menu.json"
Status = AgentExecutionStatus


def file(name: str) -> dict[str, Any]:
    """An exported graph, as its file has it."""
    return json.loads((FILES / name).read_text())


def export(name: str, user_id: str) -> GraphModel:
    """An exported graph on its way to this owner."""
    return GraphModel(**{**file(name), "user_id": user_id})


def node(type_: BlockType = BlockType.STANDARD, **fields: Any) -> AgentNode:
    return AgentNode(
        **{"block_id": f"block-{type_.value}", "block": Block(id=f"block-{type_.value}", type=type_), **fields}
    )


def link(source: AgentNode, source_name: str, sink: AgentNode, sink_name: str) -> AgentNodeLink:
    return AgentNodeLink(source_id=source.id, source_name=source_name, sink_id=sink.id, sink_name=sink_name)


def line_graph(user_id: str, **fields: Any) -> GraphModel:
    """An input, two nodes of work, an output: one after the other."""
    ask = node(BlockType.INPUT, input_default={"name": "question", "value": "default"})
    think, doubt = node(input_default={"model": "small"}), node()
    tell = node(BlockType.OUTPUT, input_default={"name": "answer"})
    links = [
        link(ask, "result", think, "prompt"),
        link(think, "text", doubt, "text"),
        link(doubt, "text", tell, "value"),
    ]
    return GraphModel(**{"user_id": user_id, "nodes": [ask, think, doubt, tell], "links": links, **fields})


def loops(connection: asyncpg.Connection, graph_exec_id: str, node_id: str, times: int) -> Any:
    """Let a node have run that many times more."""
    return connection.execute(
        "insert into platform.node_executions (id, graph_exec_id, node_id, status, input_data)"
        " select gen_random_uuid(), $1, $2, 'COMPLETED', jsonb_build_object('turn', turn)"
        " from generate_series(1, $3) as turn",
        graph_exec_id,
        node_id,
        times,
    )


def unknown() -> str:
    """An id that nothing has."""
    return str(uuid4())


async def waiting(connection: asyncpg.Connection, calls: int) -> None:
    """Until that many calls wait for a lock."""
    while await connection.fetchval("select count(distinct pid) from pg_locks where not granted") < calls:
        pass
