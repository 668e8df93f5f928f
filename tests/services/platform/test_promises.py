"""The promises of the platform family, word for word."""

from __future__ import annotations

import inspect

import pytest

from rpc_client.contract import Composed
from rpc_client.contract.platform import EXECUTOR_METHODS, Graphs, Platform

PROMISED = {
    "get_graph_execution": "user_id, execution_id, *, include_node_executions=False",
    "get_graph_execution_meta": "user_id, execution_id",
    "get_graph_executions": "user_id, graph_id=None, *, limit=50, graph_version=None, cursor=None, preset_id=None",
    "create_graph_execution": "graph_id, graph_version, starting_nodes_input, user_id, preset_id=None",
    "update_graph_execution_start_time": "graph_exec_id",
    "update_graph_execution_stats": "graph_exec_id, status=None, stats=None",
    "get_node_execution": "node_exec_id",
    "get_node_executions": "graph_exec_id",
    "get_node_executions_page": "graph_exec_id, *, limit=500, cursor=None",
    "get_latest_node_execution": "graph_exec_id, node_id",
    "update_node_execution_status": "node_exec_id, status, execution_data=None, stats=None",
    "update_node_execution_status_batch": "execution_updates",
    "update_node_execution_stats": "node_exec_id, stats",
    "upsert_execution_input": "node_id, graph_exec_id, input_name, input_data, node_exec_id=None",
    "upsert_execution_output": "node_exec_id, output_name, output_data",
    "get_execution_kv_data": "user_id, key",
    "set_execution_kv_data": "user_id, node_exec_id, key, data",
    "get_block_error_stats": "",
    "get_node": "node_id",
    "get_graph": "graph_id, version=None, user_id=None, for_export=False, include_subgraphs=False",
    "get_connected_output_nodes": "node_id, output_name",
    "get_graph_metadata": "graph_id, user_id",
    "get_credits": "user_id",
    "spend_credits": "user_id, cost, metadata",
    "add_credits": "user_id, amount, reason",
    "create_or_add_to_user_notification_batch": "user_id, notification_type, notification_data",
    "empty_user_notification_batch": "user_id, notification_type",
    "get_all_batches_by_type": "notification_type",
    "get_all_batches_by_type_page": "notification_type, *, limit=500, cursor=None",
    "get_user_notification_batch": "user_id, notification_type",
    "get_user_notifications_page": "user_id, notification_type, *, limit=500, cursor=None",
    "get_user_notification_oldest_message_in_batch": "user_id, notification_type",
    "create_user": "user_id, email, name=None",
    "create_graph": "graph",
    "list_graph": "graph_id, version",
}
COMPOSED = {"get_node_executions", "get_all_batches_by_type"}


@pytest.mark.parametrize("name", PROMISED)
def test_names_order_and_defaults_are_the_documents(name):
    found = getattr(Platform, name)
    parameters = [parameter.replace(annotation=parameter.empty) for parameter in found.signature.parameters.values()]

    assert str(inspect.Signature(parameters)).replace("'", "") == f"({PROMISED[name]})"


def test_nothing_else_is_promised():
    assert Platform.methods().keys() == {f"platform.{name}" for name in PROMISED.keys() - COMPOSED}


def test_the_methods_without_a_user_are_listed_as_executor_methods():
    without = {method for method in Platform.methods().values() if "user_id" not in method.parameters}

    assert without - {Graphs.create_graph} == EXECUTOR_METHODS


@pytest.mark.parametrize("method", Platform.methods().values(), ids=str)
def test_the_manual_says_what_is_raised_and_what_is_emitted(method):
    manual = inspect.getdoc(method) or ""

    assert manual
    assert all(error.__name__ in manual for error in method.raises)
    assert ("Emits: " in manual) == (method.lane == "write")


@pytest.mark.parametrize("name", sorted(COMPOSED))
def test_pages_are_walked_by_the_client(name):
    assert isinstance(getattr(Platform, name), Composed)
