"""Executions: most methods are one statement; these stories make runs, read them in pages, and fill inputs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from rpc_client.contract import Record
from rpc_client.contract.platform import (
    AgentExecutionStatus,
    BlockInput,
    Executions,
    GraphExecution,
    GraphExecutionCreated,
    GraphExecutionWithNodes,
    NodeExecutionInputAdded,
    NodeExecutionResult,
)
from rpc_client.contract.platform.executions import MAX_NODE_EXECUTIONS
from rpc_client.errors import Conflict, NotFoundError, ResultTooLarge
from worker.database import Session, Transaction
from worker.registry import Registry
from worker.services.platform.cursors import read_cursor, write_cursor
from worker.services.platform.graphs import graph_lock

executions = Registry(Executions)
executions.direct(
    Executions.get_graph_execution_meta,
    Executions.update_graph_execution_start_time,
    Executions.update_graph_execution_stats,
    Executions.get_node_execution,
    Executions.get_node_executions_page,
    Executions.get_latest_node_execution,
    Executions.update_node_execution_status,
    Executions.update_node_execution_status_batch,
    Executions.update_node_execution_stats,
    Executions.upsert_execution_output,
    Executions.get_block_error_stats,
)

_FIRST_PAGE = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), ""


class NeededForExecution(Record):
    """What a new execution needs, as it was found."""

    users: int
    graphs: int
    unknown_nodes: list[str]


class OpenNodeExecution(Record):
    """A node's run whose inputs are being filled."""

    node_exec_id: str
    graph_exec_id: str
    node_id: str
    status: AgentExecutionStatus
    input_data: BlockInput


@executions.implements(Executions.create_graph_execution)
async def create_graph_execution(
    tx: Transaction,
    graph_id: str,
    graph_version: int,
    starting_nodes_input: dict[str, BlockInput],
    user_id: str,
    preset_id: str | None = None,
) -> GraphExecutionWithNodes:
    """Make the run and its nodes' while no version of the graph is being made."""
    await tx.lock(graph_lock(graph_id), shared=True)
    graph = {"graph_id": graph_id, "graph_version": graph_version}
    needed = await tx.one(
        NeededForExecution,
        "platform.check_new_execution",
        user_id=user_id,
        node_ids=list(starting_nodes_input),
        **graph,
    )
    _check_found(needed, user_id, graph)
    created = str(uuid4())
    await tx.run("platform.insert_graph_execution", id=created, user_id=user_id, preset_id=preset_id, **graph)
    await tx.run(
        "platform.insert_node_executions", graph_exec_id=created, starting_nodes_input=starting_nodes_input, **graph
    )
    event = GraphExecutionCreated(user_id=user_id, graph_id=graph_id, graph_version=graph_version)
    tx.emit(created, event)
    execution = await tx.one(GraphExecution, "platform.find_graph_execution", execution_id=created, user_id=user_id)
    return await _with_nodes(tx, execution)


def _check_found(needed: NeededForExecution, user_id: str, graph: dict[str, Any]) -> None:
    if not needed.users:
        raise NotFoundError(f"there is no user {user_id!r}", {"user_id": user_id})
    shown = f"graph {graph['graph_id']!r} version {graph['graph_version']}"
    if not needed.graphs:
        raise NotFoundError(f"there is no {shown} that this user may run", graph)
    if needed.unknown_nodes:
        message = f"starting_nodes_input names {needed.unknown_nodes}, which are no nodes of {shown}"
        raise NotFoundError(message, {**graph, "node_ids": needed.unknown_nodes})


@executions.implements(Executions.get_graph_execution)
async def get_graph_execution(
    db: Session, user_id: str, execution_id: str, *, include_node_executions: bool = False
) -> GraphExecution | GraphExecutionWithNodes | None:
    """Find the run, then its nodes' if asked for."""
    execution = await db.maybe(
        GraphExecution, "platform.find_graph_execution", execution_id=execution_id, user_id=user_id
    )
    return await _with_nodes(db, execution) if execution is not None and include_node_executions else execution


