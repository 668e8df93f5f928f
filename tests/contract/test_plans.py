"""No statement walks a large table: each is run on 20 000 rows, in both plan modes, and what it touched is counted.

A justified exception says so in the statement's comment: ``-- scans: why``.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from hashlib import md5
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.contract.desk_values import DESK, LETTER
from tests.contract.plan_rows import DATA, TODAY
from tests.contract.plans import MODES, as_run, touched
from worker.served import Served
from worker.servers import Servers
from worker.statements import Statement
from worker.testing import scratch_database

EXCEPTIONS = {
    "platform.get_block_error_stats",
    "platform.list_graph_executions_of_preset",
    "platform.lock_open_node_execution",
    "rowcall.find_rebuild",
    "rowcall.find_letters",
}
SCANS = re.compile(r"^-- scans: \S+", re.MULTILINE)

COMMON: Mapping[str, Any] = {
    "_n": 0,
    "_day": TODAY,
    "_id": uuid4(),
    "_caller": "tests",
    "_method": "",
    "_args_hash": "",
    "_deadline": "infinity",
    "account_id": "account-1",
    "amount": 5,
    "note": "",
    "limit": 20,
    "rows": 20,
    "user_id": "user-1",
    "graph_id": "graph-2",
    "graph_version": 2,
    "version": 2,
    "execution_id": "exec-1",
    "graph_exec_id": "exec-1",
    "node_id": "node-2-2-1",
    "node_exec_id": "many-1",
    "preset_id": "preset-10",
    "before": "2025-12-31Z",
    "before_id": "exec-1000",
    "input_name": "in",
    "input_data": "1",
    "status": "COMPLETED",
    "stats": {"cost": 1},
    "key": "key-1",
    "notification_type": "EXECUTION",
}
"""What most statements are called with: user-1, graph-2 and exec-1 are those with many rows."""
A_NODE = {"graph_id": "graph-2", "graph_version": 2, "position": 7, "block_id": "block-1"}
A_LINK = {"source_id": "node-2-2-0", "source_name": "x", "sink_id": "node-2-2-1", "sink_name": "y", "is_static": False}
AS_USUAL = """
accounts.get_account accounts.list_entries accounts.deposit accounts.withdraw rowcall.list_partitions
rowcall.find_oldest_held rowcall.probe rowcall.begin_generation rowcall.find_lag rowcall.find_oldest_transaction
platform.user_exists platform.get_user_email_by_id platform.get_user_email_verification
platform.get_user_notification_preference platform.unsubscribe platform.get_credits
platform.get_graph_execution_meta platform.find_graph_execution
platform.list_graph_executions platform.list_graph_executions_of_graph
platform.list_graph_executions_of_graph_version platform.list_graph_executions_of_version
platform.list_graph_executions_of_preset platform.update_graph_execution_start_time
platform.update_graph_execution_stats platform.get_node platform.list_graph platform.get_node_execution
platform.get_latest_node_execution platform.list_node_executions platform.update_node_execution_stats
platform.lock_node_execution platform.fill_input platform.lock_user platform.find_user_integrations
platform.find_user_metadata
platform.lock_node_execution platform.fill_input platform.get_graph_metadata
platform.lock_node_execution platform.fill_input platform.get_block_error_stats platform.get_graph_metadata
platform.get_execution_kv_data platform.empty_user_notification_batch platform.find_notification_batch
platform.get_user_notification_oldest_message_in_batch
"""
"""The statements that need no values but these."""
MANY_ATTEMPTS = {
    "ids": [UUID(md5(f"receipt-{n}".encode(), usedforsecurity=False).hexdigest()) for n in range(64)],
    "digests": [""] * 64,
    "caller": "tests",
    "message": uuid4(),
}
VALUES: Mapping[str, Mapping[str, Any]] = {
    **{name: {} for name in AS_USUAL.split()},
    "accounts.open_account": {"account_id": "new", "owner": "Ada"},
    "accounts.lock_two": {"ids": ["account-1", "account-2"]},
    "accounts.book": {"change": 5},
    "rowcall.lock_alone": {"key": "tests"},
    "rowcall.lock_shared": {"key": "tests"},
    "rowcall.try_lock_session": {"key": "tests"},
    "rowcall.find_record": {"newest": 7},
    "rowcall.note_horizon": {"known": 0},
    "rowcall.read_events": {"xid": "1", "after": 10_000, "horizon": 1 << 40, "receipts": 64},
    "rowcall.find_rebuild": {"entries": 15_000},
    "rowcall.keep_position": {"position": 7},
    "rowcall.halt_relay": {"why": "a reason"},
    "rowcall.forget_up_to": {"newest": 0},
    "rowcall.find_receipts": {
        "days": [TODAY] * 64,
        "ids": [UUID(md5(f"receipt-{n}".encode(), usedforsecurity=False).hexdigest()) for n in range(64)],
    },
    "rowcall.find_attempts": {
        "ids": [UUID(md5(f"receipt-{n}".encode(), usedforsecurity=False).hexdigest()) for n in range(64)]
    },
    "rowcall.note_losses": {**MANY_ATTEMPTS, "each": True, "most": 3, "forgiven": 2},
    "rowcall.begin_runs": {**MANY_ATTEMPTS, "most": 3, "decides": True},
    "rowcall.end_runs": MANY_ATTEMPTS,
    "rowcall.acquit_runs": {**MANY_ATTEMPTS, "forgiven": 2},
    "rowcall.live_on": {**MANY_ATTEMPTS, "decides": True, "lost": [1] * 64, "counted": [0] * 64},
    "rowcall.delete_attempts": {"before": "2026-01-01 00:10Z"},
    "rowcall.store_receipt": {"outcome": "", "events": None},
    "rowcall.fence_receipt": {"outcome": "", "letters": "own"},
    "rowcall.find_outcome": {"day": TODAY, "id": uuid4()},
    "rowcall.delete_other_ids": {"before": "2026-01-01 00:10Z"},
    "rowcall.keep_dead_letter": LETTER,
    "rowcall.settle_dead_letters": {
        "ids": [UUID(md5(f"receipt-{n}".encode(), usedforsecurity=False).hexdigest()) for n in range(32)],
        "fence": "",
    },
    "rowcall.settle_all_dead_letters": {"fence": ""},
    "rowcall.list_sealed": {"after": 10_000},
    "rowcall.reseal_dead_letter": {"number": 1, "body": "", "traceback": "", "old_body": "", "old_traceback": ""},
    "rowcall.delete_dead_letters": {"before": "2026-01-01 00:10Z"},
    "rowcall.own_ids": {"ids": ["00000000-0000-4000-8000-000000000001"]},
    **DESK,
    "platform.create_user": {"user_id": "new", "email": "new@example.com", "name": None},
    "platform.keep_user_integrations": {"sealed": "sealed"},
    "platform.list_user_integrations": {"after": "user-5"},
    "platform.reseal_user_integrations": {"key": "user-1", "sealed": "new", "old": "sealed-1"},
    "platform.keep_user_metadata": {"sealed": "sealed"},
    "platform.list_user_metadata": {"after": "user-5"},
    "platform.reseal_user_metadata": {"key": "user-1", "sealed": "new", "old": "sealed-1"},
    "platform.find_unsubscribe_permit": {"days": 90},
    "platform.unsubscribe_permit_holds": {"until": "2030-01-01Z"},
    "platform.find_active_user_ids": {"after": "2025-12-25Z", "after_id": "", "end_time": "2026-01-01Z"},
    "platform.spend_credits": {"cost": 1, "metadata": {}},
    "platform.add_credits": {"reason": ""},
    "platform.check_new_execution": {"node_ids": ["node-2-2-0"]},
    "platform.insert_graph_execution": {"id": "new"},
    "platform.insert_node_executions": {"starting_nodes_input": {"node-2-2-0": {}}},
    "platform.get_connected_output_nodes": {"node_id": "node-2-2-0", "output_name": "result"},
    "platform.find_graph": {"user_id": "user-3", "include_subgraphs": True},
    "platform.list_latest_versions": {"graph_ids": ["graph-2", "graph-3"]},
    "platform.insert_blocks": {"blocks": [{"id": "block-1", "name": "", "type": "AI"}]},
    "platform.insert_graphs": {
        "graphs": [{"id": "new", "version": 1, "name": "", "description": "", "is_active": True}]
    },
    "platform.insert_nodes": {"nodes": [{**A_NODE, "id": "new", "input_default": {}, "metadata": {}}]},
    "platform.list_places": {"node_ids": ["node-2-2-0", "node-2-2-1"]},
    "platform.insert_links": {"links": [{**A_NODE, **A_LINK, "id": "link"}]},
    "platform.insert_subgraphs": {"subgraphs": [{"id": "graph-9", "version": 1, "position": 7}]},
    "platform.insert_referenced_subgraphs": {"graph_id": "graph-1007", "version": 2, "user_id": "user-8"},
    "platform.get_node_executions_page": {"cursor": "500"},
    "platform.update_node_execution_status": {"execution_data": None},
    "platform.update_node_execution_status_batch": {
        "execution_updates": [{"node_exec_id": f"many-{n}", "status": "RUNNING"} for n in range(1, 21)]
    },
    "platform.upsert_execution_output": {"output_name": "result", "output_data": 1},
    "platform.lock_open_node_execution": {"input_name": "other"},
    "platform.insert_node_execution": {"node_exec_id": "new"},
    "platform.set_execution_kv_data": {"data": 1},
    "platform.add_notification": {"created_at": "2026-01-01Z", "data": {}},
    "platform.get_all_batches_by_type_page": {"cursor": "user-5"},
    "platform.get_user_notifications_page": {"cursor": "500"},
}


@pytest.fixture(scope="module")
async def loaded(servers: Servers, migrated: str) -> AsyncIterator[asyncpg.Connection]:
    """A database with 20 000 rows in every table that grows."""
    async with scratch_database(servers.postgres_url, copy_of=migrated) as url:
        connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"}, statement_cache_size=0)
        try:
            await connection.execute(DATA)
            yield connection
        finally:
            await connection.close()


@pytest.mark.parametrize(
    ("name", "mode"),
    [(name, mode) for name in VALUES for mode in MODES],
)
async def test_a_statement_goes_to_its_rows_and_walks_through_nothing(
    loaded: asyncpg.Connection, served: Served, name: str, mode: str
):
    took = await touched(loaded, as_run(served, name), {**COMMON, **VALUES[name]}, mode)

    assert name in EXCEPTIONS or not took.walked, took


def test_every_statement_is_judged(served: Served):
    assert VALUES.keys() == served.statements.keys()


def test_the_exceptions_are_those_whose_comment_says_why(served: Served):
    excused = {name for name, statement in served.statements.items() if SCANS.search(statement.text)}

    assert excused == EXCEPTIONS


async def test_an_optional_filter_is_caught_though_its_custom_plan_is_good(loaded: asyncpg.Connection):
    planted = Statement.compile("planted", "select id from platform.graphs where :u::text is null or user_id = :u")

    custom, generic = [await touched(loaded, planted, {"u": "user-999"}, mode) for mode in MODES]

    assert (custom.walked, generic.walked) == (False, True)


async def test_a_walk_inside_an_index_is_caught_though_it_removes_no_rows(loaded: asyncpg.Connection):
    planted = Statement.compile("planted", "select count(*) as n from platform.node_executions where status = :status")

    took = await touched(loaded, planted, {"status": "FAILED"}, "force_custom_plan")

    assert (took.rows, took.walked) == (0, True)
