# ruff: noqa: ARG005 - a case about what is not there needs nothing of what is
"""Every method of the platform: once as it is meant, and once about what is not there or is somebody else's."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

from rpc_client import AuthorizationError, Conflict, InsufficientCredits, NotFoundError
from rpc_client.contract import platform as p
from tests.services.platform.case import NOW, Place, absent, works
from tests.services.platform.given import Status, line_graph, unknown

GRANT = 100
SPENT = p.UsageTransactionMetadata(reason="a test")
DAY = timedelta(days=1)
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


def notify(db: p.AsyncPlatform, at: Place) -> Awaitable[Any]:
    return db.create_or_add_to_user_notification_batch(at.user, at.review, at.event())


def connect(db: p.AsyncPlatform, at: Place) -> Awaitable[Any]:
    state = p.OAuthState(token=at.user, provider="github", expires_at=1, scopes=[])
    return db.update_user_integrations(at.user, p.UserIntegrations(oauth_states=[state]))


async def fail(db: p.AsyncPlatform, at: Place) -> None:
    await db.update_node_execution_status(at.run, Status.FAILED, None, {"error": f"{at.user}: it broke"})


EXECUTIONS = [
    works(
        "create_graph_execution",
        lambda at: (at.graph.id, 1, {at.graph.nodes[0].id: {"value": 1}}, at.user),
        lambda at, got: (got.user_id, got.status, len(got.node_executions)) == (at.user, Status.QUEUED, 4),
    ),
    absent("create_graph_execution", lambda at: (at.private.id, 1, {}, at.user), NotFoundError),
    works(
        "get_graph_execution",
        lambda at: (at.user, at.execution.id),
        lambda at, got: type(got) is p.GraphExecution and got.id == at.execution.id,
    ),
    absent("get_graph_execution", lambda at: (at.private.user_id, at.execution.id), None),
    works(
        "get_graph_execution_meta",
        lambda at: (at.user, at.execution.id),
        lambda at, got: type(got) is p.GraphExecutionMeta and got.id == at.execution.id,
    ),
    absent("get_graph_execution_meta", lambda at: (at.private.user_id, at.execution.id), None),
    works(
        "get_graph_executions",
        lambda at: (at.user, at.graph.id),
        lambda at, got: ([found.id for found in got[0]], got[1]) == ([at.execution.id], None),
    ),
    absent("get_graph_executions", lambda at: (at.private.user_id,), ([], None)),
    works("update_graph_execution_start_time", lambda at: (at.execution.id,), None),
    absent("update_graph_execution_start_time", lambda at: (unknown(),), NotFoundError),
    works(
        "update_graph_execution_stats",
        lambda at: (at.execution.id, Status.RUNNING, {"cost": 3}),
        lambda at, got: (got.id, got.status, got.stats.cost) == (at.execution.id, Status.RUNNING, 3),
    ),
    absent("update_graph_execution_stats", lambda at: (unknown(), Status.RUNNING), None),
    works("get_node_execution", lambda at: (at.run,), lambda at, got: got == at.execution.node_executions[0]),
    absent("get_node_execution", lambda at: (unknown(),), None),
    works("get_node_executions", lambda at: (at.execution.id,), lambda at, got: got == at.execution.node_executions),
    absent("get_node_executions", lambda at: (unknown(),), []),
    works(
        "get_node_executions_page",
        lambda at: (at.execution.id,),
        lambda at, got: got == (at.execution.node_executions, None),
    ),
    absent("get_node_executions_page", lambda at: (unknown(),), ([], None)),
    works(
        "get_latest_node_execution",
        lambda at: (at.execution.id, at.graph.nodes[0].id),
        lambda at, got: got.node_exec_id == at.run,
        lambda db, at: db.update_node_execution_status(at.run, Status.QUEUED),
    ),
    absent("get_latest_node_execution", lambda at: (at.execution.id, at.graph.nodes[0].id), None),
    works(
        "update_node_execution_status",
        lambda at: (at.run, Status.RUNNING),
        lambda at, got: (got.node_exec_id, got.status) == (at.run, Status.RUNNING),
    ),
    absent("update_node_execution_status", lambda at: (unknown(), Status.RUNNING), NotFoundError),
    works(
        "update_node_execution_status_batch",
        lambda at: ([p.NodeExecutionUpdate(node_exec_id=at.run, status=Status.RUNNING)],),
        lambda at, got: [(n.node_exec_id, n.status) for n in got] == [(at.run, Status.RUNNING)],
    ),
    absent(
        "update_node_execution_status_batch",
        lambda at: ([p.NodeExecutionUpdate(node_exec_id=unknown(), status=Status.RUNNING)],),
        NotFoundError,
    ),
    works(
        "update_node_execution_stats",
        lambda at: (at.run, {"n": 1}),
        lambda at, got: (got.node_exec_id, got.stats) == (at.run, {"n": 1}),
    ),
    absent("update_node_execution_stats", lambda at: (unknown(), {"n": 1}), NotFoundError),
    works(
        "upsert_execution_input",
        lambda at: (at.next.node_id, at.execution.id, "text", [1]),
        lambda at, got: got == (at.next.node_exec_id, {"text": [1]}),
    ),
    absent("upsert_execution_input", lambda at: (unknown(), at.execution.id, "text", 1), NotFoundError),
    works("upsert_execution_output", lambda at: (at.run, "out", {"a": 1}), None),
    absent("upsert_execution_output", lambda at: (unknown(), "out", 1), NotFoundError),
    works(
        "get_execution_kv_data",
        lambda at: (at.user, "mine"),
        lambda at, got: got == [at.user],
        lambda db, at: db.set_execution_kv_data(at.user, at.run, "mine", [at.user]),
    ),
    absent(
        "get_execution_kv_data",
        lambda at: (at.private.user_id, at.user),
        None,
        lambda db, at: db.set_execution_kv_data(at.user, at.run, at.user, 1),
    ),
    works(
        "set_execution_kv_data",
        lambda at: (at.user, at.run, "mine", 2),
        lambda at, got: got == [at.user],
        lambda db, at: db.set_execution_kv_data(at.user, at.run, "mine", [at.user]),
    ),
    absent("set_execution_kv_data", lambda at: (unknown(), at.run, "mine", 2), NotFoundError),
    works(
        "get_block_error_stats",
        lambda at: (),
        lambda at, got: (
            [(n.block_id, n.failed_executions) for n in got if n.error_type == at.user] == [("block-INPUT", 1)]
        ),
        fail,
    ),
]

GRAPHS = [
    works(
        "create_graph",
        lambda at: (line_graph(at.user),),
        lambda at, got: (got.user_id, got.version, len(got.nodes)) == (at.user, 1, 4),
    ),
    absent("create_graph", lambda at: (line_graph(unknown()),), NotFoundError),
    works("list_graph", lambda at: (at.graph.id, 1), None),
    absent("list_graph", lambda at: (at.graph.id, 2), NotFoundError),
    works("get_graph", lambda at: (at.graph.id, 1, at.user), lambda at, got: got == at.graph),
    absent("get_graph", lambda at: (at.private.id, None, at.user), None),
    works(
        "get_graph_metadata",
        lambda at: (at.graph.id, at.user),
        lambda at, got: (got.id, got.version, got.user_id) == (at.graph.id, 1, at.graph.user_id),
    ),
    absent("get_graph_metadata", lambda at: (at.private.id, at.user), None),
    works("get_node", lambda at: (at.graph.nodes[0].id,), lambda at, got: got == at.graph.nodes[0]),
    absent("get_node", lambda at: (unknown(),), None),
    works(
        "get_connected_output_nodes",
        lambda at: (at.graph.nodes[0].id, "result"),
        lambda at, got: got == [(at.graph.nodes[1], at.graph.links[0])],
    ),
    absent("get_connected_output_nodes", lambda at: (at.graph.nodes[0].id, "nothing"), []),
]

CREDITS = [
    works("get_credits", lambda at: (at.user,), GRANT),
    absent("get_credits", lambda at: (unknown(),), 0),
    works("spend_credits", lambda at: (at.user, 30, SPENT), GRANT - 30),
    absent("spend_credits", lambda at: (unknown(), 30, SPENT), InsufficientCredits),
    works("add_credits", lambda at: (at.user, 5, "more"), GRANT + 5),
    absent("add_credits", lambda at: (unknown(), 5, "more"), NotFoundError),
]

USERS = [
    works("create_user", lambda at: (new := unknown(), f"{new}@x.org", "Zoe"), lambda at, got: got.name == "Zoe"),
    absent("create_user", lambda at: (at.user, f"{unknown()}@x.org"), Conflict),
    works("get_user_metadata", lambda at: (at.user,), lambda at, got: got == p.UserMetadata()),
    absent("get_user_metadata", lambda at: (unknown(),), NotFoundError),
    works(
        "update_user_metadata",
        lambda at: (at.user, p.UserMetadataDTO(integration_oauth_states=[])),
        lambda at, got: got == p.UserMetadata(),
    ),
    absent("update_user_metadata", lambda at: (unknown(), p.UserMetadataDTO()), NotFoundError),
    works("patch_user_metadata", lambda at: (at.user, p.UserMetadataDTO(integration_oauth_states=[])), None),
    absent("patch_user_metadata", lambda at: (unknown(), p.UserMetadataDTO()), NotFoundError),
    works(
        "get_user_integrations",
        lambda at: (at.user,),
        lambda at, got: [(state.provider, state.token) for state in got.oauth_states] == [("github", at.user)],
        connect,
    ),
    absent("get_user_integrations", lambda at: (unknown(),), NotFoundError),
    works("update_user_integrations", lambda at: (at.user, p.UserIntegrations()), None),
    absent("update_user_integrations", lambda at: (unknown(), p.UserIntegrations()), NotFoundError),
    works("get_active_user_ids_in_timerange", lambda at: (NOW - DAY, NOW + DAY), lambda at, got: at.user in got),
    absent("get_active_user_ids_in_timerange", lambda at: (LONG_AGO, LONG_AGO + DAY), []),
    works("get_active_user_ids_page", lambda at: (NOW - DAY, NOW + DAY), lambda at, got: at.user in got[0]),
    absent("get_active_user_ids_page", lambda at: (LONG_AGO, LONG_AGO + DAY), ([], None)),
    works("get_user_email_by_id", lambda at: (at.user,), lambda at, got: got == f"{at.user}@example.org"),
    absent("get_user_email_by_id", lambda at: (unknown(),), None),
    works(
        "get_user_email_verification",
        lambda at: (at.user,),
        lambda at, got: dict(got) == {"user_id": at.user, "email": f"{at.user}@example.org", "verified": True},
    ),
    absent("get_user_email_verification", lambda at: (unknown(),), NotFoundError),
    works(
        "get_user_notification_preference",
        lambda at: (at.user,),
        lambda at, got: got.user_id == at.user and got.preferences == dict.fromkeys(p.NotificationType, True),
    ),
    absent("get_user_notification_preference", lambda at: (unknown(),), NotFoundError),
    works("create_unsubscribe_token", lambda at: (at.user,), lambda at, got: len(got) > 20),
    absent("create_unsubscribe_token", lambda at: (unknown(),), NotFoundError),
    works(
        "unsubscribe_by_token",
        lambda at: (at.made,),
        lambda at, got: (got.user_id, got.daily_limit, any(got.preferences.values())) == (at.user, 0, False),
        lambda db, at: db.create_unsubscribe_token(at.user),
    ),
    absent("unsubscribe_by_token", lambda at: ("forged",), AuthorizationError),
]

NOTIFICATIONS = [
    works(
        "create_or_add_to_user_notification_batch",
        lambda at: (at.user, at.review, at.event()),
        lambda at, got: (got.user_id, got.type, got.notifications) == (at.user, at.review, []),
    ),
    absent(
        "create_or_add_to_user_notification_batch",
        lambda at: (new := unknown(), at.review, at.event().model_copy(update={"user_id": new})),
        NotFoundError,
    ),
    works("empty_user_notification_batch", lambda at: (at.user, at.review), None, notify),
    absent("empty_user_notification_batch", lambda at: (unknown(), at.review), None),
    works(
        "get_all_batches_by_type",
        lambda at: (at.review,),
        lambda at, got: [batch.notifications for batch in got if batch.user_id == at.user] == [[]],
        notify,
    ),
    absent("get_all_batches_by_type", lambda at: (p.NotificationType.SYSTEM,), []),
    works(
        "get_all_batches_by_type_page",
        lambda at: (at.review,),
        lambda at, got: at.user in {batch.user_id for batch in got[0]},
        notify,
    ),
    absent("get_all_batches_by_type_page", lambda at: (p.NotificationType.SYSTEM,), ([], None)),
    works(
        "get_user_notification_batch",
        lambda at: (at.user, at.review),
        lambda at, got: got.notifications == [at.event()],
        notify,
    ),
    absent("get_user_notification_batch", lambda at: (at.private.user_id, at.review), None),
    works(
        "get_user_notifications_page",
        lambda at: (at.user, at.review),
        lambda at, got: got == ([at.event()], None),
        notify,
    ),
    absent("get_user_notifications_page", lambda at: (at.private.user_id, at.review), ([], None)),
    works(
        "get_user_notification_oldest_message_in_batch",
        lambda at: (at.user, at.review),
        lambda at, got: got == at.event(),
        notify,
    ),
    absent("get_user_notification_oldest_message_in_batch", lambda at: (at.private.user_id, at.review), None),
]

CASES = [*EXECUTIONS, *GRAPHS, *CREDITS, *USERS, *NOTIFICATIONS]
