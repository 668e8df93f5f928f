"""What every promise of the platform family says. That they are the document's, tests/contract/test_spec0.py says."""

from __future__ import annotations

import inspect

import pytest

from rpc_client.contract import Composed
from rpc_client.contract.platform import EXECUTOR_METHODS, Graphs, Integrations, Platform, Users


def test_the_methods_without_a_user_are_listed_as_executor_methods():
    without = {method for method in Platform.methods().values() if "user_id" not in method.parameters}

    assert without - {Graphs.create_graph, Users.unsubscribe_by_token} == EXECUTOR_METHODS


@pytest.mark.parametrize("method", Platform.methods().values(), ids=str)
def test_the_manual_says_what_is_raised_and_what_is_emitted(method):
    manual = inspect.getdoc(method) or ""

    assert manual
    assert all(error.__name__ in manual for error in method.raises)
    assert ("Emits: " in manual) == (method.lane == "write")


@pytest.mark.parametrize("name", ["get_node_executions", "get_active_user_ids_in_timerange", "get_all_batches_by_type"])
def test_pages_are_walked_by_the_client(name):
    assert isinstance(getattr(Platform, name), Composed)


def test_no_write_answers_what_its_receipt_may_not_hold():
    assert isinstance(Integrations.update_user_metadata, Composed)
