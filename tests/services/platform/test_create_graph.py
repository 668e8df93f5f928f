"""create_graph: what an export becomes, and how it comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from rpc_client.contract.platform import AgentNode, AsyncPlatform, Block, BlockType, GraphModel
from rpc_client.errors import Conflict, InvalidRequest, NotFoundError
from tests.services.platform.given import AGENT, TEMPLATE, export, file, line_graph, link, node, unknown

FILES = pytest.mark.parametrize("name", [TEMPLATE, AGENT])


def nodes_of(graph: Mapping[str, Any]) -> set[str]:
    return {
        json.dumps([node["block_id"], node["input_default"], node["metadata"]], sort_keys=True)
        for node in graph["nodes"]
    }


def links_of(graph: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    """The links, by the places of their nodes: ids may be renewed, the wiring may not."""
    place = {node["id"]: n for n, node in enumerate(graph["nodes"])}
    return {
        (
            place[link["source_id"]],
            place[link["sink_id"]],
            link["source_name"],
            link["sink_name"],
            link.get("is_static", False),
        )
        for link in graph["links"]
    }


def same(stored: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    return nodes_of(stored) == nodes_of(given) and links_of(stored) == links_of(given)


def ids(nodes: Iterable[AgentNode]) -> set[str]:
    return {node.id for node in nodes}


@FILES
async def test_an_imported_file_comes_back_as_it_was(platform: AsyncPlatform, owner, name):
    created = await platform.create_graph(export(name, owner))

    found = await platform.get_graph(created.id, user_id=owner, include_subgraphs=True)

    given = file(name)
    assert found == created
    assert found is not None
    stored = found.model_dump(mode="json")
    assert same(stored, given)
    assert [node["id"] for node in stored["nodes"]] == [node["id"] for node in given["nodes"]]
    assert (found.id, found.version, found.name, found.description, found.is_active, found.user_id) == (
        given["id"],
        given["version"],
        given["name"],
        given["description"],
        given["is_active"],
        owner,
    )
    assert [(part["id"], part["version"]) for part in stored["sub_graphs"]] == [
        (part["id"], part["version"]) for part in given.get("sub_graphs", [])
    ]
    pairs = zip(stored["sub_graphs"], given.get("sub_graphs", []), strict=True)
    assert all(same(part, other) for part, other in pairs)


@FILES
async def test_a_file_imported_twice_is_the_next_version_of_each_of_its_graphs(platform: AsyncPlatform, owner, name):
    first = await platform.create_graph(export(name, owner))

    second = await platform.create_graph(export(name, owner))

    assert second.version == first.version + 1
    assert [part.version for part in second.sub_graphs] == [part.version + 1 for part in first.sub_graphs]
    stored = (await platform.get_graph(second.id, user_id=owner, include_subgraphs=True)).model_dump(mode="json")
    assert same(stored, file(name))
    assert all(
        same(part, other) for part, other in zip(stored["sub_graphs"], file(name).get("sub_graphs", []), strict=True)
    )
    for old, new in zip([first, *first.sub_graphs], [second, *second.sub_graphs], strict=True):
        assert ids(old.nodes).isdisjoint(ids(new.nodes))


@FILES
async def test_an_older_version_stays_as_it_was(platform: AsyncPlatform, owner, name):
    first = await platform.create_graph(export(name, owner))

    await platform.create_graph(export(name, owner))

    assert await platform.get_graph(first.id, first.version, owner, include_subgraphs=True) == first


async def test_what_create_graph_answers_names_graph_block_and_links_of_every_node(platform: AsyncPlatform, owner):
    graph = await platform.create_graph(line_graph(owner))

    first, second = graph.nodes[:2]
    assert {(node.graph_id, node.graph_version) for node in graph.nodes} == {(graph.id, 1)}
    assert first.block == Block(id="block-INPUT", type=BlockType.INPUT)
    assert first.output_links == second.input_links == graph.links[:1]
    assert (first.webhook_id, first.webhook, first.input_links) == (None, None, [])


async def test_every_graph_that_is_stored_is_announced(platform: AsyncPlatform, owner, events):
    events.clear()

    graph = await platform.create_graph(export(AGENT, owner))

    assert [(event.type, event.aggregate_id, event.data) for event in events] == [
        ("GraphCreated", part.id, {"user_id": owner, "version": part.version}) for part in [graph, *graph.sub_graphs]
    ]


async def test_a_graph_of_an_unknown_user_is_refused(platform: AsyncPlatform, events):
    with pytest.raises(NotFoundError, match="there is no user 'nobody'"):
        await platform.create_graph(line_graph("nobody"))

    assert events == []


@pytest.mark.parametrize("part", [0, 1])
async def test_an_id_of_somebody_elses_conflicts_and_nothing_is_stored(
    platform: AsyncPlatform, owner, stranger, events, part
):
    theirs = await platform.create_graph(export(AGENT, owner))
    taken = [theirs, *theirs.sub_graphs][part].id
    mine = export(AGENT, stranger)
    mine = mine.model_copy(update={"id": taken if part == 0 else unknown()})
    events.clear()

    with pytest.raises(Conflict, match="belongs to somebody else") as refused:
        await platform.create_graph(mine)

    assert refused.value.details["graph_id"] in {theirs.id, *(sub.id for sub in theirs.sub_graphs)}
    assert events == []
    if part == 1:
        assert await platform.get_graph(mine.id, user_id=stranger) is None


async def test_node_ids_that_somebody_else_has_are_renewed_in_nodes_and_links(platform: AsyncPlatform, owner, stranger):
    theirs = await platform.create_graph(line_graph(owner))
    given = theirs.model_copy(update={"id": unknown(), "user_id": stranger})

    mine = await platform.create_graph(given)

    assert ids(mine.nodes).isdisjoint(ids(theirs.nodes))
    assert same(mine.model_dump(mode="json"), given.model_dump(mode="json"))
    assert await platform.get_graph(theirs.id, user_id=owner) == theirs


async def test_only_the_node_ids_that_are_taken_are_renewed(platform: AsyncPlatform, owner):
    theirs = await platform.create_graph(line_graph(owner))
    fresh, taken = node(), theirs.nodes[0]

    mine = await platform.create_graph(
        GraphModel(user_id=owner, nodes=[fresh, taken], links=[link(fresh, "out", taken, "in")])
    )

    kept, renewed = mine.nodes
    assert kept.id == fresh.id
    assert renewed.id not in ids(theirs.nodes)
    assert (mine.links[0].source_id, mine.links[0].sink_id) == (kept.id, renewed.id)


async def test_a_node_id_that_two_graphs_of_a_file_share_is_kept_by_one(platform: AsyncPlatform, owner):
    shared = node(input_default={"k": 1})
    given = GraphModel(user_id=owner, nodes=[shared], sub_graphs=[GraphModel(nodes=[shared, node()], name="sub")])

    stored = await platform.create_graph(given)

    everything = [*stored.nodes, *stored.sub_graphs[0].nodes]
    assert len(ids(everything)) == 3
    assert [n.input_default for n in everything] == [{"k": 1}, {"k": 1}, {}]


async def test_imports_of_one_file_at_once_get_versions_one_after_the_other(platform: AsyncPlatform, owner):
    created = await asyncio.gather(*(platform.create_graph(export(AGENT, owner)) for _ in range(6)))

    first = file(AGENT)["version"]
    assert sorted(graph.version for graph in created) == list(range(first, first + 6))
    assert len({node.id for graph in created for node in graph.nodes}) == 6 * len(created[0].nodes)


async def test_graphs_with_one_anothers_node_ids_can_be_made_at_once(platform: AsyncPlatform, owner):
    given = line_graph(owner)
    copies = [given.model_copy(update={"id": unknown(), "nodes": given.nodes[:: 1 if n % 2 else -1]}) for n in range(8)]

    created = await asyncio.gather(*(platform.create_graph(copy) for copy in copies))

    assert len({node.id for graph in created for node in graph.nodes}) == 8 * len(given.nodes)


async def test_the_same_link_twice_is_stored_once(platform: AsyncPlatform, owner):
    one, other = node(), node()
    links = [link(one, "out", other, "in"), link(one, "out", other, "in"), link(one, "out", other, "more")]

    graph = await platform.create_graph(GraphModel(user_id=owner, nodes=[one, other], links=links))

    assert [stored.sink_name for stored in graph.links] == ["in", "more"]
    assert len(await platform.get_connected_output_nodes(one.id, "out")) == 2


async def test_a_graph_made_here_brings_the_graphs_its_agent_nodes_name(platform: AsyncPlatform, owner):
    def calls(graph: GraphModel) -> AgentNode:
        return node(BlockType.AGENT, input_default={"graph_id": graph.id, "graph_version": graph.version})

    deepest = await platform.create_graph(line_graph(owner, name="deepest"))
    middle = await platform.create_graph(GraphModel(user_id=owner, name="middle", nodes=[calls(deepest)]))
    top = await platform.create_graph(GraphModel(user_id=owner, name="top", nodes=[calls(middle), calls(deepest)]))

    assert {part.name for part in top.sub_graphs} == {"middle", "deepest"}


async def test_sub_graphs_come_only_when_asked_for(platform: AsyncPlatform, owner):
    graph = await platform.create_graph(export(AGENT, owner))

    assert (await platform.get_graph(graph.id, user_id=owner)).sub_graphs == []
    assert len((await platform.get_graph(graph.id, user_id=owner, include_subgraphs=True)).sub_graphs) == 2


async def test_a_sub_graph_is_a_graph_of_its_owners(platform: AsyncPlatform, owner):
    graph = await platform.create_graph(export(AGENT, owner))

    sub = await platform.get_graph(graph.sub_graphs[0].id, user_id=owner)

    assert (sub.name, sub.user_id) == ("Find a Recipe", owner)


async def test_a_block_is_standard_until_a_file_says_what_it_is_and_that_stays(platform: AsyncPlatform, owner):
    async def stored(block: Block | None) -> Block | None:
        graph = await platform.create_graph(GraphModel(user_id=owner, nodes=[AgentNode(block_id="b-1", block=block)]))
        return graph.nodes[0].block

    assert (await stored(None)).type is BlockType.STANDARD
    assert (await stored(Block(id="b-1", type=BlockType.OUTPUT))).type is BlockType.OUTPUT
    assert (await stored(None)).type is BlockType.OUTPUT
    assert (await stored(Block(id="b-1", type=BlockType.INPUT))).type is BlockType.OUTPUT


async def test_the_blocks_of_exports_are_known_by_their_ids(platform: AsyncPlatform, owner):
    graph = await platform.create_graph(export(AGENT, owner))

    types = {n.input_default.get("name", n.block_id): n.block.type for n in graph.nodes}
    assert types["Vegetable"] is types["Guests"] is BlockType.INPUT
    assert types["Menu"] is BlockType.OUTPUT
    assert BlockType.AGENT in types.values()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda g: {"links": [link(g.nodes[0], "a", node(id="lost"), "b")]}, "a link ends at 'lost'"),
        (lambda g: {"nodes": [g.nodes[0], g.nodes[0]], "links": []}, "stands in it twice"),
        (lambda g: {"sub_graphs": [GraphModel(id=g.id, version=g.version)]}, "stands in it twice"),
    ],
)
async def test_a_graph_that_does_not_fit_together_is_refused(platform: AsyncPlatform, owner, wrong, says):
    graph = line_graph(owner)

    with pytest.raises(InvalidRequest, match=says) as refused:
        await platform.create_graph(graph.model_copy(update=wrong(graph)))

    assert refused.value.details["argument"] == "graph"


def test_what_a_graph_lacks_is_filled_in():
    graph = GraphModel(id="", name=None, nodes=[{"block_id": "b"}], is_template=True, color="red")

    assert graph.id
    assert graph.nodes[0].id
    assert (graph.version, graph.name, graph.user_id, graph.sub_graphs, graph.is_active) == (1, "", "", [], True)


def test_a_version_below_1_is_none():
    with pytest.raises(ValidationError):
        GraphModel(version=0)
