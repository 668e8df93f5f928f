"""list_graph, get_graph, get_graph_metadata, get_node, get_connected_output_nodes."""

from __future__ import annotations

import pytest

from rpc_client.contract.platform import AsyncPlatform, BlockType, GraphMetadata, GraphModel
from rpc_client.errors import InvalidRequest, NotFoundError
from tests.services.platform.given import AGENT, TEMPLATE, export, line_graph, link, node, unknown


async def test_the_newest_version_is_read_unless_another_is_asked_for(platform: AsyncPlatform, owner):
    graph = line_graph(owner)
    for name in ("first", "second", "third"):
        await platform.create_graph(graph.model_copy(update={"name": name}))

    assert (await platform.get_graph(graph.id, user_id=owner)).name == "third"
    assert (await platform.get_graph(graph.id, 2, owner)).name == "second"
    assert await platform.get_graph(graph.id, 4, owner) is None


async def test_a_private_graph_is_seen_by_its_owner_only(platform: AsyncPlatform, graph, stranger):
    assert await platform.get_graph(graph.id, user_id=stranger) is None
    assert await platform.get_graph(graph.id) is None
    assert await platform.get_graph(graph.id, graph.version, "nobody") is None
    assert await platform.get_graph(unknown(), user_id=graph.user_id) is None


async def test_others_see_the_newest_listed_version_never_a_newer_one(platform: AsyncPlatform, owner, stranger):
    graph = line_graph(owner)
    for _ in range(3):
        await platform.create_graph(graph)

    await platform.list_graph(graph.id, 2)

    assert (await platform.get_graph(graph.id, user_id=stranger)).version == 2
    assert (await platform.get_graph(graph.id)).version == 2
    assert await platform.get_graph(graph.id, 3, stranger) is None
    assert (await platform.get_graph(graph.id, user_id=owner)).version == 3


async def test_listing_a_graph_lists_the_graphs_it_runs_and_says_so_once(platform: AsyncPlatform, owner, events):
    graph = await platform.create_graph(export(AGENT, owner))
    events.clear()

    await platform.list_graph(graph.id, graph.version)
    await platform.list_graph(graph.id, graph.version)

    listed = {(event.aggregate_id, event.data["version"]) for event in events if event.type == "GraphListed"}
    assert listed == {(part.id, part.version) for part in [graph, *graph.sub_graphs]}
    assert len(events) == 3
    assert await platform.get_graph(graph.sub_graphs[0].id) is not None


async def test_only_what_exists_can_be_listed(platform: AsyncPlatform, graph, events):
    events.clear()

    with pytest.raises(NotFoundError, match=f"there is no graph '{graph.id}' version 2"):
        await platform.list_graph(graph.id, 2)

    assert events == []


async def test_an_export_tells_no_secrets_and_no_owner(platform: AsyncPlatform, owner):
    secret = {
        "API_KEY": "k", "my_password": "p", "plain": "kept", "headers": {"X-Secret-Thing": "s", "accept": "kept"},
        "accounts": [{"access_token": "t", "name": "kept"}], "credentials": {"id": "c"},
    }  # fmt: skip
    sub = GraphModel(nodes=[node(input_default=secret)])
    asks = node(BlockType.INPUT, input_default={"name": "q", "value": "private"})
    stored = await platform.create_graph(
        GraphModel(user_id=owner, nodes=[node(input_default=secret), asks], sub_graphs=[sub])
    )

    found = await platform.get_graph(stored.id, user_id=owner, for_export=True)

    kept = {"plain": "kept", "headers": {"accept": "kept"}, "accounts": [{"name": "kept"}]}
    assert found.user_id == ""
    assert [n.input_default for n in found.nodes] == [kept, {"name": "q", "value": ""}]
    assert [n.input_default for n in found.sub_graphs[0].nodes] == [kept]


async def test_secrets_are_left_out_of_an_export_however_deep_they_are(platform: AsyncPlatform, owner):
    deep = {"a": [[{"b": {"Access-Token": "t", "c": [{"secrets": ["s"]}, "kept"]}}], "kept"], "credentials_id": 7}
    sub_ask = node(BlockType.INPUT, input_default={"name": "q", "value": {"private": True}})
    graph = GraphModel(user_id=owner, nodes=[node(input_default=deep)], sub_graphs=[GraphModel(nodes=[sub_ask])])
    stored = await platform.create_graph(graph)

    found = await platform.get_graph(stored.id, user_id=owner, for_export=True)

    assert found.nodes[0].input_default == {"a": [[{"b": {"c": [{}, "kept"]}}], "kept"]}
    assert found.sub_graphs[0].nodes[0].input_default == {"name": "q", "value": ""}
    assert (await platform.get_graph(stored.id, user_id=owner)).nodes[0].input_default == deep


