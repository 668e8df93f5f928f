"""Key-value data of users: what a node leaves behind for later runs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from rpc_client.contract._method import Service, read, write
from rpc_client.contract.platform.events import ExecutionDataSet
from rpc_client.contract.platform.users import Id
from rpc_client.errors import NotFoundError, ResultTooLarge

DataKey = Annotated[str, Field(min_length=1, max_length=400)]
"""Chosen by the block. So long that it fits into an index beside any user's id."""


class ExecutionData(Service, name="platform"):
    """One value for each user and key; no user ever meets another's."""

    @read
    async def get_execution_kv_data(self, user_id: Id, key: DataKey) -> Any | None:
        """The value last set under this key; None when there is none.

        A value that is 0, false or empty comes back as it is. One that is None is like none.

        Source: spec 0 §3.1.
        """
        ...

    @write(raises=[NotFoundError, ResultTooLarge], emits=[ExecutionDataSet])
    async def set_execution_kv_data(self, user_id: Id, node_exec_id: Id, key: DataKey, data: Any) -> Any | None:
        """Set the value of this key, and tell the one it replaces.

        Of many calls at once each answers the value that the one before it set: every value is told once.

        Args:
            node_exec_id: kept with the value as its origin; it need not exist any more, or yet.
            data: at most 128 KiB as the database writes JSON.

        Returns:
            The value until now; None when there was none.

        Raises:
            NotFoundError: there is no such user; ``details``: ``user_id``.
            ResultTooLarge: `data` is larger than the answer of the next call could hold; ``details``: ``bytes``,
                ``limit``.

        Emits: ExecutionDataSet.
        Source: spec 0 §3.1.
        """
        ...
