"""The ``platform`` family as a worker serves it."""

from __future__ import annotations

from worker.registry import Family
from worker.services.platform.credits import credits_
from worker.services.platform.execution_data import execution_data
from worker.services.platform.executions import executions
from worker.services.platform.graphs import graphs
from worker.services.platform.integrations import SEALED, integrations
from worker.services.platform.live import channels
from worker.services.platform.notifications import notifications
from worker.services.platform.users import users
from worker.statements import sql_root

family = Family(
    executions,
    execution_data,
    graphs,
    credits_,
    users,
    integrations,
    notifications,
    sql=sql_root() / "platform",
    live=channels,
    sealed=SEALED,
)

__all__ = ["family"]
