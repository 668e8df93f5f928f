"""Graphs: how an export becomes versions of its owner's, and how a version is read back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from rpc_client.contract import Record
from rpc_client.contract.platform import AgentNode, BaseGraph, BlockType, GraphCreated, GraphModel, Graphs
from rpc_client.errors import Conflict, NotFoundError
from worker.database import Session, Transaction
from worker.registry import Registry

graphs = Registry(Graphs)
graphs.direct(Graphs.list_graph, Graphs.get_graph_metadata, Graphs.get_node, Graphs.get_connected_output_nodes)

SECRET = re.compile("credentials|api_key|password|token|secret", re.IGNORECASE)
Row = dict[str, Any]


class Owned(Record):
    """The newest version of a graph, and whose it is."""

    id: str
    version: int
    user_id: str


class Place(Record):
    """Where a node stands."""

    id: str
    graph_id: str
    graph_version: int


def graph_lock(graph_id: str) -> str:
    """The key under which versions of a graph are made, and are left alone while a run of it is made."""
    return f"platform.graph:{graph_id}"


@graphs.implements(Graphs.get_graph)
async def get_graph(
    db: Session,
    graph_id: str,
    version: int | None = None,
    user_id: str | None = None,
    for_export: bool = False,  # noqa: FBT001, FBT002 - the document's signature
    include_subgraphs: bool = False,  # noqa: FBT001, FBT002
) -> GraphModel | None:
    """Find the newest version within the asked ones, and leave out what is not for export."""
    found = await db.maybe(
        GraphModel,
        "platform.find_graph",
        graph_id=graph_id,
        version=version,
        user_id=user_id,
        include_subgraphs=include_subgraphs or for_export,
    )
    return exported(found) if found is not None and for_export else found


@graphs.implements(Graphs.create_graph)
async def create_graph(tx: Transaction, graph: GraphModel) -> GraphModel:
    """Number the graphs, then store blocks, graphs, nodes, links and which graph runs which."""
    family = [graph, *graph.sub_graphs]
    for graph_id in sorted({part.id for part in family}):
        await tx.lock(graph_lock(graph_id))
    if not await tx.value(bool, "platform.user_exists", user_id=graph.user_id):
        raise NotFoundError(f"there is no user {graph.user_id!r}", {"user_id": graph.user_id})
    numbered = await _numbered(tx, graph.user_id, family)
    await tx.run("platform.insert_blocks", blocks=_blocks(numbered))
    heads = [part.model_dump(exclude={"nodes", "links", "sub_graphs"}) for part in numbered]
    await tx.run("platform.insert_graphs", user_id=graph.user_id, graphs=heads)
    renewed = await _insert_nodes(tx, [row for part in numbered for row in _nodes(part)])
    await tx.run("platform.insert_links", links=[row for part in numbered for row in _links(part, renewed)])
    root, *subgraphs = numbered
    await _insert_subgraphs(tx, root, subgraphs, graph.user_id)
    for part in numbered:
        tx.emit(part.id, GraphCreated(user_id=graph.user_id, version=part.version))
    return await tx.one(
        GraphModel,
        "platform.find_graph",
        graph_id=root.id,
        version=root.version,
        user_id=graph.user_id,
        include_subgraphs=True,
    )


async def _numbered(tx: Transaction, user_id: str, family: Sequence[BaseGraph]) -> list[BaseGraph]:
    """The graphs under the versions they get: the file's for a new id, else the next ones in the file's order."""
    ids = sorted({part.id for part in family})
    newest = {known.id: known for known in await tx.many(Owned, "platform.list_latest_versions", graph_ids=ids)}
    for known in newest.values():
        if known.user_id != user_id:
            message = f"graph {known.id!r} belongs to somebody else; a graph of one's own has an id of its own"
            raise Conflict(message, {"graph_id": known.id})
    later = {
        (part.id, part.version): newest[part.id].version
        + sum(other.id == part.id and other.version <= part.version for other in family)
        for part in family
        if part.id in newest
    }
    return [part.model_copy(update={"version": later.get((part.id, part.version), part.version)}) for part in family]


async def _insert_nodes(tx: Transaction, rows: Sequence[Row]) -> Mapping[tuple[str, int, str], str]:
    """Store the nodes; those whose id somebody else has get a new one: (graph, version, id) -> new id."""
    if await tx.run("platform.insert_nodes", nodes=rows) == len(rows):
        return {}
    places = await tx.many(Place, "platform.list_places", node_ids=[row["id"] for row in rows])
    kept = {(place.graph_id, place.graph_version, place.id) for place in places}
    renewed = {key: str(uuid4()) for row in rows if (key := _key(row)) not in kept}
    await tx.run(
        "platform.insert_nodes", nodes=[{**row, "id": renewed[_key(row)]} for row in rows if _key(row) in renewed]
    )
    return renewed


async def _insert_subgraphs(tx: Transaction, root: BaseGraph, subgraphs: Sequence[BaseGraph], user_id: str) -> None:
    """An export brings the graphs it runs along; a graph made here names them."""
    if not subgraphs:
        await tx.run("platform.insert_referenced_subgraphs", graph_id=root.id, version=root.version, user_id=user_id)
        return
    rows = [{"id": part.id, "version": part.version, "position": n} for n, part in enumerate(subgraphs)]
    await tx.run("platform.insert_subgraphs", graph_id=root.id, version=root.version, subgraphs=rows)


def _key(row: Row) -> tuple[str, int, str]:
    return row["graph_id"], row["graph_version"], row["id"]


def _blocks(family: Sequence[BaseGraph]) -> list[Row]:
    told = {(node.block_id, node.block) for part in family for node in part.nodes}
    return [
        {"id": block_id, "name": block.name if block else "", "type": block.type if block else BlockType.STANDARD}
        for block_id, block in told
    ]


def _nodes(graph: BaseGraph) -> list[Row]:
    place = {"graph_id": graph.id, "graph_version": graph.version}
    kept = {"id", "block_id", "input_default", "metadata"}
    return [{**node.model_dump(include=kept), **place, "position": n} for n, node in enumerate(graph.nodes)]


def _links(graph: BaseGraph, renewed: Mapping[tuple[str, int, str], str]) -> list[Row]:
    place = {"graph_id": graph.id, "graph_version": graph.version}

    def now(node_id: str) -> str:
        return renewed.get((graph.id, graph.version, node_id), node_id)

    return [
        {**link.model_dump(), **place, "source_id": now(link.source_id), "sink_id": now(link.sink_id), "position": n}
        for n, link in enumerate(graph.links)
    ]


def exported(graph: GraphModel) -> GraphModel:
    """The graph as it may leave the platform: without its owner and without secrets."""
    subgraphs = [part.model_copy(update={"nodes": _without_secrets(part.nodes)}) for part in graph.sub_graphs]
    return graph.model_copy(update={"user_id": "", "nodes": _without_secrets(graph.nodes), "sub_graphs": subgraphs})


def _without_secrets(nodes: Sequence[AgentNode]) -> list[AgentNode]:
    return [node.model_copy(update={"input_default": _input_default(node)}) for node in nodes]


def _input_default(node: AgentNode) -> Row:
    kept: Row = _scrubbed(node.input_default)
    if "value" in kept and node.block is not None and node.block.type is BlockType.INPUT:
        kept["value"] = ""
    return kept


def _scrubbed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _scrubbed(inner) for name, inner in value.items() if not SECRET.search(name)}
    return [_scrubbed(inner) for inner in value] if isinstance(value, list) else value