async def _with_nodes(db: Session, execution: GraphExecution) -> GraphExecutionWithNodes:
    nodes = await db.many(
        NodeExecutionResult,
        "platform.list_node_executions",
        graph_exec_id=execution.id,
        rows=MAX_NODE_EXECUTIONS + 1,
    )
    if len(nodes) > MAX_NODE_EXECUTIONS:
        raise ResultTooLarge(
            f"graph execution {execution.id!r} has more than {MAX_NODE_EXECUTIONS} node executions; "
            "read them with get_node_executions_page",
            {"limit": MAX_NODE_EXECUTIONS, "use": "get_node_executions_page"},
        )
    return GraphExecutionWithNodes(**dict(execution), node_executions=nodes)


@executions.implements(Executions.get_graph_executions)
async def get_graph_executions(
    db: Session,
    user_id: str,
    graph_id: str | None = None,
    *,
    limit: int = 50,
    graph_version: int | None = None,
    cursor: str | None = None,
    preset_id: str | None = None,
) -> tuple[list[GraphExecution], str | None]:
    """Read one row more than asked, to know whether a page follows."""
    before, before_id = _FIRST_PAGE if cursor is None else read_cursor(cursor, "get_graph_executions")
    found = await db.many(
        GraphExecution,
        _page_statement(graph_id, graph_version, preset_id),
        user_id=user_id,
        graph_id=graph_id,
        graph_version=graph_version,
        preset_id=preset_id,
        before=before,
        before_id=before_id,
        rows=limit + 1,
    )
    page = found[:limit]
    return page, write_cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None


def _page_statement(graph_id: str | None, graph_version: int | None, preset_id: str | None) -> str:
    """Every set of filters has a statement of its own, and that an index."""
    match graph_id is not None, graph_version is not None, preset_id is not None:
        case _, _, True:
            return "platform.list_graph_executions_of_preset"
        case True, True, False:
            return "platform.list_graph_executions_of_graph_version"
        case True, False, False:
            return "platform.list_graph_executions_of_graph"
        case False, True, False:
            return "platform.list_graph_executions_of_version"
        case _:
            return "platform.list_graph_executions"


@executions.implements(Executions.upsert_execution_input)
async def upsert_execution_input(
    tx: Transaction,
    node_id: str,
    graph_exec_id: str,
    input_name: str,
    input_data: Any,
    node_exec_id: str | None = None,
) -> tuple[str, BlockInput]:
    """Find the run to fill, or make one, while nobody else does either for this node."""
    await tx.lock(f"platform.upsert_execution_input:{graph_exec_id}:{node_id}")
    node = {"graph_exec_id": graph_exec_id, "node_id": node_id}
    pin = {"input_name": input_name, "input_data": input_data}
    if node_exec_id is not None:
        found: OpenNodeExecution | None = await _chosen(tx, node_exec_id, input_name, node)
    else:
        found = await tx.maybe(OpenNodeExecution, "platform.lock_open_node_execution", input_name=input_name, **node)
    filled = found.node_exec_id if found is not None else str(uuid4())
    if found is not None:
        await tx.run("platform.fill_input", node_exec_id=filled, **pin)
    elif not await tx.run("platform.insert_node_execution", node_exec_id=filled, **node, **pin):
        raise NotFoundError(f"there is no graph execution {graph_exec_id!r} with a node {node_id!r}", node)
    tx.emit(filled, NodeExecutionInputAdded(input_name=input_name, **node))
    return filled, {**(found.input_data if found is not None else {}), input_name: input_data}


async def _chosen(tx: Transaction, node_exec_id: str, input_name: str, node: dict[str, str]) -> OpenNodeExecution:
    """The run the caller named, if the pin of it can be filled."""
    found = await tx.maybe(OpenNodeExecution, "platform.lock_node_execution", node_exec_id=node_exec_id)
    named = {"node_exec_id": node_exec_id, **node}
    if found is None or {"graph_exec_id": found.graph_exec_id, "node_id": found.node_id} != node:
        raise NotFoundError(f"there is no node execution {node_exec_id!r} of this node in this graph execution", named)
    state = {**named, "status": found.status.value}
    if found.status is not AgentExecutionStatus.PENDING:
        raise Conflict(
            f"node execution {node_exec_id!r} is {found.status.value}; only a PENDING one takes inputs", state
        )
    if input_name in found.input_data:
        raise Conflict(f"node execution {node_exec_id!r} has its input {input_name!r} already", state)
    return found