async def test_a_listed_graph_is_exported_to_others_with_its_sub_graphs_and_a_private_one_is_not(
    platform: AsyncPlatform, owner, stranger
):
    graph = await platform.create_graph(export(AGENT, owner))
    assert await platform.get_graph(graph.id, user_id=stranger, for_export=True) is None
    assert await platform.get_graph(graph.id, user_id=stranger, include_subgraphs=True) is None

    await platform.list_graph(graph.id, graph.version)

    theirs = await platform.get_graph(graph.id, user_id=stranger, for_export=True)
    assert theirs == await platform.get_graph(graph.id, user_id=owner, for_export=True)
    assert [part.id for part in theirs.sub_graphs] == [part.id for part in graph.sub_graphs]
    assert (await platform.get_graph(graph.id, include_subgraphs=True)).sub_graphs == graph.sub_graphs


async def test_metadata_is_that_of_the_newest_version_for_the_owner_and_of_the_newest_listed_for_others(
    platform: AsyncPlatform, owner, stranger, sql
):
    graph = line_graph(owner, description="asks and answers", is_active=False)
    for name in ("first", "second", "third"):
        await platform.create_graph(graph.model_copy(update={"name": name}))
    await platform.list_graph(graph.id, 1)
    await platform.list_graph(graph.id, 2)

    own = await platform.get_graph_metadata(graph.id, owner)

    made = await sql.fetchval("select created_at from platform.graphs where version = 3")
    told = {"name": "third", "description": "asks and answers", "is_active": False, "user_id": owner}
    assert own == GraphMetadata(**{"id": graph.id, "version": 3, "created_at": made, **told})
    theirs = await platform.get_graph_metadata(graph.id, stranger)
    assert (theirs.version, theirs.name, theirs.user_id) == (2, "second", owner)


async def test_metadata_of_a_graph_one_may_not_see_is_none(platform: AsyncPlatform, graph, stranger):
    assert await platform.get_graph_metadata(graph.id, stranger) is None
    assert await platform.get_graph_metadata(graph.id, "nobody") is None
    assert await platform.get_graph_metadata(unknown(), graph.user_id) is None


async def test_metadata_needs_ids(platform: AsyncPlatform, graph):
    with pytest.raises(InvalidRequest, match="user_id"):
        await platform.get_graph_metadata(graph.id, "")
    with pytest.raises(InvalidRequest, match="graph_id"):
        await platform.get_graph_metadata("", graph.user_id)


async def test_an_export_can_be_imported_again(platform: AsyncPlatform, owner):
    stored = await platform.create_graph(export(TEMPLATE, owner))
    exported = await platform.get_graph(stored.id, user_id=owner, for_export=True)

    again = await platform.create_graph(GraphModel(**{**exported.model_dump(mode="json"), "user_id": owner}))

    assert again.version == stored.version + 1
    assert len(again.links) == len(stored.links)
    assert [n.metadata for n in again.nodes] == [n.metadata for n in stored.nodes]


async def test_a_node_is_found_with_its_block_and_links(platform: AsyncPlatform, graph):
    for wanted in graph.nodes:
        assert await platform.get_node(wanted.id) == wanted


async def test_an_unknown_node_is_none(platform: AsyncPlatform):
    assert await platform.get_node(unknown()) is None


async def test_connected_nodes_come_with_their_links_in_order(platform: AsyncPlatform, owner):
    source, one, other = node(), node(), node()
    links = [
        link(source, "out", other, "a"),
        link(source, "else", one, "b"),
        link(source, "out", one, "c"),
        link(source, "out", other, "d"),
    ]
    await platform.create_graph(GraphModel(user_id=owner, nodes=[source, one, other], links=links))

    found = await platform.get_connected_output_nodes(source.id, "out")

    assert [(sink.id, wire.sink_name) for sink, wire in found] == [(other.id, "a"), (one.id, "c"), (other.id, "d")]
    assert [sink for sink, _ in found] == [await platform.get_node(sink.id) for sink, _ in found]


async def test_an_output_that_feeds_nothing_has_no_connected_nodes(platform: AsyncPlatform, graph):
    assert await platform.get_connected_output_nodes(graph.nodes[0].id, "other") == []
    assert await platform.get_connected_output_nodes(unknown(), "result") == []
